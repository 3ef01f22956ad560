#pragma once

// What the servers of a cluster say about who has which slot. Pure: replies and texts in, values
// out (the Redis Cluster specification; CLUSTER SLOTS).
//
// Thread safety: no shared state.

#include <hiredis/hiredis.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/store/redis/address.h"

namespace weir {

// What a key of a cluster belongs to.
using Slot = uint16_t;
inline constexpr uint32_t kSlots = 16384;

// The slot of a key, by its hash tag if it has one: CRC16 modulo 16384 of what stands between the
// first { and the next }.
Slot SlotOf(std::string_view key);

// Slots first to last, both included, are served by one primary.
struct SlotRange {
  Slot first = 0;
  Slot last = 0;
  RedisAddress primary;

  bool operator==(const SlotRange&) const = default;
};

// The reply to CLUSTER SLOTS of the server at `asked`, which a primary without a host means.
// Primaries that the cluster does not know the host of are left out. INVALID_ARGUMENT: it is no
// such reply.
absl::StatusOr<std::vector<SlotRange>> ReadClusterSlots(const redisReply& reply,
                                                        const RedisAddress& asked);

// "MOVED 3999 10.0.0.1:6381" or "ASK …", said by the server at `asked`.
struct Redirection {
  Slot slot = 0;
  RedisAddress primary;
};
absl::StatusOr<Redirection> ReadRedirection(std::string_view text, const RedisAddress& asked);

}  // namespace weir
