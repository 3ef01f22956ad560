#pragma once

// The standard process metrics, from /proc/self.

#include <cstdint>

#include "limiter/metrics/families.h"

namespace weir {

// Adds process_*. A value that /proc does not give is left out.
void AddProcessFamilies(Families& families, int64_t started_wall_ns);

}  // namespace weir
