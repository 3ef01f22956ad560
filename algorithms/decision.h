#pragma once

// The answer of an algorithm for one limit.

#include <cstdint>
#include <limits>

namespace weir {

// A time that never comes: the cost exceeds what the limit could ever admit at once.
inline constexpr int64_t kNeverNs = std::numeric_limits<int64_t>::max();

// All times are nanoseconds from the `now` of the call.
struct Decision {
  bool allowed = false;
  // Whole hits that would pass now, after this decision. Never above the limit's capacity.
  uint64_t remaining = 0;
  // Until the key is as if never used (nothing charged, the full capacity free); 0 if it is so.
  int64_t reset_after_ns = 0;
  // Until the same cost would pass if nothing else is charged meanwhile: denied 1 ns before,
  // allowed at it. 0 when allowed; kNeverNs when the cost can never pass.
  int64_t retry_after_ns = 0;
  // The same for a cost of one hit: 0 when one passes now; kNeverNs under a ban.
  int64_t next_hit_after_ns = 0;
  // The state lay in the future beyond what any honest clock leaves behind and was clamped.
  bool clock_fault = false;
};

}  // namespace weir
