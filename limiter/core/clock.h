#pragma once

// The only way to the time. Production reads the kernel (limiter/runtime/system_clock), tests
// and simulations set it.

#include <cstdint>

namespace weir {

struct Instant {
  int64_t mono_ns = 0;  // never steps back and advances while the machine is suspended
  int64_t wall_ns = 0;  // since the Unix epoch; may step
};

class Clock {
 public:
  virtual ~Clock() = default;
  // Safe from any thread.
  virtual Instant Now() = 0;
};

}  // namespace weir
