#include "limiter/store/redis/reach.h"

#include <optional>
#include <utility>

#include "limiter/store/redis/resolver.h"

namespace weir {
namespace {

constexpr std::size_t kSocketsOfName = 4;

}  // namespace

Reach::Reach(const Primary::Environment& environment, const ReachOptions& options, Owner& owner)
    : environment_(environment),
      options_(options),
      owner_(owner),
      alive_(std::make_shared<Reach*>(this)),
      login_sink_(*this),
      link_(environment.base, environment.clock, options.tls, options.link, *this) {}

void Reach::Begin(const RedisAddress& server) {
  server_ = server;
  trying_ = true;
  ++attempt_;
  std::optional<std::vector<SocketAddress>> known = ResolveNumeric(server_);
  if (known.has_value()) {
    OnResolved(*std::move(known));
    return;
  }
  environment_.resolver.Post([&loop = environment_.loop, name = server_,
                              weak = std::weak_ptr<Reach*>(alive_), attempt = attempt_] {
    loop.Post([weak, attempt, resolved = ResolveName(name, kSocketsOfName)] {
      const std::shared_ptr<Reach*> alive = weak.lock();
      if (alive == nullptr) return;
      Reach& reach = **alive;
      if (reach.trying_ && reach.attempt_ == attempt) reach.OnResolved(resolved);
    });
  });
}

void Reach::End() {
  trying_ = false;
  link_.Close("the connection is not needed any more");
}

void Reach::OnResolved(absl::StatusOr<std::vector<SocketAddress>> sockets) {
  if (!sockets.ok()) {
    Give(std::string(sockets.status().message()));
    return;
  }
  sockets_ = *std::move(sockets);
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
  RedisLogin login;
  if (options_.login != nullptr) login = options_.login();
  std::string wire;
  if (!login.user.empty()) {
    AppendCommand(wire, {"AUTH", login.user, login.password});
  } else if (!login.password.empty()) {
    AppendCommand(wire, {"AUTH", login.password});
  }
  if (!wire.empty()) link_.Send(wire, login_sink_);
  owner_.OnReached(link_);
  link_.Flush();
}

void Reach::OnDown(Failure failure, std::string_view text) {
  const bool connecting = failure == Failure::kRefused || failure == Failure::kUnreachable;
  if (connecting) {
    ConnectNext(text);
  } else {
    Give(text);
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
