#pragma once

// What a question to the store looks like on the wire, and what its answer says. Pure: bytes and
// numbers, no connection. The scripts' own comments name every argument and every number of a
// reply.
//
//   std::optional<Decision> decided = DecidedWithoutCall(call);   // e.g. a cost above the burst
//   AppendCall(call, key, wire);                                  // RESP bytes of one command
//   absl::StatusOr<ScriptReply> reply = ReadReply(call, numbers); // the integers that came back
//
// Units: the scripts count in microseconds, token buckets of up to 52 days in nanoseconds; a window
// that is no whole number of microseconds is rounded up, which only strengthens its bound.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "algorithms/decision.h"
#include "algorithms/limit.h"
#include "limiter/core/descriptor.h"
#include "limiter/store/lease_ask.h"
#include "limiter/store/redis/scripts.h"

namespace weir {

// One operation on one key.
struct ScriptCall {
  const Limit& limit;  // outlives the call
  Op op = Op::kTake;
  uint64_t hits = 0;   // any; costs stop at kCountMax
  bool drain = false;  // a denied take costs the hits that are left
  LeaseAsk lease;
};

struct ScriptReply {
  Decision decision;
  uint64_t granted = 0;           // hits charged by a take; those above the request's are leased
  int64_t ttl_ns = 0;             // life of the lease from the time the call was sent
  uint64_t remaining_before = 0;  // hits that would have passed before this call charged any
  int64_t now_us = 0;             // the store's clock when it decided
  int64_t window = 0;             // fixed_window: the window the call counted in, if it has hits
};

// The answer where no call can change it: a take whose cost can never pass and that drains nothing,
// and any operation on a token bucket of zero hits, which has no state.
std::optional<Decision> DecidedWithoutCall(const ScriptCall& call);

// Appends one command: EVALSHA of the limit's script, or DEL for a reset.
// REQUIRES: !DecidedWithoutCall(call).
void AppendCall(const ScriptCall& call, std::string_view key, std::string& wire);

// Reads the integers of an EVALSHA reply to `call`. InternalError names what is wrong with them.
absl::StatusOr<ScriptReply> ReadReply(const ScriptCall& call, std::span<const int64_t> numbers);

// What a reset leaves behind: the state of a key never used. DEL itself says nothing of it.
ScriptReply ReplyToReset(const ScriptCall& call);

void AppendScriptLoad(const Script& script, std::string& wire);

// The node `incarnation` lives; the reply is read by ReadNodes: nodes heard of in the last 15 s.
void AppendNodes(std::string_view key, std::string_view incarnation, std::string& wire);
absl::StatusOr<int> ReadNodes(std::span<const int64_t> numbers);

// What all nodes of a fleet agree on; the first one's proposal holds.
struct FleetMeta {
  std::string format;
  std::string shards;
  std::string secret;
  bool operator==(const FleetMeta&) const = default;
};
void AppendMeta(std::string_view key, const FleetMeta& proposal, std::string& wire);
absl::StatusOr<FleetMeta> ReadMeta(std::span<const std::string_view> fields);

}  // namespace weir
