#pragma once

// The META record: what all nodes that share a prefix must agree on. The first node writes what it
// proposes, and everybody, the first one too, then goes by what the record holds.
//
// Thread safety: no shared state.

#include <hiredis/hiredis.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "limiter/core/siphash.h"

namespace weir {

struct Meta {
  int64_t format = 0;  // of keys and records
  int64_t shards = 0;  // logical shards, each a hash tag
  Secret secret;       // of the hash that makes keys

  bool operator==(const Meta&) const = default;
};

// Appends the call of the meta script that writes `proposal` where nothing is held yet.
void AppendMetaCall(std::string& wire, std::string_view key, const Meta& proposal);

// What is held. FAILED_PRECONDITION: a record that this release cannot read.
absl::StatusOr<Meta> DecodeMeta(const redisReply& reply);

}  // namespace weir
