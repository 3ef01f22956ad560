#pragma once

// A connected socket as a stream of bytes that never blocks, plain or under TLS.
//
// Plain sockets and OpenSSL are driven by hand rather than through libevent's bufferevents: those
// read at most 4 KiB at a time, write only after another turn of the loop, and raise SIGPIPE.
//
// Thread safety: one thread.

#include <sys/socket.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "limiter/store/redis/tls_context.h"

namespace weir {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
  std::string text;  // "127.0.0.1:6379", for messages
};

// UNAVAILABLE when the path is too long.
absl::StatusOr<SocketAddress> UnixSocketAddress(std::string_view path);

// A new socket on its way to being connected. `tcp_user_timeout_ms`: data of ours that the other
// kernel does not acknowledge for that long ends the connection; 0: the kernel's default.
// Returns the descriptor or -errno; *in_progress: writable or failed when it is done.
int StartConnect(const SocketAddress& address, int tcp_user_timeout_ms, bool* in_progress);

enum class IoState {
  kDone,       // Io::bytes were moved, at least one
  kWantRead,   // again when the socket can be read
  kWantWrite,  // again when it can be written
  kEnd,        // the other side closed
  kTimedOut,   // TCP_USER_TIMEOUT or keepalive gave up
  kError,      // see Io::error
  kTlsError,   // the same, and it is not the socket's
};

struct Io {
  IoState state = IoState::kDone;
  std::size_t bytes = 0;
  std::string error;
};

class Stream {
 public:
  virtual ~Stream() = default;

  // kDone when bytes may flow. A plain stream needs none.
  virtual Io Handshake() = 0;
  virtual Io Read(std::span<char> buffer) = 0;
  virtual Io Write(std::string_view bytes) = 0;
};

// Both leave the descriptor to the caller.
std::unique_ptr<Stream> PlainStream(int fd);
// Null: out of memory.
std::unique_ptr<Stream> TlsStream(int fd, TlsContext::Session session);

}  // namespace weir
