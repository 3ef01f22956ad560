#pragma once

// What a question to a counter that envoyproxy/ratelimit counts on too looks like on the wire, and
// what the counts that come back say. Pure: bytes and numbers, no connection. Plain commands, no
// script: INCRBY and EXPIRE in one pipeline, as the other program sends them.
//
//   take     INCRBY n + EXPIRE; passes while the count after it is at most L. A denied take stays
//            charged where denials are; else it is taken back: INCRBY -n
//   peek     GET; also a take of zero hits, and one that can never pass and charges nothing
//   report   INCRBY n + EXPIRE
//   refund   GET, then INCRBY -min(n, count) + EXPIRE, so that a counter that is not there stays so
//   reset    GET, then DEL
//
// Between the two trips of a refund another refund may come in. What the second of both took below
// zero it puts back, so that nothing passes for good that was never charged: only until then, one
// trip, the other program, which does not read a negative count, may fail calls. Between a denied
// take and its return others may be denied that would have passed; none passes that should not.
//
// A counter below zero (somebody else's doing) counts as zero, and one too large for Redis to add
// to as full.

#include <hiredis/hiredis.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "algorithms/decision.h"
#include "algorithms/limit.h"
#include "limiter/core/descriptor.h"

namespace weir {

// One operation on one counter. The limit is a fixed window.
struct CounterCall {
  const Limit& limit;  // outlives the call
  Op op = Op::kTake;
  uint64_t hits = 0;   // any; what is added stops at kCountMax
  bool drain = false;  // a denied take stays charged
  int64_t window_end_ns = 0;
};

struct CounterReply {
  Decision decision;
  uint64_t remaining_before = 0;  // hits that would have passed before this call charged any
};

// What the first command adds; nullopt: it only reads.
std::optional<int64_t> FirstChange(const CounterCall& call);
// What has to be added when the first command has been answered: after one that read, the call
// itself; after one that added, what the call must not keep. 0: nothing.
int64_t ChangeAfterRead(const CounterCall& call, int64_t count);
int64_t ChangeAfterAdd(const CounterCall& call, int64_t count);
// What a refund that added `change` has to put back.
int64_t ChangeAfterRefund(int64_t change, int64_t count);

// Commands of two arguments at most. `expiry_s`: from now on.
void AppendRead(std::string_view key, std::string& wire);
void AppendAdd(std::string_view key, int64_t change, std::string& wire);
void AppendExpire(std::string_view key, int64_t expiry_s, std::string& wire);
void AppendDelete(std::string_view key, std::string& wire);

// The count in a reply to AppendRead or AppendAdd; a counter that is not there counts zero.
// InternalError: it holds something else.
absl::StatusOr<int64_t> ReadCount(const redisReply& reply);
// The count after an INCRBY that Redis refused with `error` because the sum is beyond an int64:
// what it would be if numbers ended there. nullopt: refused for another reason.
std::optional<int64_t> SaturatedCount(int64_t change, std::string_view error);

// The answer, when the counter stood at `count` before the call changed it. `now_ns`: of the wall
// clock, when the call was sent. Of a reset: that of a counter that is gone.
CounterReply AnswerAt(const CounterCall& call, int64_t count, int64_t now_ns);

}  // namespace weir
