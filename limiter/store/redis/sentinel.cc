#include "limiter/store/redis/sentinel.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/redis/resolver.h"

namespace weir {
namespace {

constexpr std::size_t kHostBytesMax = 255;
constexpr std::size_t kSocketsOfName = 4;

// What a sentinel answered; nullopt: no address.
std::optional<RedisAddress> ReadAddress(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2) return std::nullopt;
  const std::string_view host = TextOf(*reply.element[0]);
  const std::string_view port = TextOf(*reply.element[1]);
  const auto printable = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; };
  if (host.empty() || host.size() > kHostBytesMax ||
      !std::all_of(host.begin(), host.end(), printable)) {
    return std::nullopt;
  }
  RedisAddress address;
  address.host = host;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port == 0) {
    return std::nullopt;
  }
  return address;
}

}  // namespace

// One sentinel and what came of asking it.
class SentinelAddress::Asker final : private Link::Owner {
 public:
  Asker(SentinelAddress& owner, const RedisAddress& sentinel)
      : owner_(owner),
        sentinel_(sentinel),
        login_sink_(*this, true),
        address_sink_(*this, false),
        link_(owner.environment_.base, owner.environment_.clock, owner.options_.tls,
              owner.options_.link, *this) {}

  void Begin() {
    done_ = false;
    address_.reset();
    said_ = "no answer in time";
    std::optional<std::vector<SocketAddress>> known = ResolveNumeric(sentinel_);
    if (known.has_value()) {
      OnResolved(*std::move(known));
      return;
    }
    const Primary::Environment& environment = owner_.environment_;
    environment.resolver.Post([&loop = environment.loop, name = sentinel_, this,
                               weak = std::weak_ptr<SentinelAddress*>(owner_.alive_),
                               search = owner_.search_] {
      loop.Post([weak, search, this, resolved = ResolveName(name, kSocketsOfName)] {
        const std::shared_ptr<SentinelAddress*> alive = weak.lock();
        if (alive == nullptr || (*alive)->search_ != search || (*alive)->found_ == nullptr) return;
        OnResolved(resolved);
      });
    });
  }

  void End() {
    done_ = true;
    link_.Close("the search is over");
  }

  bool done() const { return done_; }
  const std::optional<RedisAddress>& address() const { return address_; }
  std::string Text() const { return RedisAddressText(sentinel_) + ": " + said_; }

 private:
  class Sink final : public CommandSink {
   public:
    Sink(Asker& asker, bool login) : asker_(asker), login_(login) {}
    void OnReply(const redisReply& reply) override { asker_.OnReply(reply, login_); }
    void OnFailure(Failure /*failure*/, std::string_view text) override { asker_.Say(text); }

   private:
    Asker& asker_;
    const bool login_;
  };

  void OnResolved(absl::StatusOr<std::vector<SocketAddress>> sockets) {
    if (!sockets.ok()) {
      Say(std::string(sockets.status().message()));
      return;
    }
    sockets_ = *std::move(sockets);
    next_ = 0;
    ConnectNext("no address");
  }

  void ConnectNext(std::string_view why) {
    if (next_ == sockets_.size()) {
      Say(why);
    } else {
      link_.Connect(sockets_[next_++], sentinel_.host);
    }
  }

  void OnUp() override {
    RedisLogin login;
    if (owner_.options_.login != nullptr) login = owner_.options_.login();
    std::string wire;
    if (!login.user.empty()) {
      AppendCommand(wire, {"AUTH", login.user, login.password});
    } else if (!login.password.empty()) {
      AppendCommand(wire, {"AUTH", login.password});
    }
    if (!wire.empty()) link_.Send(wire, login_sink_);
    wire.clear();
    AppendCommand(wire, {"SENTINEL", "get-master-addr-by-name", owner_.options_.master});
    link_.Send(wire, address_sink_);
    link_.Flush();
  }
  void OnReplies() override {}
  void OnDown(Failure failure, std::string_view text) override {
    if (done_) return;
    const bool connecting = failure == Failure::kRefused || failure == Failure::kUnreachable;
    if (connecting) {
      ConnectNext(text);
    } else {
      Say(text);
    }
  }

  void OnReply(const redisReply& reply, bool login) {
    if (reply.type == REDIS_REPLY_ERROR) {
      Say(login ? "AUTH: " + std::string(TextOf(reply)) : std::string(TextOf(reply)));
    } else if (login || done_) {
      return;
    } else if (reply.type == REDIS_REPLY_NIL ||
               (reply.type == REDIS_REPLY_ARRAY && reply.elements == 0)) {
      Say("knows no master " + owner_.options_.master);
    } else {
      address_ = ReadAddress(reply);
      Say(address_.has_value() ? "ok" : "its answer is not a host and a port");
    }
  }

  // The first thing it said counts: what follows an error of AUTH only repeats it.
  void Say(std::string_view text) {
    if (done_) return;
    done_ = true;
    said_ = text;
    owner_.OnProgress();
  }

  SentinelAddress& owner_;
  const RedisAddress sentinel_;
  Sink login_sink_;
  Sink address_sink_;
  Link link_;
  std::vector<SocketAddress> sockets_;
  std::size_t next_ = 0;
  bool done_ = true;
  std::optional<RedisAddress> address_;
  std::string said_;
};

SentinelAddress::SentinelAddress(const Primary::Environment& environment, SentinelOptions options)
    : environment_(environment),
      options_(std::move(options)),
      alive_(std::make_shared<SentinelAddress*>(this)) {
  end_.reset(event_new(
      environment_.base, -1, 0,
      [](evutil_socket_t, short, void* self) { static_cast<SentinelAddress*>(self)->Finish(); },
      this));
  for (const RedisAddress& sentinel : options_.sentinels) {
    askers_.push_back(std::make_unique<Asker>(*this, sentinel));
  }
}

SentinelAddress::~SentinelAddress() {
  found_ = nullptr;
  for (const auto& asker : askers_) asker->End();
}

void SentinelAddress::Find(Found found) {
  found_ = nullptr;
  for (const auto& asker : askers_) asker->End();
  ++search_;
  found_ = std::move(found);
  const int64_t in_ns = options_.link.connect_timeout_ns;
  const timeval in = {static_cast<time_t>(in_ns / 1'000'000'000),
                      static_cast<suseconds_t>(in_ns % 1'000'000'000 / 1'000)};
  event_add(end_.get(), &in);
  for (const auto& asker : askers_) asker->Begin();
}

void SentinelAddress::OnProgress() {
  if (found_ == nullptr) return;
  bool all_done = true;
  bool known = false;
  for (const auto& asker : askers_) {
    all_done = all_done && asker->done();
    known = known || asker->address().has_value();
  }
  // From the loop, since connections are closed then, and this may run within one of their calls.
  if (all_done || known) event_active(end_.get(), EV_TIMEOUT, 0);
}

void SentinelAddress::Finish() {
  if (found_ == nullptr) return;
  event_del(end_.get());
  std::string said = absl::StrCat("no sentinel names the master ", options_.master);
  std::optional<RedisAddress> address;
  for (const auto& asker : askers_) {
    if (!address.has_value()) address = asker->address();
    said += "; " + asker->Text();
  }
  const Found found = std::exchange(found_, nullptr);
  for (const auto& asker : askers_) asker->End();
  if (address.has_value()) {
    found(*std::move(address));
  } else {
    found(absl::UnavailableError(said));
  }
}

}  // namespace weir
