#pragma once

// The named choices of an operator that change what a request costs or what happens when Weir
// cannot hold the state. Spellings are those of settings and docs.

#include <cstdint>

namespace weir {

// What a denied request costs ("first", "over-only", "never").
enum class ChargeDenied : uint8_t {
  // Each descriptor is charged on its own; a denied one is drained (docs/algorithms.md). The
  // reference service's behaviour.
  kFirst,
  // If any descriptor denies, the denying ones are drained and the others are not charged.
  kOverOnly,
  // A request is charged on all its descriptors or on none.
  kNever,
};

// What a full key table answers for a key it cannot hold ("allow", "deny").
enum class Overflow : uint8_t { kAllow, kDeny };

// How a rule is limited over a shared store ("exact", "leased"; docs/guarantees.md).
enum class Consistency : uint8_t { kExact, kLeased };

// What a rule answers while the shared store does not: this node's share of the limit, yes, no, or
// an error that lets the caller decide ("local_share", "allow", "deny", "error").
enum class OnStoreFailure : uint8_t { kLocalShare, kAllow, kDeny, kError };

}  // namespace weir
