#include "limiter/grpc/listener_probe.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

namespace weir {
namespace {

bool ConnectUnix(int fd, const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof(name.sun_path)) return false;
  std::memcpy(name.sun_path, path.c_str(), path.size() + 1);
  return connect(fd, reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0;
}

}  // namespace

std::string Http2Opening() { return {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 33}; }

ListenerProbe::~ListenerProbe() {
  if (fd_ >= 0) close(fd_);
}

void ListenerProbe::Turn() {
  if (asked_ == Asked::kWaiting && Reacted()) {
    missed_.store(0, std::memory_order_relaxed);
  } else if (asked_ != Asked::kNothing) {
    missed_.fetch_add(1, std::memory_order_relaxed);
  }
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  asked_ = Ask();
}

// Bytes, or the end of the connection.
bool ListenerProbe::Reacted() const {
  char byte = 0;
  const ssize_t got = recv(fd_, &byte, 1, MSG_DONTWAIT);
  return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

ListenerProbe::Asked ListenerProbe::Ask() {
  constexpr std::string_view kUnix = "unix:";
  const bool is_unix = address_.starts_with(kUnix);
  addrinfo* found = nullptr;
  if (!is_unix) {
    const std::size_t colon = address_.rfind(':');
    std::string host = address_.substr(0, colon);
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    const std::string port = address_.substr(colon + 1);
    if (getaddrinfo(host.c_str(), port.c_str(), &hints, &found) != 0) return Asked::kNothing;
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(
      found, [](addrinfo* list) { list != nullptr ? freeaddrinfo(list) : void(); });
  const int family = is_unix ? AF_UNIX : found->ai_family;
  fd_ = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return Asked::kNothing;
  const timeval patience{.tv_sec = 0, .tv_usec = 200'000};  // for connecting and sending
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  const bool connected = is_unix ? ConnectUnix(fd_, address_.substr(kUnix.size()))
                                 : connect(fd_, found->ai_addr, found->ai_addrlen) == 0;
  if (!connected) return Asked::kRefused;
  // What cannot be sent was hung up on: a reaction, which the next turn sees.
  (void)send(fd_, opening_.data(), opening_.size(), MSG_NOSIGNAL);
  return Asked::kWaiting;
}

}  // namespace weir
