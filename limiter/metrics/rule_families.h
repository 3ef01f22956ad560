#pragma once

// The families that have one series per rule or domain (docs/metrics.md): a series appears with
// its first non-zero value.

#include <span>

#include "limiter/core/counters.h"
#include "limiter/core/series.h"
#include "limiter/metrics/families.h"

namespace weir {

// Sums the workers' counters; labels come from the registry alone, never from a request.
void AddRuleFamilies(Families& families, const SeriesRegistry& series,
                     std::span<const WorkerCounters* const> workers);

}  // namespace weir
