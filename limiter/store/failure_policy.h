#pragma once

// What a rule answers while the shared store does not (docs/guarantees.md).
//
//   deny         no
//   allow        yes
//   error        the request fails, and its caller decides
//   local_share  this node's share of the limit, rounded down: L/N in windows, a rate of L/N and a
//                burst of B/N in buckets, N the nodes that shared the store. A window starts with
//                the hits this node admitted in it before, a bucket starts empty, never full
//
// Guarantee of local_share: beyond what the store had admitted, the nodes cut off admit at most
// (nodes cut off / N) * L in any window. A limit below N has shares of 0 in windows.
//
// Thread safety: safe from any thread.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "limiter/core/policy.h"
#include "limiter/core/store.h"
#include "limiter/store/memory_store.h"

namespace weir {

inline constexpr std::size_t kStoreFailurePolicies = 4;

class FailurePolicy {
 public:
  // `replicas`: nodes to reckon with at least; 0: deny until the store said how many there are.
  FailurePolicy(const MemoryStoreOptions& local, int replicas);

  // Answers one ask. `nodes` and `outages` as Remote has them.
  void Answer(Ask& ask, const Instant& now, int nodes, uint64_t outages);

  // The store admitted the ask's hits: they are part of this node's share of a window.
  void NoteAdmitted(const Ask& ask, const Instant& now);

  // For exporters: when a policy last decided something, on the monotonic clock; 0: never.
  int64_t last_used_ns(OnStoreFailure policy) const {
    return last_used_ns_[static_cast<std::size_t>(policy)].load(std::memory_order_relaxed);
  }
  const CellTable& cells() const { return local_.cells(); }

 private:
  void AnswerLocally(Ask& ask, const Instant& now, int nodes, uint64_t outages);

  const int replicas_;
  MemoryStore local_;
  std::array<std::atomic<int64_t>, kStoreFailurePolicies> last_used_ns_{};
};

}  // namespace weir
