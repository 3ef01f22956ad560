#include "limiter/store/redis/counter_call.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "algorithms/fixed_window.h"
#include "limiter/store/redis/command.h"

namespace weir {
namespace {

int64_t Capped(uint64_t hits) { return static_cast<int64_t>(std::min(hits, kCountMax)); }

// Whether no count lets the call pass, and it charges nothing then.
bool NeverCharges(const CounterCall& call) {
  return call.op == Op::kTake && (call.hits == 0 || (!call.drain && call.hits > call.limit.hits));
}

uint64_t RemainingAt(const Limit& limit, uint64_t count) {
  return limit.hits > count ? limit.hits - count : 0;
}

}  // namespace

std::optional<int64_t> FirstChange(const CounterCall& call) {
  const bool adds = call.op == Op::kReport || (call.op == Op::kTake && !NeverCharges(call));
  if (!adds || call.hits == 0) return std::nullopt;
  return Capped(call.hits);
}

int64_t ChangeAfterRead(const CounterCall& call, int64_t count) {
  if (call.op != Op::kRefund) return 0;
  return -std::min(Capped(call.hits), std::max<int64_t>(count, 0));
}

int64_t ChangeAfterAdd(const CounterCall& call, int64_t count) {
  const bool denied = call.op == Op::kTake && count > int64_t{call.limit.hits};
  return denied && !call.drain ? -Capped(call.hits) : 0;
}

int64_t ChangeAfterRefund(int64_t change, int64_t count) {
  return count < 0 ? -std::max(change, count) : 0;
}

void AppendRead(std::string_view key, std::string& wire) { AppendCommand(wire, {"GET", key}); }

void AppendAdd(std::string_view key, int64_t change, std::string& wire) {
  AppendCommand(wire, {"INCRBY", key, std::to_string(change)});
}

void AppendExpire(std::string_view key, int64_t expiry_s, std::string& wire) {
  AppendCommand(wire, {"EXPIRE", key, std::to_string(expiry_s)});
}

void AppendDelete(std::string_view key, std::string& wire) { AppendCommand(wire, {"DEL", key}); }

absl::StatusOr<int64_t> ReadCount(const redisReply& reply) {
  if (reply.type == REDIS_REPLY_INTEGER) return reply.integer;
  if (reply.type == REDIS_REPLY_NIL) return 0;
  int64_t count = 0;
  const std::string_view text = TextOf(reply);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (reply.type != REDIS_REPLY_STRING || error != std::errc() ||
      end != text.data() + text.size() || text.empty()) {
    return absl::InternalError("a counter that is shared holds no number");
  }
  return count;
}

std::optional<int64_t> SaturatedCount(int64_t change, std::string_view error) {
  if (error.find("would overflow") == std::string_view::npos) return std::nullopt;
  using Range = std::numeric_limits<int64_t>;
  return change > 0 ? Range::max() : Range::min();
}

CounterReply AnswerAt(const CounterCall& call, int64_t count, int64_t now_ns) {
  const Limit& limit = call.limit;
  // The clock may have moved out of the window meanwhile; the call still belongs to it.
  const int64_t start_ns = call.window_end_ns - limit.window_ns;
  const int64_t at_ns = std::clamp(now_ns, start_ns, call.window_end_ns - 1);
  const uint64_t before = std::min(static_cast<uint64_t>(std::max<int64_t>(count, 0)), kCountMax);
  fixed_window::State state{start_ns / limit.window_ns, before};
  CounterReply reply;
  reply.remaining_before = RemainingAt(limit, before);
  switch (call.op) {
    case Op::kTake:
      reply.decision = fixed_window::Take(limit, state, at_ns, call.hits);
      if (!reply.decision.allowed && call.drain && call.hits > 0) {
        reply.decision = fixed_window::Drain(limit, state, at_ns, call.hits);
      }
      break;
    case Op::kPeek:
      reply.decision = fixed_window::Peek(limit, state, at_ns, call.hits);
      break;
    case Op::kReport:
      reply.decision = fixed_window::Report(limit, state, at_ns, call.hits);
      break;
    case Op::kRefund:
      reply.decision = fixed_window::Refund(limit, state, at_ns, call.hits);
      break;
    case Op::kReset:
      reply.decision = fixed_window::Peek(limit, {}, at_ns, call.hits);
      break;
  }
  return reply;
}

}  // namespace weir
