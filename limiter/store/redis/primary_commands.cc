// What primary.cc leaves out: the commands of the owner.

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "limiter/store/redis/primary.h"
#include "limiter/store/redis/script_call.h"

namespace weir {
namespace {

constexpr std::string_view kAskingCommand = "*1\r\n$6\r\nASKING\r\n";

void Count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

bool Primary::Send(std::string_view wire, const Script* script, CommandSink& sink, bool asking) {
  if (stage_ != Stage::kUp || !TakesCalls(state())) return false;
  if (calls_.out() >= options_.in_flight_max) {
    Count(stats_.refused);
    return false;
  }
  Call& call = calls_.Take(*this);
  stats_.in_flight.store(calls_.out(), std::memory_order_relaxed);
  call.sink = &sink;
  call.script = script;
  call.asking = asking;
  call.resent = false;
  if (script != nullptr) call.wire.assign(wire);
  if (!SendCall(call, wire)) {
    Count(stats_.refused);
    Free(call);
    return false;
  }
  Count(stats_.commands);
  ArmOwed(options_.isolated_after_ns);
  return true;
}

bool Primary::SendCall(Call& call, std::string_view wire) {
  if (call.asking && !link_.Send(kAskingCommand, asked_)) return false;
  return link_.Send(wire, call);
}

void Primary::Free(Call& call) {
  calls_.Put(call);
  stats_.in_flight.store(calls_.out(), std::memory_order_relaxed);
}

void Primary::EndCall(Call& call, Failure failure, std::string_view text) {
  Count(stats_.command_failures[static_cast<std::size_t>(failure)]);
  CommandSink& sink = *call.sink;
  Free(call);
  sink.OnFailure(failure, text);
}

void Primary::OnCallReply(Call& call, const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ERROR) {
    CommandSink& sink = *call.sink;
    Free(call);
    sink.OnReply(reply);
    return;
  }
  const std::string_view text = TextOf(reply);
  const FailureRow& row = ClassifyError(text);
  if (row.effect == FailureEffect::kResend && Resend(call)) return;
  NoteErrorReply(row, text);
  EndCall(call, row.failure, text);
  if (row.effect == FailureEffect::kRecover && stage_ == Stage::kUp) Lose(row.failure, text);
}

// Replies come in order, so every NOSCRIPT that was under way before the load asks for none of its
// own.
bool Primary::Resend(Call& call) {
  if (call.script == nullptr || call.resent) return false;
  for (Load& load : loads_) {
    if (load.script->sha1 != call.script->sha1 || load.pending) continue;
    std::string wire;
    AppendScriptLoad(*load.script, wire);
    load.pending = link_.Send(wire, *load.sink);
  }
  call.resent = true;
  if (!SendCall(call, call.wire)) return false;
  Count(stats_.script_resends);
  return true;
}

void Primary::NoteErrorReply(const FailureRow& row, std::string_view text) {
  if (row.effect == FailureEffect::kRedirect) return;  // usual in a cluster
  std::string what = absl::StrCat(addresses_[address_index_].text, ": ");
  Note(NoteLevel::kWarning, kCommandNotes + static_cast<std::size_t>(row.failure),
       WithRemedy(what.append(text), row));
}

}  // namespace weir
