#include "limiter/store/redis/script_call.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "algorithms/fixed_window.h"
#include "algorithms/saturate.h"
#include "algorithms/sliding_window.h"
#include "algorithms/token_bucket.h"

namespace weir {
namespace {

constexpr int64_t kNsPerUs = 1'000;
// Longest B*E counted in nanoseconds: twice this is still exact in a double.
constexpr int64_t kBurstNsMax = int64_t{1} << 52;
// Doubles are exact up to here.
constexpr int64_t kNumberMax = int64_t{1} << 53;

// Where each number of a limit's reply stands: the same in all three scripts.
enum ReplyIndex : std::size_t {
  kNow,
  kAllowed,
  kGranted,
  kTtl,
  kRemaining,
  kRemainingBefore,
  kReset,
  kRetry,
  kNextHit,
  kClockFault,
  kReplyNumbers,
};

int64_t CeilUs(int64_t ns) { return ns / kNsPerUs + (ns % kNsPerUs == 0 ? 0 : 1); }

// A token bucket in the units of its script.
struct Bucket {
  int64_t per_us;
  int64_t emission;
  int64_t burst;
  int64_t ns_per_unit() const { return kNsPerUs / per_us; }
};

Bucket BucketOf(const Limit& limit) {
  if (limit.burst_ns <= kBurstNsMax) return {kNsPerUs, limit.emission_ns, limit.burst_ns};
  const int64_t emission_us = CeilUs(limit.emission_ns);
  return {1, emission_us, emission_us * limit.capacity};
}

int64_t NsPerUnit(const Limit& limit) {
  return limit.algorithm == Algorithm::kTokenBucket ? BucketOf(limit).ns_per_unit() : kNsPerUs;
}

void AppendBulk(std::string_view text, std::string& wire) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), text.size()).ptr;
  wire += '$';
  wire.append(digits.begin(), end);
  wire += "\r\n";
  wire += text;
  wire += "\r\n";
}

void AppendNumber(int64_t number, std::string& wire) {
  std::array<char, 20> digits;
  const auto end = std::to_chars(digits.begin(), digits.end(), number).ptr;
  AppendBulk({digits.begin(), static_cast<std::size_t>(end - digits.begin())}, wire);
}

void AppendHead(ScriptId id, std::string_view count, std::string_view key, std::string& wire) {
  wire += count;
  wire += "$7\r\nEVALSHA\r\n$40\r\n";
  wire += ScriptOf(id).sha1;
  wire += "\r\n$1\r\n1\r\n";
  AppendBulk(key, wire);
}

std::string_view NameOf(Op op) {
  switch (op) {
    case Op::kTake:
      return "take";
    case Op::kReport:
      return "report";
    case Op::kRefund:
      return "refund";
    case Op::kPeek:
    case Op::kReset:
      break;
  }
  return "peek";
}

// The arguments after the operation, nine for each script.
using Numbers = std::array<int64_t, 9>;

Numbers NumbersOf(const ScriptCall& call) {
  const Limit& limit = call.limit;
  const LeaseAsk& lease = call.lease;
  const int64_t hits = static_cast<int64_t>(std::min(call.hits, kCountMax));
  const int64_t want = static_cast<int64_t>(std::min(lease.want, kCountMax));
  const int64_t share = std::max<uint32_t>(lease.share, 1);
  const int64_t life_us = CeilUs(lease.life_ns);
  const int64_t drain = call.drain ? 1 : 0;
  switch (limit.algorithm) {
    case Algorithm::kTokenBucket: {
      const Bucket bucket = BucketOf(limit);
      const int64_t cost = ScaleCapped(call.hits, bucket.emission, bucket.burst + 1);
      const int64_t life = bucket.per_us == 1 ? life_us : lease.life_ns;
      return {bucket.per_us, bucket.emission, bucket.burst, hits, cost, want, share, life, drain};
    }
    case Algorithm::kSlidingWindow: {
      const int64_t life_max_us =
          CeilUs(lease.life_max_ns == kLifeMaxOfLimit ? LeaseLifeMaxNs(limit) : lease.life_max_ns);
      return {limit.hits, CeilUs(limit.bucket_ns),        limit.precision, hits, want,
              share,      std::min(life_us, life_max_us), life_max_us,     drain};
    }
    case Algorithm::kFixedWindow:
      break;
  }
  const int64_t back = static_cast<int64_t>(std::min(lease.back_hits, kCountMax));
  return {limit.hits, CeilUs(limit.window_ns), hits, want, share, life_us, drain,
          back,       lease.back_window};
}

// The hits whose passing decides: a window that is exactly full allows a check of zero.
uint64_t CostOf(const ScriptCall& call) {
  if (call.limit.algorithm == Algorithm::kFixedWindow) return call.hits;
  return std::max<uint64_t>(call.hits, 1);
}

absl::Status Wrong(std::string_view what) {
  return absl::InternalError(
      absl::StrCat("protocol error: ", absl::string_view(what.data(), what.size())));
}

