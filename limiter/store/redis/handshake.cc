#include "limiter/store/redis/handshake.h"

#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/store/redis/script_call.h"
#include "limiter/store/redis/server_info.h"

namespace weir {
namespace {

// The most steps of the first half, and META.
constexpr std::size_t kOtherSteps = 6;

}  // namespace

void Handshake::Begin(const HandshakePlan& plan) {
  plan_ = plan;
  result_ = {};
  answered_ = 0;
  second_half_ = false;
  over_ = false;
  steps_.clear();
  steps_.reserve(kOtherSteps + plan.scripts.size());
  std::string wire;
  const auto say = [&](Kind kind, std::initializer_list<std::string_view> arguments) {
    wire.clear();
    AppendCommand(wire, arguments);
    Say(kind, wire);
  };
  AppendLogin(wire, plan.login);
  if (!wire.empty()) Say(Kind::kAuth, wire);
  if (plan.db != 0) say(Kind::kSelect, {"SELECT", absl::StrCat(plan.db)});
  if (!plan.client_name.empty()) say(Kind::kName, {"CLIENT", "SETNAME", plan.client_name});
  say(Kind::kServer, {"INFO", "server"});
  say(Kind::kReplication, {"INFO", "replication"});
  link_.Flush();
}

void Handshake::BeginSecondHalf() {
  second_half_ = true;
  std::string wire;
  for (const Script& script : plan_.scripts) {
    wire.clear();
    AppendScriptLoad(script, wire);
    Say(Kind::kScript, wire, &script);
  }
  if (plan_.with_meta) {
    wire.clear();
    AppendMetaCall(wire, plan_.meta_key, plan_.proposal);
    Say(Kind::kMeta, wire);
  }
  link_.Flush();
}

void Handshake::Say(Kind kind, std::string_view wire, const Script* script) {
  link_.Send(wire, steps_.emplace_back(*this, kind, script));
}

void Handshake::OnReply(const Step& step, const redisReply& reply) {
  if (over_) return;
  ++answered_;
  if (reply.type == REDIS_REPLY_ERROR) {
    OnError(step, TextOf(reply));
  } else {
    Take(step, reply);
  }
  if (over_ || answered_ < steps_.size()) return;
  if (!second_half_) BeginSecondHalf();
  if (answered_ < steps_.size()) return;
  over_ = true;
  owner_.OnHandshakeDone(result_);
}

void Handshake::OnError(const Step& step, std::string_view text) {
  const FailureRow& row = ClassifyError(text);
  // The name is for people who look at CLIENT LIST; a user without the right to it can still work.
  if (step.kind() == Kind::kName && row.effect != FailureEffect::kRecover) return;
  std::string_view command;
  switch (step.kind()) {
    case Kind::kAuth:
      command = "AUTH";
      break;
    case Kind::kSelect:
      command = "SELECT";
      break;
    case Kind::kName:
      command = "CLIENT SETNAME";
      break;
    case Kind::kServer:
    case Kind::kReplication:
      command = "INFO";
      break;
    case Kind::kScript:
      command = "SCRIPT LOAD";
      break;
    case Kind::kMeta:
      command = "the META script";
      break;
  }
  std::string what(command);
  what.append(": ").append(text);
  Fail(row.failure, what);
}

void Handshake::Take(const Step& step, const redisReply& reply) {
  switch (step.kind()) {
    case Kind::kAuth:
    case Kind::kSelect:
    case Kind::kName:
      return;
    case Kind::kServer:
      result_.version = VersionText(TextOf(reply));
      return;
    case Kind::kReplication: {
      const std::string_view role = InfoValue(TextOf(reply), "role");
      result_.replication_id = InfoValue(TextOf(reply), "master_replid");
      if (role == "master") return;
      std::string what = "INFO replication says role:";
      Fail(role.empty() ? Failure::kProtocol : Failure::kReplica, what.append(role));
      return;
    }
    case Kind::kScript:
      // Another digest means another text arrived than every EVALSHA would name.
      if (TextOf(reply) == step.script()->sha1) return;
      Fail(Failure::kProtocol, "SCRIPT LOAD answered with another digest");
      return;
    case Kind::kMeta:
      break;
  }
  absl::StatusOr<Meta> meta = DecodeMeta(reply);
  if (!meta.ok()) {
    Fail(Failure::kMeta, std::string(meta.status().message()));
  } else if (meta->format != plan_.proposal.format) {
    Fail(Failure::kMeta, absl::StrCat("the META record has format ", meta->format,
                                      ", this release writes ", plan_.proposal.format));
  } else {
    result_.meta = *meta;
  }
}

void Handshake::Fail(Failure failure, std::string_view text) {
  over_ = true;
  owner_.OnHandshakeFailed(failure, text);
}

}  // namespace weir
