#include "limiter/store/redis/link.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace weir {
namespace {

constexpr std::size_t kReadBytes = 16 << 10;  // one TLS record, so that none is left half read
constexpr int kReadsMax = 16;                 // in one turn of the loop
// An output that has been larger gives its memory back once it is written.
constexpr std::size_t kOutputKeptBytes = 256 << 10;

}  // namespace

void AppendCommand(std::string& wire, std::initializer_list<std::string_view> arguments) {
  absl::StrAppend(&wire, "*", arguments.size(), "\r\n");
  for (const std::string_view argument : arguments) {
    absl::StrAppend(&wire, "$", argument.size(), "\r\n");
    wire.append(argument).append("\r\n");
  }
}

void AppendLogin(std::string& wire, const RedisLogin& login) {
  if (!login.user.empty()) {
    AppendCommand(wire, {"AUTH", login.user, login.password});
  } else if (!login.password.empty()) {
    AppendCommand(wire, {"AUTH", login.password});
  }
}

Link::Link(event_base* base, Clock& clock, const TlsContext* tls, const LinkOptions& options,
           Owner& owner)
    : base_(base),
      clock_(clock),
      tls_(tls),
      options_(options),
      owner_(owner),
      decoder_(options.reply_bytes_max) {
  timer_.reset(event_new(
      base_, -1, 0,
      [](evutil_socket_t, short, void* self) {
        auto& link = *static_cast<Link*>(self);
        if (link.soon_ != Failure::kNone) {
          link.Fail(link.soon_, std::string(link.soon_text_));
        } else {
          link.Fail(Failure::kTimeout, link.stage_ == Stage::kConnecting
                                           ? "no answer to connect"
                                           : "no answer in the TLS handshake");
        }
      },
      this));
  flush_event_.reset(event_new(
      base_, -1, 0, [](evutil_socket_t, short, void* self) { static_cast<Link*>(self)->Flush(); },
      this));
}

Link::~Link() { Close("the connection was given up"); }

void Link::Connect(const SocketAddress& address, const std::string& host) {
  ++session_;
  stage_ = Stage::kConnecting;
  host_ = host;
  decoder_.Reset();
  if (tls_ != nullptr && address.storage.ss_family == AF_UNIX) {
    FailSoon(Failure::kTls, "Redis offers no TLS on a Unix socket");
    return;
  }
  bool in_progress = false;
  fd_ = StartConnect(address, static_cast<int>(options_.unacknowledged_max_ns / 1'000'000),
                     &in_progress);
  if (fd_ < 0) {
    const int error = -fd_;
    const bool refused = error == ECONNREFUSED || error == ENOENT || error == EAGAIN;
    FailSoon(refused ? Failure::kRefused : Failure::kUnreachable, std::strerror(error));
    return;
  }
  const event_callback_fn callback = [](evutil_socket_t, short, void* self) {
    static_cast<Link*>(self)->OnEvent();
  };
  readable_.reset(event_new(base_, fd_, EV_READ | EV_PERSIST, callback, this));
  writable_.reset(event_new(base_, fd_, EV_WRITE, callback, this));
  event_add(writable_.get(), nullptr);
  StartTimer(timer_, options_.connect_timeout_ns);
}

void Link::OnEvent() {
  switch (stage_) {
    case Stage::kClosed:
      return;
    case Stage::kConnecting:
      OnConnected();
      return;
    case Stage::kHandshaking:
      ContinueHandshake();
      return;
    case Stage::kUp:
      // TLS may have to read to write and to write to read: both are tried after any event.
      const uint64_t session = session_;
      ReadAll();
      if (session == session_ && stage_ == Stage::kUp) Flush();
      return;
  }
}

void Link::OnConnected() {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) {
    Fail(error == ECONNREFUSED ? Failure::kRefused : Failure::kUnreachable, std::strerror(error));
    return;
  }
  if (tls_ == nullptr) {
    stream_ = PlainStream(fd_);
  } else {
    TlsContext::Session session = tls_->NewSession(host_);
    if (session != nullptr) stream_ = TlsStream(fd_, std::move(session));
  }
  if (stream_ == nullptr) {
    Fail(Failure::kTls, absl::StrCat("no TLS session for the name \"", host_, "\""));
    return;
  }
  stage_ = Stage::kHandshaking;
  event_add(readable_.get(), nullptr);
  ContinueHandshake();
}

void Link::ContinueHandshake() {
  const Io io = stream_->Handshake();
  if (io.state == IoState::kWantRead) return;
  if (io.state == IoState::kWantWrite) {
    event_add(writable_.get(), nullptr);
    return;
  }
  if (io.state != IoState::kDone) {
    Fail(Failure::kTls, io.error);
    return;
  }
  event_del(timer_.get());
  stage_ = Stage::kUp;
  owner_.OnUp();
}

