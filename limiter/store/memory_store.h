#pragma once

// The embedded store: exact limits in this process's memory, answered on the caller's stack.
//
// Token buckets and sliding windows live on monotonic time, which never steps; fixed windows are
// aligned to wall time, as their users expect.
//
// Thread safety: safe from any thread. The asks of a request are decided one shard lock at a time
// under ChargeDenied::kFirst, and under the locks of all their shards, taken in ascending order,
// otherwise: what a denied request costs is then decided in one atomic step.

#include <cstddef>
#include <cstdint>
#include <span>

#include "limiter/core/cell_table.h"
#include "limiter/core/policy.h"
#include "limiter/core/store.h"

namespace weir {

struct MemoryStoreOptions {
  std::size_t keys_max = std::size_t{1} << 20;
  std::size_t ring_bytes_max = std::size_t{256} << 20;  // of all sliding windows together
  // What a key is answered that a table full of live state cannot hold. The answer is marked
  // Source::kPolicy. A cost that even an unused key denies is denied all the same.
  Overflow overflow = Overflow::kAllow;
};

class MemoryStore : public Store {
 public:
  explicit MemoryStore(const MemoryStoreOptions& options);

  void Acquire(std::span<Ask> asks, const AcquireOptions& options, Answered& answered) override;

  // For exporters.
  const CellTable& cells() const { return cells_; }

 private:
  class Together;

  void Answer(CellTable::Shard& shard, Ask& ask, const Instant& now, bool drain, bool start_empty)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard);
  void AnswerUnheld(CellTable::Shard& shard, Ask& ask, const Instant& now, bool drain,
                    bool start_empty) ABSL_EXCLUSIVE_LOCKS_REQUIRED(shard);
  Grant Refused(Grant grant) const;

  const Overflow overflow_;
  CellTable cells_;
};

}  // namespace weir
