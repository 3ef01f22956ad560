#pragma once

// One socket to Redis, from connect to close: TCP, Unix or TLS. Commands leave in order, replies
// come back in order, each to the sink of its command. A link can be used again after it closed.
//
// Thread safety: the loop's thread only.

#include <event2/event.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "limiter/core/clock.h"
#include "limiter/store/redis/command.h"
#include "limiter/store/redis/event.h"
#include "limiter/store/redis/failure.h"
#include "limiter/store/redis/reply_decoder.h"
#include "limiter/store/redis/stream.h"
#include "limiter/store/redis/tls_context.h"

namespace weir {

struct LinkOptions {
  int64_t connect_timeout_ns = 500'000'000;  // connect(2) and the TLS handshake together
  // TCP_USER_TIMEOUT: bytes of ours that the other kernel does not acknowledge for that long end
  // the connection; a dead path is found by it, a frozen Redis is not (its kernel acknowledges).
  int64_t unacknowledged_max_ns = 1'000'000'000;
  std::size_t output_bytes_max = std::size_t{16} << 20;  // not yet taken by the kernel
  std::size_t reply_bytes_max = std::size_t{1} << 20;    // of one reply
};

class Link {
 public:
  class Owner {
   public:
    virtual void OnUp() = 0;
    // After a read that brought replies, when their sinks have been told.
    virtual void OnReplies() = 0;
    // A reply that no command waits for. False: it is an error of the protocol.
    virtual bool OnPush(const redisReply& /*reply*/) { return false; }
    // It closed by itself or could not connect; sinks have been told. Not called for Close.
    virtual void OnDown(Failure failure, std::string_view text) = 0;

   protected:
    virtual ~Owner() = default;
  };

  // All references outlive the link. `tls` null: plain.
  Link(event_base* base, Clock& clock, const TlsContext* tls, const LinkOptions& options,
       Owner& owner);
  ~Link();  // Close
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  // Ends in OnUp or OnDown, never within the call. `host` is what the server's certificate must be
  // for. REQUIRES: closed.
  void Connect(const SocketAddress& address, const std::string& host);

  // Appends one complete command in RESP; it leaves with Flush or at the end of the loop's turn.
  // false: not up, or too much waits to be written; the sink is not told.
  bool Send(std::string_view wire, CommandSink& sink);
  void Flush();

  // Ends the connection; every command without a reply fails with kLost and `text`.
  void Close(std::string_view text);

  bool up() const { return stage_ == Stage::kUp; }
  bool closed() const { return stage_ == Stage::kClosed; }
  std::size_t owed() const { return sinks_.size(); }  // replies
  // Monotonic time since which a reply is owed and none came. REQUIRES: owed() > 0.
  int64_t owed_since_ns() const { return owed_since_ns_; }
  // Commands ever sent, and of those how many are done with; on any connection.
  uint64_t sent() const { return sent_; }
  uint64_t answered() const { return sent_ - sinks_.size(); }
  uint64_t bytes_sent() const { return bytes_sent_; }
  uint64_t bytes_received() const { return bytes_received_; }

 private:
  enum class Stage { kClosed, kConnecting, kHandshaking, kUp };

  void OnEvent();  // the socket can be read, or written where that was asked for
  void OnConnected();
  void ContinueHandshake();
  void ReadAll();
  // False: the link is closed now, or was made anew meanwhile.
  bool Decode(std::string_view bytes);
  void OnUnasked(const redisReply& reply);
  void FailIo(const Io& io);
  // Fails after the current call has returned to the loop.
  void FailSoon(Failure failure, std::string text);
  void Fail(Failure failure, const std::string& text);
  void TearDown();
  void FailSinks(std::string_view text);

  event_base* const base_;
  Clock& clock_;
  const TlsContext* const tls_;
  const LinkOptions options_;
  Owner& owner_;

  Event timer_;  // of connect; also carries FailSoon
  Event flush_event_;
  // Of the current socket.
  int fd_ = -1;
  Event readable_;
  Event writable_;
  std::unique_ptr<Stream> stream_;
  std::string host_;

  Stage stage_ = Stage::kClosed;
  uint64_t session_ = 0;  // counts connections, so that a loop notices that its own is gone
  Failure soon_ = Failure::kNone;
  std::string soon_text_;
  std::string output_;
  std::size_t written_ = 0;  // of output_
  bool flush_pending_ = false;
  std::deque<CommandSink*> sinks_;
  ReplyDecoder decoder_;
  int64_t owed_since_ns_ = 0;
  uint64_t sent_ = 0;
  uint64_t bytes_sent_ = 0;
  uint64_t bytes_received_ = 0;
};

}  // namespace weir
