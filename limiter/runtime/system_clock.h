#pragma once

// The kernel's clocks: CLOCK_BOOTTIME, which advances while the machine is suspended, and
// CLOCK_REALTIME. Both are read through the vDSO, without a system call.

#include "limiter/core/clock.h"

namespace weir {

class SystemClock : public Clock {
 public:
  Instant Now() override;
};

}  // namespace weir
