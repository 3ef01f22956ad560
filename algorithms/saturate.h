#pragma once

// Arithmetic that stops at a bound instead of wrapping: costs come from the wire (up to 2^64 - 1)
// and emission intervals may be days.

#include <algorithm>
#include <cstdint>

namespace weir {

__extension__ typedef unsigned __int128 uint128_t;

// hits * unit_ns, at most `cap`. REQUIRES: unit_ns >= 0, cap >= 0.
inline int64_t ScaleCapped(uint64_t hits, int64_t unit_ns, int64_t cap) {
  const uint128_t product = static_cast<uint128_t>(hits) * static_cast<uint64_t>(unit_ns);
  return product > static_cast<uint64_t>(cap) ? cap : static_cast<int64_t>(product);
}

// a + b, at most `cap`. REQUIRES: a <= cap.
inline uint64_t AddCapped(uint64_t a, uint64_t b, uint64_t cap) { return a + std::min(b, cap - a); }

}  // namespace weir
