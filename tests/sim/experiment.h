#pragma once

// The numbers of leases, measured on whole fleets in simulated time without faults, each the median
// and the worst of a few seeds:
//
//   admitted        what the worst interval of any key held; more than the promise never
//   fairness        admitted over one central limiter fed the same arrivals; Jain's index over
//   nodes calls_by_shape  store calls and waits by the shape of limit and traffic calls_below the
//   same by the requests of a node in a lease's target life, below the limit calls_above     the
//   same above the limit; the most calls of one key in any second pause           the store stands
//   still for a second timeline        admitted over time: what Weir and others make of a flash
//   crowd demand          store calls and waits from a tenth of the limit to twenty times it

#include <string_view>

namespace weir::sim {

// Runs each experiment whose name begins so: its table for people, or as CSV with a header. 0: all
// have been printed; 2: no name begins so.
int RunExperiments(std::string_view name, bool csv);

}  // namespace weir::sim
