#include "limiter/grpc/listener_probe.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace weir {
namespace {

// Bytes of the name, 0 if there is none.
socklen_t UnixName(const std::string& path, sockaddr_storage& storage) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof(name.sun_path)) return 0;
  std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
  std::memcpy(&storage, &name, sizeof(name));
  return sizeof(name);
}

socklen_t TcpName(const std::string& address, sockaddr_storage& storage) {
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), address.c_str() + colon + 1, &hints, &found) != 0) return 0;
  const socklen_t bytes = found->ai_addrlen;
  std::memcpy(&storage, found->ai_addr, bytes);
  freeaddrinfo(found);
  return bytes;
}

}  // namespace

std::string Http2Opening() { return {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33}; }

ListenerProbe::ListenerProbe(std::string address, std::string opening)
    : address_(std::move(address)), opening_(std::move(opening)) {
  constexpr std::string_view kUnix = "unix:";
  name_bytes_ = address_.starts_with(kUnix) ? UnixName(address_.substr(kUnix.size()), name_)
                                            : TcpName(address_, name_);
}

ListenerProbe::~ListenerProbe() {
  if (fd_ >= 0) close(fd_);
}

void ListenerProbe::Turn(int64_t now_mono_ns) {
  if (asked_ != Asked::kNothing && now_mono_ns - asked_mono_ns_ < kPatienceNs) return;
  if (asked_ == Asked::kWaiting && Reacted()) {
    missed_.store(0, std::memory_order_relaxed);
  } else if (asked_ != Asked::kNothing) {
    missed_.fetch_add(1, std::memory_order_relaxed);
  }
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  asked_ = Ask();
  asked_mono_ns_ = now_mono_ns;
}

// Bytes, or the end of the connection.
bool ListenerProbe::Reacted() const {
  char byte = 0;
  const ssize_t got = recv(fd_, &byte, 1, MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

ListenerProbe::Asked ListenerProbe::Ask() {
  if (name_bytes_ == 0) return Asked::kNothing;
  fd_ = socket(name_.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return Asked::kNothing;
  const timeval patience{.tv_sec = 0, .tv_usec = 200'000};  // for connecting and sending
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&name_), name_bytes_) != 0) {
    return Asked::kRefused;
  }
  // What cannot be sent was hung up on: a reaction, which the next turn sees.
  (void)send(fd_, opening_.data(), opening_.size(), MSG_NOSIGNAL);
  return Asked::kWaiting;
}

}  // namespace weir
