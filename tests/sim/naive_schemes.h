#pragma once

// What others do, and what it costs: none of them keeps the promise.

#include <memory>

#include "tests/sim/scheme.h"

namespace weir::sim {

// Each node counts alone and reports what it admitted to the store from time to time; between two
// reports it knows nothing of the others.
std::unique_ptr<Scheme> MakeLocalCountScheme(Host& host, Link& link, const FleetOptions& options);

// Each node has its part of the limit, at least one hit; a node that starts begins anew.
std::unique_ptr<Scheme> MakeStaticSplitScheme(Host& host, Link& link, const FleetOptions& options);

}  // namespace weir::sim
