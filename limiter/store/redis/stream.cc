#include "limiter/store/redis/stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace weir {
namespace {

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

Io SocketError(int error) {
  const IoState state = error == ETIMEDOUT ? IoState::kTimedOut : IoState::kError;
  return {state, 0, std::strerror(error)};
}

void SetOption(int fd, int level, int option, int value) {
  // Only ever improves matters: a kernel without the option still works.
  setsockopt(fd, level, option, &value, sizeof(value));
}

class Plain final : public Stream {
 public:
  explicit Plain(int fd) : fd_(fd) {}

  Io Handshake() override { return {IoState::kDone, 0, {}}; }

  Io Read(std::span<char> buffer) override {
    const ssize_t bytes = recv(fd_, buffer.data(), buffer.size(), 0);
    if (bytes > 0) return {IoState::kDone, static_cast<std::size_t>(bytes), {}};
    if (bytes == 0) return {IoState::kEnd, 0, {}};
    if (WouldBlock(errno)) return {IoState::kWantRead, 0, {}};
    return SocketError(errno);
  }

  Io Write(std::string_view bytes) override {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return {IoState::kDone, static_cast<std::size_t>(sent), {}};
    if (WouldBlock(errno)) return {IoState::kWantWrite, 0, {}};
    return SocketError(errno);
  }

 private:
  const int fd_;
};

// OpenSSL's own socket BIO calls write(2), which raises SIGPIPE on a connection that is gone.
int FdOf(BIO* bio) { return *static_cast<const int*>(BIO_get_data(bio)); }

int BioWrite(BIO* bio, const char* bytes, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = send(FdOf(bio), bytes, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && WouldBlock(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int BioRead(BIO* bio, char* buffer, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t bytes = recv(FdOf(bio), buffer, static_cast<std::size_t>(size), 0);
  if (bytes < 0 && WouldBlock(errno)) BIO_set_retry_read(bio);
  return static_cast<int>(bytes);
}

long BioControl(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

// Made once and kept: sessions that are alive use it.
BIO_METHOD* SocketMethod() {
  static BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir socket");
    BIO_meth_set_write(method, BioWrite);
    BIO_meth_set_read(method, BioRead);
    BIO_meth_set_ctrl(method, BioControl);
    return method;
  }();
  return kMethod;
}

class Tls final : public Stream {
 public:
  // `bio` becomes the session's.
  Tls(int fd, BIO* bio, TlsContext::Session session) : fd_(fd), session_(std::move(session)) {
    BIO_set_data(bio, &fd_);
    BIO_set_init(bio, 1);
    SSL_set_bio(session_.get(), bio, bio);
  }

  Io Handshake() override {
    Begin();
    const int result = SSL_do_handshake(session_.get());
    if (result == 1) return {IoState::kDone, 0, {}};
    Io io = Judge(result);
    if (io.state == IoState::kEnd) {
      io = {IoState::kTlsError, 0, "the server closed the connection during the TLS handshake"};
    }
    return io;
  }

  Io Read(std::span<char> buffer) override {
    Begin();
    const int bytes = SSL_read(session_.get(), buffer.data(), Clamp(buffer.size()));
    if (bytes > 0) return {IoState::kDone, static_cast<std::size_t>(bytes), {}};
    return Judge(bytes);
  }

  Io Write(std::string_view bytes) override {
    Begin();
    const int sent = SSL_write(session_.get(), bytes.data(), Clamp(bytes.size()));
    if (sent > 0) return {IoState::kDone, static_cast<std::size_t>(sent), {}};
    return Judge(sent);
  }

 private:
  static int Clamp(std::size_t size) {
    return static_cast<int>(std::min(size, std::size_t{INT_MAX}));
  }

  static void Begin() {
    ERR_clear_error();
    errno = 0;
  }

  Io Judge(int result) const {
    const int saved_errno = errno;
    switch (SSL_get_error(session_.get(), result)) {
      case SSL_ERROR_WANT_READ:
        return {IoState::kWantRead, 0, {}};
      case SSL_ERROR_WANT_WRITE:
        return {IoState::kWantWrite, 0, {}};
      case SSL_ERROR_ZERO_RETURN:
        return {IoState::kEnd, 0, {}};
      case SSL_ERROR_SYSCALL:
        if (saved_errno == 0) return {IoState::kEnd, 0, {}};
        return SocketError(saved_errno);
      default:
        break;
    }
    // A peer that goes without close_notify, as a killed one does, is an end like any other.
    if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
      ERR_clear_error();
      return {IoState::kEnd, 0, {}};
    }
    std::string error = TakeTlsError();
    const long verified = SSL_get_verify_result(session_.get());
    if (verified != X509_V_OK) {
      error = absl::StrCat("certificate verify failed: ", X509_verify_cert_error_string(verified));
    }
    return {IoState::kTlsError, 0, error};
  }

  int fd_;
  const TlsContext::Session session_;
};

}  // namespace

absl::StatusOr<SocketAddress> UnixSocketAddress(std::string_view path) {
  SocketAddress address;
  auto& un = reinterpret_cast<sockaddr_un&>(address.storage);
  if (path.size() >= sizeof(un.sun_path)) {
    return absl::UnavailableError("the path of the Unix socket is too long");
  }
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.data(), path.size());
  address.bytes = sizeof(un);
  address.text = "unix:";
  address.text += path;
  return address;
}

int StartConnect(const SocketAddress& address, int tcp_user_timeout_ms, bool* in_progress) {
  const int family = address.storage.ss_family;
  const int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (family != AF_UNIX) {
    SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    SetOption(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    // A PING every second is the real probe; this finds a connection nobody uses.
    SetOption(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
    SetOption(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
    SetOption(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
    if (tcp_user_timeout_ms > 0) {
      SetOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, tcp_user_timeout_ms);
    }
  }
  const int result =
      connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.bytes);
  // A Unix socket whose queue is full says EAGAIN, and there is nothing to wait for: refused.
  *in_progress = result != 0 && errno == EINPROGRESS;
  if (result == 0 || *in_progress) return fd;
  const int error = errno;
  close(fd);
  return -error;
}

std::unique_ptr<Stream> PlainStream(int fd) { return std::make_unique<Plain>(fd); }

std::unique_ptr<Stream> TlsStream(int fd, TlsContext::Session session) {
  BIO* const bio = BIO_new(SocketMethod());
  if (bio == nullptr) return nullptr;
  return std::make_unique<Tls>(fd, bio, std::move(session));
}

}  // namespace weir
