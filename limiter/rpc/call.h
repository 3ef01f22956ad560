#pragma once

// What a listener and the handlers share about one call. Handlers know messages and core, never a
// transport, so that every listener gives the same answers.

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "absl/status/status.h"
#include "limiter/core/engine.h"
#include "limiter/core/policy.h"

namespace weir {

// Told once with the status of the call; the response is filled when it is OK.
using Done = std::function<void(const absl::Status&)>;

// What the transport knows about a call.
struct CallContext {
  Worker& worker;
  // How long the caller still waits. A call that is already late is answered DEADLINE_EXCEEDED and
  // charges nothing. Time left, not a time of day: a wall clock may be set in between.
  int64_t left_ns = std::numeric_limits<int64_t>::max();
};

// Bounds on what callers send; what exceeds one is answered INVALID_ARGUMENT and counted.
struct InputBounds {
  std::size_t descriptors_max = 32;  // per request
  std::size_t entries_max = 16;      // per descriptor
  std::size_t key_bytes_max = 128;
  std::size_t value_bytes_max = 1024;
  uint64_t hits_max = std::numeric_limits<uint64_t>::max();  // per descriptor
  std::size_t batch_max = 1000;                              // checks per batch: OUT_OF_RANGE
};

struct RpcOptions {
  InputBounds bounds;
  ChargeDenied charge_denied = ChargeDenied::kFirst;  // of ShouldRateLimit; weir.v1 charges never
  bool negative_hits = true;  // false: is_negative_hits is answered UNIMPLEMENTED
  bool allow_reset = false;
  // Envoy's response headers and metadata.
  bool response_headers = false;
  std::string limit_header = "RateLimit-Limit";
  std::string remaining_header = "RateLimit-Remaining";
  std::string reset_header = "RateLimit-Reset";
  bool response_dynamic_metadata = false;
};

// What a checked request ends with: an error where a rule says so while the store does not answer.
inline absl::Status CheckedStatus(const Check& check) {
  if (!check.failed) return absl::OkStatus();
  return absl::UnavailableError(
      "the shared store does not answer, and the rule's on_store_failure is error");
}

}  // namespace weir
