// What primary.cc leaves out: the commands of the owner.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "limiter/store/redis/primary.h"
#include "limiter/store/redis/script_call.h"

namespace weir {
namespace {

void Count(std::atomic<uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

}  // namespace

bool Primary::Send(std::string_view wire, const Script* script, CommandSink& sink) {
  const PrimaryState now = state();
  if (stage_ != Stage::kUp || (now != PrimaryState::kConnected && now != PrimaryState::kSuspect)) {
    return false;
  }
  if (in_flight_ >= options_.in_flight_max) {
    Count(stats_.refused);
    return false;
  }
  Call& call = TakeCall();
  call.sink = &sink;
  call.script = script;
  call.resent = false;
  if (script != nullptr) call.wire.assign(wire);
  if (!link_.Send(wire, call)) {
    Count(stats_.refused);
    Free(call);
    return false;
  }
  Count(stats_.commands);
  ArmOwed(options_.isolated_after_ns);
  return true;
}

Primary::Call& Primary::TakeCall() {
  if (free_calls_.empty()) {
    calls_.push_back(std::make_unique<Call>(*this));
    free_calls_.push_back(calls_.back().get());
  }
  Call& call = *free_calls_.back();
  free_calls_.pop_back();
  stats_.in_flight.store(++in_flight_, std::memory_order_relaxed);
  return call;
}

void Primary::Free(Call& call) {
  free_calls_.push_back(&call);
  stats_.in_flight.store(--in_flight_, std::memory_order_relaxed);
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
  if (!link_.Send(call.wire, call)) return false;
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
