#pragma once

// A client that says to HttpServer whatever a test wants, byte by byte.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace weir {

inline constexpr int kPatienceMs = 10'000;
inline constexpr int kStalledMs = 300;
// More than the kernel holds of an answer for a client that does not read.
inline constexpr std::size_t kBigBytes = 16 << 20;
// More than the kernel holds of a request for a server that does not read (tcp_rmem and tcp_wmem).
inline constexpr std::size_t kFloodBytes = 16 << 20;

// True once `holds` does, false when patience ends before.
inline bool Eventually(const std::function<bool()>& holds) {
  for (int i = 0; i < kPatienceMs && !holds(); ++i) poll(nullptr, 0, 1);
  return holds();
}

// A raw connection to the server.
class Client {
 public:
  Client() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {}
  explicit Client(int port) : Client() { Connect(port); }
  bool Connect(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() {
    if (fd_ >= 0) close(fd_);
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool Send(std::string_view bytes) const {
    return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // What the server sends until `text` has come, the connection ends or patience does.
  std::string ReadUntil(std::string_view text) {
    while (received_.find(text) == std::string::npos && ReadSome(kPatienceMs)) {
    }
    return received_;
  }
  // True once the server has closed the connection.
  bool ClosedWithin(int patience_ms) {
    while (ReadSome(patience_ms)) {
    }
    return closed_;
  }
  void Forget() { received_.clear(); }
  // Bytes of `text`, over and over, that the server takes before it takes no more for a while.
  std::size_t Flood(std::string_view text, std::size_t bytes_max) const {
    std::string block;
    while (block.size() < (64 << 10)) block += text;
    std::size_t taken = 0;
    pollfd wait{fd_, POLLOUT, 0};
    while (taken < bytes_max && poll(&wait, 1, kStalledMs) > 0) {
      const ssize_t sent = send(fd_, block.data(), block.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0) break;
      taken += static_cast<std::size_t>(sent);
    }
    return taken;
  }
  // Goes away without a word, and without reading what has come.
  void Reset() {
    const linger at_once{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd_);
    fd_ = -1;
  }

 private:
  bool ReadSome(int patience_ms) {
    pollfd wait{fd_, POLLIN, 0};
    if (poll(&wait, 1, patience_ms) <= 0) return false;
    char bytes[4096];
    const ssize_t count = recv(fd_, bytes, sizeof(bytes), 0);
    if (count <= 0) {
      closed_ = true;
      return false;
    }
    received_.append(bytes, static_cast<std::size_t>(count));
    return true;
  }

  int fd_;
  bool closed_ = false;
  std::string received_;
};

}  // namespace weir
