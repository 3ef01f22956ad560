#include "tests/sim/schemes.h"

#include <map>
#include <string>

#include "tests/sim/lease_scheme.h"
#include "tests/sim/naive_schemes.h"
#include "tests/sim/shared_store_scheme.h"

namespace weir::sim {
namespace {

MakeScheme Lease(const LeaseVariant& variant) {
  return [variant](Host& host, Link& link, const FleetOptions& options) {
    return MakeLeaseScheme(host, link, options, variant);
  };
}

MakeScheme Shipped(bool leased) {
  return [leased](Host& host, Link& link, const FleetOptions& options) {
    return MakeSharedStoreScheme(host, link, options, leased);
  };
}

}  // namespace

MakeScheme SchemeNamed(std::string_view name) {
  static const std::map<std::string, MakeScheme, std::less<>> kSchemes = {
      {"shared_store", Shipped(false)},
      {"shared_store_leased", Shipped(true)},
      {"lease", Lease({})},
      {"lease_charge_at_grant", Lease({.post_dated = false})},
      {"lease_expiry_from_receipt", Lease({.expires_from_send = false})},
      {"lease_outlives_window", Lease({.dies_with_window = false})},
      {"lease_refunds", Lease({.refunds = true})},
      {"lease_kept_at_failover", Lease({.dropped_by_failover = false})},
      {"lease_back_twice", Lease({.zeroed_before_back = false})},
      {"local_count", &MakeLocalCountScheme},
      {"static_split", &MakeStaticSplitScheme},
  };
  const auto found = kSchemes.find(name);
  return found == kSchemes.end() ? nullptr : found->second;
}

}  // namespace weir::sim
