#pragma once

// What is said on a new connection before the first call: AUTH, SELECT, CLIENT SETNAME, INFO; and
// once the server is known to be a primary, SCRIPT LOAD of every script and the META record. Each
// half is one pipeline, so a handshake takes two round trips.
//
// Thread safety: the loop's thread only.

#include <hiredis/hiredis.h>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/store/redis/address.h"
#include "limiter/store/redis/command.h"
#include "limiter/store/redis/failure.h"
#include "limiter/store/redis/link.h"
#include "limiter/store/redis/meta.h"
#include "limiter/store/redis/scripts.h"

namespace weir {

struct HandshakePlan {
  RedisLogin login;
  int db = 0;
  std::string_view client_name;  // empty: none
  std::span<const Script> scripts;
  bool with_meta = false;  // `scripts` has the meta script
  std::string_view meta_key;
  Meta proposal;
};

struct HandshakeResult {
  std::string version;
  std::string replication_id;  // master_replid
  std::optional<Meta> meta;    // with_meta
};

class Handshake {
 public:
  class Owner {
   public:
    virtual void OnHandshakeDone(const HandshakeResult& result) = 0;
    virtual void OnHandshakeFailed(Failure failure, std::string_view text) = 0;

   protected:
    virtual ~Owner() = default;
  };

  Handshake(Link& link, Owner& owner) : link_(link), owner_(owner) {}
  Handshake(const Handshake&) = delete;
  Handshake& operator=(const Handshake&) = delete;

  // Ends in one call of the owner, unless the link closes first: then in none. What `plan` views
  // lives until then. REQUIRES: the link is up and owes nothing.
  void Begin(const HandshakePlan& plan);

 private:
  enum class Kind { kAuth, kSelect, kName, kServer, kReplication, kScript, kMeta };

  class Step final : public CommandSink {
   public:
    Step(Handshake& handshake, Kind kind, const Script* script)
        : handshake_(handshake), kind_(kind), script_(script) {}
    void OnReply(const redisReply& reply) override { handshake_.OnReply(*this, reply); }
    void OnFailure(Failure /*failure*/, std::string_view /*text*/) override {}
    Kind kind() const { return kind_; }
    const Script* script() const { return script_; }

   private:
    Handshake& handshake_;
    const Kind kind_;
    const Script* const script_;
  };

  void Say(Kind kind, std::string_view wire, const Script* script = nullptr);
  void BeginSecondHalf();
  void OnReply(const Step& step, const redisReply& reply);
  void OnError(const Step& step, std::string_view text);
  // A reply that is no error.
  void Take(const Step& step, const redisReply& reply);
  void Fail(Failure failure, std::string_view text);

  Link& link_;
  Owner& owner_;
  HandshakePlan plan_;
  HandshakeResult result_;
  std::vector<Step> steps_;  // reserved before the first Say: the link holds their addresses
  std::size_t answered_ = 0;
  bool second_half_ = false;
  bool over_ = true;
};

}  // namespace weir
