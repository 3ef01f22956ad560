#pragma once

// The standard process metrics, from /proc/self.

#include "limiter/core/clock.h"
#include "limiter/metrics/families.h"

namespace weir {

// Adds process_*. A value that /proc does not give is left out. `now` tells when the machine
// started: the same one at each call, so that no step of the clock moves the start.
void AddProcessFamilies(Families& families, const Instant& now);

}  // namespace weir
