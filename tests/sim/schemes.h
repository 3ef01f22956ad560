#pragma once

// The schemes by name:
//
//   shared_store           the shipped store, rules that are exact
//   shared_store_leased    the shipped store, rules that lease
//   lease                  the lease protocol's model
//   lease_charge_at_grant, lease_expiry_from_receipt, lease_outlives_window, lease_refunds,
//   lease_kept_at_failover, lease_back_twice
//                          the model without one of its rules
//   local_count, static_split
//                          what others do

#include <string_view>

#include "tests/sim/scheme.h"

namespace weir::sim {

// Empty for an unknown name.
MakeScheme SchemeNamed(std::string_view name);

}  // namespace weir::sim