bool Link::Send(std::string_view wire, CommandSink& sink) {
  if (stage_ != Stage::kUp) return false;
  if (output_.size() - written_ + wire.size() > options_.output_bytes_max) return false;
  if (sinks_.empty()) owed_since_ns_ = clock_.Now().mono_ns;
  sinks_.push_back(&sink);
  ++sent_;
  output_.append(wire);
  if (!flush_pending_) {
    // Runs in this turn of the loop, after what is ready by now.
    flush_pending_ = true;
    event_active(flush_event_.get(), EV_TIMEOUT, 0);
  }
  return true;
}

void Link::Flush() {
  flush_pending_ = false;
  if (stage_ != Stage::kUp) return;
  while (written_ < output_.size()) {
    const Io io = stream_->Write(std::string_view(output_).substr(written_));
    if (io.state == IoState::kDone) {
      written_ += io.bytes;
      bytes_sent_ += io.bytes;
      continue;
    }
    if (io.state == IoState::kWantWrite) event_add(writable_.get(), nullptr);
    if (io.state == IoState::kWantRead || io.state == IoState::kWantWrite) return;
    // What the server said before it went is read first; the end or the error is met there again.
    return;
  }
  output_.clear();
  written_ = 0;
  if (output_.capacity() > kOutputKeptBytes) output_.shrink_to_fit();
}

void Link::ReadAll() {
  std::array<char, kReadBytes> buffer;
  const uint64_t answered_before = answered();
  for (int i = 0; i < kReadsMax; ++i) {
    const Io io = stream_->Read(buffer);
    if (io.state == IoState::kWantRead) break;
    if (io.state == IoState::kWantWrite) {
      event_add(writable_.get(), nullptr);
      break;
    }
    if (io.state != IoState::kDone) {
      FailIo(io);
      return;
    }
    bytes_received_ += io.bytes;
    if (!Decode(std::string_view(buffer.data(), io.bytes))) return;
    if (io.bytes < buffer.size()) break;
  }
  if (answered() == answered_before) return;
  if (!sinks_.empty()) owed_since_ns_ = clock_.Now().mono_ns;
  owner_.OnReplies();
}

bool Link::Decode(std::string_view bytes) {
  const uint64_t session = session_;
  decoder_.Feed(bytes);
  Reply reply;
  while (true) {
    switch (decoder_.Next(reply)) {
      case ReplyDecoder::State::kMore:
        return true;
      case ReplyDecoder::State::kProtocol:
        Fail(Failure::kProtocol, absl::StrCat("not a Redis reply: ", decoder_.error().data()));
        return false;
      case ReplyDecoder::State::kOversized:
        Fail(Failure::kOversized,
             absl::StrCat("an oversized reply, of more than ", options_.reply_bytes_max, " bytes"));
        return false;
      case ReplyDecoder::State::kReply:
        break;
    }
    if (sinks_.empty()) {
      if (!owner_.OnPush(*reply)) {
        OnUnasked(*reply);
        return false;
      }
    } else {
      CommandSink* const sink = sinks_.front();
      sinks_.pop_front();
      sink->OnReply(*reply);
    }
    if (session != session_ || stage_ != Stage::kUp) return false;
  }
}

// A server that takes no more clients says so before it is asked.
void Link::OnUnasked(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_ERROR) {
    const std::string text(TextOf(reply));
    Fail(ClassifyError(text).failure, text);
  } else {
    Fail(Failure::kProtocol, "a reply that nobody asked for");
  }
}

void Link::FailIo(const Io& io) {
  if (io.state == IoState::kEnd) {
    Fail(Failure::kLost, "the server closed the connection");
  } else if (io.state == IoState::kTimedOut) {
    Fail(Failure::kTimeout, "the other side acknowledges nothing");
  } else {
    Fail(io.state == IoState::kTlsError ? Failure::kTls : Failure::kLost, io.error);
  }
}

void Link::FailSoon(Failure failure, std::string text) {
  soon_ = failure;
  soon_text_ = std::move(text);
  StartTimer(timer_, 0);
}

void Link::Fail(Failure failure, const std::string& text) {
  TearDown();
  FailSinks(text);
  owner_.OnDown(failure, text);
}

void Link::Close(std::string_view text) {
  TearDown();
  FailSinks(text);
}

void Link::TearDown() {
  stage_ = Stage::kClosed;
  soon_ = Failure::kNone;
  event_del(timer_.get());
  readable_.reset();
  writable_.reset();
  stream_.reset();
  if (fd_ >= 0) close(fd_);
  fd_ = -1;
  output_.clear();
  output_.shrink_to_fit();
  written_ = 0;
}

void Link::FailSinks(std::string_view text) {
  // Sinks may look at the link, and find nothing owed.
  std::deque<CommandSink*> sinks;
  sinks.swap(sinks_);
  for (CommandSink* const sink : sinks) sink->OnFailure(Failure::kLost, text);
}

}  // namespace weir
