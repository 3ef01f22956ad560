#pragma once

// The identity of one limit's state: a 128-bit keyed hash over the length-prefixed prefix, domain,
// rule path, entries, algorithm and window. Values from the wire appear nowhere else, so no caller
// can aim at another key's state.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "algorithms/limit.h"
#include "limiter/core/siphash.h"

namespace weir {

struct Key {
  uint64_t hi = 0;
  uint64_t lo = 0;
  bool operator==(const Key&) const = default;
};

// What every key of a rule starts from. Part of it: the window of any limit; rate and burst of a
// token bucket, whose state means nothing under another rate; the precision of a sliding window,
// whose ring has that many slots. Not part of it: L of a window, so that a changed limit keeps the
// usage of the running window.
SipHasher KeyPrefix(const Secret& secret, std::string_view prefix, std::string_view domain,
                    std::string_view rule_path, const Limit& limit);

inline Key KeyOf(const SipHasher& hasher) {
  const Hash128 hash = hasher.Finish();
  return {hash.first, hash.second};
}

// Each key belongs to one of these for good; a clustered store holds a shard in one place.
inline constexpr uint32_t kLogicalShards = 256;
inline uint32_t LogicalShard(const Key& key) {
  return static_cast<uint32_t>(key.lo % kLogicalShards);
}

// "<prefix>weir1:{s042}:<22 characters>": the record format, one of 256 logical shards as a hash
// tag for clustered stores, the key in base64url.
std::string StoreKey(std::string_view prefix, const Key& key);

}  // namespace weir
