#pragma once

// A connection to one server, made without ado: its name is looked up, its addresses are tried in
// turn, and it is logged in to. For questions to servers that decide nothing.
//
// Thread safety: the loop's thread only.

#include <hiredis/hiredis.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/store/redis/link.h"
#include "limiter/store/redis/primary.h"

namespace weir {

// Looks names up, each once at a time and no more often than every few seconds: searches that end
// before a slow answer came find it there the next time.
class Names {
 public:
  using Sockets = absl::StatusOr<std::vector<SocketAddress>>;
  using Told = std::function<void(const Sockets&)>;

  explicit Names(const Primary::Environment& environment)
      : environment_(environment), alive_(std::make_shared<Names*>(this)) {}

  // `told` is called once, now or later, on the loop's thread; never if the names are gone by then.
  void Find(const RedisAddress& address, Told told);

 private:
  struct Name {
    Sockets sockets = absl::UnknownError("never looked up");
    int64_t known_mono_ns = 0;
    std::vector<Told> waiting;  // for the answer under way
  };
  void OnFound(const std::string& key, Sockets sockets);

  const Primary::Environment environment_;
  const std::shared_ptr<Names*> alive_;  // callbacks look here whether this object still lives
  std::map<std::string, Name> names_;
};

struct ReachOptions {
  std::function<RedisLogin()> login;  // asked on each connection; null: none
  const TlsContext* tls = nullptr;    // null: plain
  LinkOptions link;
};

class Reach final : private Link::Owner {
 public:
  class Owner {
   public:
    // Commands can be sent. Whether the login was right is not known yet.
    virtual void OnReached(Link& link) = 0;
    // The connection is over, or could not be made, and why. Not called for End.
    virtual void OnUnreached(std::string_view why) = 0;
    // A reply that no command waits for.
    virtual bool OnPush(const redisReply& /*reply*/) { return false; }

   protected:
    virtual ~Owner() = default;
  };

  // All of it outlives the reach; the environment as Primary has it.
  Reach(const Primary::Environment& environment, const ReachOptions& options, Names& names,
        Owner& owner);
  ~Reach() { End(); }

  // REQUIRES: not begun, ended or unreached. The owner may be told within the call.
  void Begin(const RedisAddress& server);
  void End();
  Link& link() { return link_; }

 private:
  class LoginSink final : public CommandSink {
   public:
    explicit LoginSink(Reach& reach) : reach_(reach) {}
    void OnReply(const redisReply& reply) override;
    void OnFailure(Failure /*failure*/, std::string_view /*text*/) override {}

   private:
    Reach& reach_;
  };

  void OnResolved(const Names::Sockets& sockets);
  void ConnectNext(std::string_view why);
  void Give(std::string_view why);  // up
  void OnUp() override;
  void OnReplies() override {}
  bool OnPush(const redisReply& reply) override { return owner_.OnPush(reply); }
  void OnDown(Failure failure, std::string_view text) override;

  const ReachOptions& options_;
  Names& names_;
  Owner& owner_;
  // Callbacks from elsewhere look here whether this object still lives.
  const std::shared_ptr<Reach*> alive_;
  LoginSink login_sink_;
  Link link_;
  RedisAddress server_;
  std::vector<SocketAddress> sockets_;
  std::size_t next_ = 0;
  uint64_t attempt_ = 0;
  bool trying_ = false;
  bool reached_ = false;
};

}  // namespace weir
