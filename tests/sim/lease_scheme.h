#pragma once

// The lease protocol as a model: two slots per key, one call in flight, refresh ahead, expiry
// counted from the time the call was sent, adaptive size, pacing, unused hits of a fixed window
// given back. Small and slow; what production code is compared with.
//
// Each variant leaves one rule out, and the tests show that each breaks a promise: a judge that
// never objects proves nothing.

#include <memory>

#include "tests/sim/scheme.h"

namespace weir::sim {

struct LeaseVariant {
  bool post_dated = true;           // the store charges a lease as if spent at its end
  bool expires_from_send = true;    // not from the time its reply came
  bool dies_with_window = true;     // of a fixed window
  bool refunds = false;             // what a token bucket's lease leaves unused is given back
  bool dropped_by_failover = true;  // a new primary may know nothing of it
  bool zeroed_before_back = true;   // hits are given up before they are given back
};

std::unique_ptr<Scheme> MakeLeaseScheme(Host& host, Link& link, const FleetOptions& options,
                                        const LeaseVariant& variant);

}  // namespace weir::sim
