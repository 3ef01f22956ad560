#pragma once

// A node as it is shipped: weir::SharedStore over the simulated network.

#include <memory>

#include "tests/sim/scheme.h"

namespace weir::sim {

std::unique_ptr<Scheme> MakeSharedStoreScheme(Host& host, Link& link, const FleetOptions& options,
                                              bool leased);

}  // namespace weir::sim
