#pragma once

// The families of envoyproxy/ratelimit, under its names, for dashboards that exist already
// (docs/metrics.md, "Compat families"). Its counters have no `_total`, so promtool complains:
// they are only exported where asked for.

#include <span>

#include "limiter/core/counters.h"
#include "limiter/core/series.h"
#include "limiter/metrics/config_status.h"
#include "limiter/metrics/families.h"

namespace weir {

void AddReferenceFamilies(Families& families, const SeriesRegistry& series,
                          std::span<const WorkerCounters* const> workers,
                          const ConfigStatus::Snapshot& config);

}  // namespace weir
