#pragma once

// What a node asks the shared store for beside the hits of one request.
//
// Thread safety: a plain value.

#include <cstdint>

namespace weir {

inline constexpr int64_t kLifeMaxOfLimit = -1;

// What a node asks for beside the hits of one request. The default is the exact mode: no lease.
struct LeaseAsk {
  uint64_t want = 0;    // hits wanted in all; above the request's own they come as a lease
  uint32_t share = 1;   // at most 1/share of what is left
  int64_t life_ns = 0;  // of the lease; sliding_window: cut at life_max_ns
  int64_t life_max_ns = kLifeMaxOfLimit;  // sliding_window; default: LeaseLifeMaxNs(limit)
  uint64_t back_hits = 0;   // fixed_window: unused hits of a lease that was granted in
  int64_t back_window = 0;  //   this window (ScriptReply::window)
};

}  // namespace weir
