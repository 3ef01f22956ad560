#include "limiter/store/redis/reach.h"

#include <optional>
#include <utility>

#include "limiter/store/redis/resolver.h"

namespace weir {
namespace {

constexpr std::size_t kSocketsOfName = 4;
constexpr int64_t kNameKnownNs = 5'000'000'000;

}  // namespace

void Names::Find(const RedisAddress& address, Told told) {
  std::optional<std::vector<SocketAddress>> numeric = ResolveNumeric(address);
  if (numeric.has_value()) {
    told(*std::move(numeric));
    return;
  }
  std::string key = RedisAddressText(address);
  Name& name = names_[key];
  const int64_t age_ns = environment_.clock.Now().mono_ns - name.known_mono_ns;
  if (name.sockets.ok() && age_ns < kNameKnownNs) {
    told(name.sockets);
    return;
  }
  name.waiting.push_back(std::move(told));
  if (name.waiting.size() > 1) return;
  environment_.resolver.Post([&loop = environment_.loop, address, key = std::move(key),
                              weak = std::weak_ptr<Names*>(alive_)] {
    loop.Post([weak, key, resolved = ResolveName(address, kSocketsOfName)] {
      if (const std::shared_ptr<Names*> alive = weak.lock()) (*alive)->OnFound(key, resolved);
    });
  });
}

void Names::OnFound(const std::string& key, Sockets sockets) {
  Name& name = names_[key];
  name.sockets = std::move(sockets);
  name.known_mono_ns = environment_.clock.Now().mono_ns;
  const Sockets found = name.sockets;
  for (const Told& told : std::exchange(name.waiting, {})) told(found);
}

Reach::Reach(const Primary::Environment& environment, const ReachOptions& options, Names& names,
             Owner& owner)
    : options_(options),
      names_(names),
      owner_(owner),
      alive_(std::make_shared<Reach*>(this)),
      login_sink_(*this),
      link_(environment.base, environment.clock, options.tls, options.link, *this) {}

void Reach::Begin(const RedisAddress& server) {
  server_ = server;
  trying_ = true;
  reached_ = false;
  ++attempt_;
  names_.Find(server_, [weak = std::weak_ptr<Reach*>(alive_),
                        attempt = attempt_](const Names::Sockets& sockets) {
    const std::shared_ptr<Reach*> alive = weak.lock();
    if (alive == nullptr) return;
    Reach& reach = **alive;
    if (reach.trying_ && reach.attempt_ == attempt) reach.OnResolved(sockets);
  });
}

void Reach::End() {
  trying_ = false;
  link_.Close("the connection is not needed any more");
}

void Reach::OnResolved(const Names::Sockets& sockets) {
  if (!sockets.ok()) {
    Give(std::string(sockets.status().message()));
    return;
  }
  sockets_ = *sockets;
  next_ = 0;
  ConnectNext("no address");
}

void Reach::ConnectNext(std::string_view why) {
  if (next_ == sockets_.size()) {
    Give(why);
  } else {
    link_.Connect(sockets_[next_++], server_.host);
  }
}

void Reach::Give(std::string_view why) {
  if (!std::exchange(trying_, false)) return;
  owner_.OnUnreached(why);
}

void Reach::OnUp() {
  reached_ = true;
  RedisLogin login;
  if (options_.login != nullptr) login = options_.login();
  std::string wire;
  AppendLogin(wire, login);
  if (!wire.empty()) link_.Send(wire, login_sink_);
  owner_.OnReached(link_);
  link_.Flush();
}

void Reach::OnDown(Failure /*failure*/, std::string_view text) {
  if (reached_) {
    Give(text);
  } else {
    ConnectNext(text);
  }
}

void Reach::LoginSink::OnReply(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ERROR) return;
  const std::string text = "AUTH: " + std::string(TextOf(reply));
  // The owner first: what it sent fails only because of this.
  reach_.Give(text);
  reach_.link_.Close(text);
}

}  // namespace weir
