#pragma once

// Metrics as text: the answer to GET /metrics.

#include <span>
#include <string>

#include "prometheus/collectable.h"

namespace weir {

// The Prometheus text format 0.0.4, whatever the scraper's Accept says.
inline constexpr char kMetricsContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// The families of all `collectables`, in order. Safe from any thread if they are.
std::string RenderMetrics(std::span<const prometheus::Collectable* const> collectables);

}  // namespace weir