absl::Status CheckReply(const ScriptCall& call, std::span<const int64_t> numbers) {
  if (numbers.size() != kReplyNumbers) {
    return Wrong(absl::StrCat("a script replied ", numbers.size(), " numbers instead of ",
                              static_cast<std::size_t>(kReplyNumbers)));
  }
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < 0 || numbers[i] > kNumberMax) {
      return Wrong(absl::StrCat("number ", i, " of a script's reply is ", numbers[i]));
    }
  }
  if (numbers[kAllowed] > 1 || numbers[kClockFault] > 1) {
    return Wrong("a yes or no of a script's reply is neither");
  }
  const int64_t capacity = call.limit.capacity;
  if (numbers[kRemaining] > capacity || numbers[kRemainingBefore] > capacity) {
    return Wrong("a script replied more remaining hits than the limit has");
  }
  const uint64_t granted = static_cast<uint64_t>(numbers[kGranted]);
  if (granted > std::max(call.hits, call.lease.want) || granted > call.limit.capacity) {
    return Wrong("a script granted more hits than were asked for");
  }
  return absl::OkStatus();
}

Decision Fresh(const ScriptCall& call) {
  switch (call.limit.algorithm) {
    case Algorithm::kTokenBucket:
      return token_bucket::Peek(call.limit, {}, 0, call.hits);
    case Algorithm::kSlidingWindow: {
      const std::array<uint64_t, sliding_window::kRingWordsMax> ring{};
      return sliding_window::Peek(
          call.limit,
          sliding_window::ConstRing(ring).first(sliding_window::RingWords(call.limit.precision)), 0,
          call.hits);
    }
    case Algorithm::kFixedWindow:
      break;
  }
  return fixed_window::Peek(call.limit, {}, 0, call.hits);
}

}  // namespace

std::optional<Decision> DecidedWithoutCall(const ScriptCall& call) {
  if (call.op == Op::kReset) return std::nullopt;
  const bool stateless =
      call.limit.algorithm == Algorithm::kTokenBucket && call.limit.capacity == 0;
  const bool never = call.op == Op::kTake && !call.drain && CostOf(call) > call.limit.capacity;
  if (!stateless && !never) return std::nullopt;
  Decision decision;
  decision.allowed = call.op == Op::kReport || call.op == Op::kRefund;
  if (!decision.allowed) decision.retry_after_ns = kNeverNs;
  if (call.limit.capacity == 0) decision.next_hit_after_ns = kNeverNs;
  return decision;
}

void AppendCall(const ScriptCall& call, std::string_view key, std::string& wire) {
  if (call.op == Op::kReset) {
    wire += "*2\r\n$3\r\nDEL\r\n";
    AppendBulk(key, wire);
    return;
  }
  AppendHead(ScriptFor(call.limit.algorithm), "*14\r\n", key, wire);
  AppendBulk(NameOf(call.op), wire);
  for (const int64_t number : NumbersOf(call)) AppendNumber(number, wire);
}

absl::StatusOr<ScriptReply> ReadReply(const ScriptCall& call, std::span<const int64_t> numbers) {
  const absl::Status status = CheckReply(call, numbers);
  if (!status.ok()) return status;
  const Limit& limit = call.limit;
  const int64_t ns = NsPerUnit(limit);  // below 2^53 units of at most 2^10 ns: no overflow
  ScriptReply reply;
  reply.now_us = numbers[kNow];
  reply.granted = static_cast<uint64_t>(numbers[kGranted]);
  reply.ttl_ns = numbers[kTtl] * ns;
  reply.remaining_before = static_cast<uint64_t>(numbers[kRemainingBefore]);
  Decision& decision = reply.decision;
  decision.allowed = numbers[kAllowed] == 1;
  decision.remaining = static_cast<uint64_t>(numbers[kRemaining]);
  decision.reset_after_ns = numbers[kReset] * ns;
  decision.retry_after_ns = numbers[kRetry] * ns;
  decision.next_hit_after_ns = limit.capacity == 0 ? kNeverNs : numbers[kNextHit] * ns;
  decision.clock_fault = numbers[kClockFault] == 1;
  if (!decision.allowed && CostOf(call) > limit.capacity) decision.retry_after_ns = kNeverNs;
  if (limit.algorithm == Algorithm::kFixedWindow && numbers[kReset] > 0) {
    reply.window = (numbers[kNow] + numbers[kReset]) / CeilUs(limit.window_ns) - 1;
  }
  return reply;
}

ScriptReply ReplyToReset(const ScriptCall& call) {
  ScriptReply reply;
  reply.decision = Fresh(call);
  reply.remaining_before = reply.decision.remaining;
  return reply;
}

void AppendScriptLoad(const Script& script, std::string& wire) {
  wire += "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n";
  AppendBulk(script.text, wire);
}

void AppendNodes(std::string_view key, std::string_view incarnation, std::string& wire) {
  AppendHead(ScriptId::kNodes, "*5\r\n", key, wire);
  AppendBulk(incarnation, wire);
}

absl::StatusOr<int> ReadNodes(std::span<const int64_t> numbers) {
  constexpr int64_t kNodesMax = 1'000'000;
  if (numbers.size() != 2) return Wrong("the count of nodes is not two numbers");
  if (numbers[1] < 1 || numbers[1] > kNodesMax) {
    return Wrong(absl::StrCat("the count of nodes is ", numbers[1]));
  }
  return static_cast<int>(numbers[1]);
}

void AppendMeta(std::string_view key, const FleetMeta& proposal, std::string& wire) {
  AppendHead(ScriptId::kMeta, "*7\r\n", key, wire);
  AppendBulk(proposal.format, wire);
  AppendBulk(proposal.shards, wire);
  AppendBulk(proposal.secret, wire);
}

absl::StatusOr<FleetMeta> ReadMeta(std::span<const std::string_view> fields) {
  if (fields.size() != 3) return Wrong("the fleet's record has not three fields");
  return FleetMeta{std::string(fields[0]), std::string(fields[1]), std::string(fields[2])};
}

}  // namespace weir
