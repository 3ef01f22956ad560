#pragma once

// Plain counters of the hot path. Each worker thread owns a WorkerCounters and is its only writer:
// an increment is a load and a store, no locked instruction and no shared cache line. Exporters sum
// over workers and may see a value a few increments old.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "limiter/core/store.h"

namespace weir {

// One writer, many readers.
class Counter {
 public:
  void Add(uint64_t n) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  uint64_t Get() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};  // relaxed: each value stands for itself
};

inline constexpr std::size_t kCodes = 2;  // ok, over_limit
inline constexpr std::size_t kModes = 2;  // enforce, shadow

// Of one rule.
struct RuleCounters {
  Counter decisions[kCodes][kModes][kSources];
  Counter hits[kCodes];
  Counter near_limit;
  Counter overflow;
  Counter lease_admitted;  // hits of decisions out of leases
};

// Of one rule: hits that a shared store charged in advance and that did not serve a request.
// Written by whoever holds the lock of a key's shard, or runs the store.
struct LeaseCounters {
  std::atomic<uint64_t> granted{0};   // leased in all
  std::atomic<uint64_t> expired{0};   // not spent in time
  std::atomic<uint64_t> returned{0};  // given back unspent
};

// Of one series of the reference's families (docs/metrics.md): hits, not decisions.
struct StatCounters {
  Counter total_hits;
  Counter over_limit;
  Counter near_limit;
  Counter within_limit;
  Counter shadow_mode;
  Counter negative_hits;
};

// Requests the input limits refused, by what was too much.
enum class InputReject : uint8_t {
  kDescriptors,
  kEntries,
  kKeyLen,
  kValueLen,
  kHits,
  kBatch,
  kMessage,
  kOverride,
};
inline constexpr std::size_t kInputRejects = 8;

// The methods that are timed, and the gRPC status codes they end with.
enum class Method : uint8_t {
  kShouldRateLimit,
  kCheck,
  kCheckBatch,
  kPeek,
  kReport,
  kRefund,
  kReset,
  kExplain,
  kJson,
};
inline constexpr std::size_t kMethods = 9;
inline constexpr std::size_t kGrpcCodes = 17;

// Upper bounds of the request duration histogram in nanoseconds: 25 µs to 100 ms. They contain 1,
// 5, 10 and 20 ms, which alerts and panels use (20 ms is Envoy's default timeout).
inline constexpr std::array<int64_t, 12> kDurationBoundsNs = {
    25'000,    50'000,    100'000,    250'000,    500'000,    1'000'000,
    2'500'000, 5'000'000, 10'000'000, 20'000'000, 50'000'000, 100'000'000};

struct MethodCounters {
  Counter requests[kGrpcCodes];
  Counter duration_buckets[kDurationBoundsNs.size() + 1];  // the last one is +Inf
  Counter duration_sum_ns;

  void Observe(int code, int64_t duration_ns) {
    requests[code >= 0 && code < static_cast<int>(kGrpcCodes) ? code : 2].Add(1);
    std::size_t bucket = 0;
    while (bucket < kDurationBoundsNs.size() && duration_ns > kDurationBoundsNs[bucket]) ++bucket;
    duration_buckets[bucket].Add(1);
    duration_sum_ns.Add(duration_ns > 0 ? static_cast<uint64_t>(duration_ns) : 0);
  }
};

// An array indexed by slot, grown in chunks by its one writer and read by others meanwhile.
template <typename T>
class SlotTable {
 public:
  static constexpr std::size_t kChunk = 64;
  static constexpr std::size_t kChunksMax = 4096;
  static constexpr std::size_t kSlotsMax = kChunk * kChunksMax;

  ~SlotTable() {
    for (auto& chunk : chunks_) delete chunk.load(std::memory_order_relaxed);
  }

  // Writer only. REQUIRES: slot < kSlotsMax.
  T& At(std::size_t slot) {
    std::atomic<Chunk*>& chunk = chunks_[slot / kChunk];
    Chunk* items = chunk.load(std::memory_order_relaxed);
    if (items == nullptr) {
      items = new Chunk();
      // Release: a reader that sees the pointer sees the zeroed counters.
      chunk.store(items, std::memory_order_release);
    }
    return (*items)[slot % kChunk];
  }

  // Any thread. nullptr: never written.
  const T* Find(std::size_t slot) const {
    const Chunk* items = chunks_[slot / kChunk].load(std::memory_order_acquire);
    return items == nullptr ? nullptr : &(*items)[slot % kChunk];
  }

 private:
  using Chunk = std::array<T, kChunk>;
  std::array<std::atomic<Chunk*>, kChunksMax> chunks_{};
};

struct WorkerCounters {
  SlotTable<RuleCounters> rules;  // by SeriesRegistry's rule slots
  SlotTable<StatCounters> stats;  // by its stat slots
  SlotTable<Counter> unmatched;   // by its domain slots; 0 is every unknown domain
  std::array<MethodCounters, kMethods> methods;
  std::array<Counter, kInputRejects> input_rejected;
  Counter global_shadow;  // verdicts that --shadow-mode turned into OK
  Counter clock_faults;
  Counter denials;        // descriptors, in shadow mode too; kept for DenyLog only
  Counter requests_shed;  // refused because too many were in flight
};

}  // namespace weir
