#pragma once

// The bounded table of key states: 64 shards, each a fixed array of 64-byte cells behind its own
// lock. Memory is reserved at start and touched when used.
//
// Within a shard, cells lie densely in the order of their first use and are found through chains
// of 4-byte links that carry 8 bits of the key: a lookup touches one link and, but for one false
// match in 256, one cell. There are about as many chains as cells in use: each new cell splits one
// chain in two (linear hashing: Litwin, "Linear hashing: a new tool for file and table addressing",
// VLDB 1980), so that few keys lie on few pages and yet nothing is rehashed at once.
//
// A cell that is *idle* (nothing charged any more) carries no information: a full shard evicts idle
// cells, found by a hand that sweeps the array; live state is never evicted.
//
// Thread safety: each shard by its lock (see Shard). Lock order where several are held: ascending
// shard index.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "algorithms/fixed_window.h"
#include "algorithms/limit.h"
#include "algorithms/token_bucket.h"
#include "limiter/core/clock.h"
#include "limiter/core/counters.h"
#include "limiter/core/key.h"
#include "limiter/core/mutex.h"

namespace weir {

// What a cell says about its key.
enum class Holds : uint8_t {
  kCharges,  // the state of its algorithm
  kShared,   // what was last heard from the store that holds that state
};

struct alignas(64) Cell {
  Key key;
  // When nothing is charged any more, on the clock of the algorithm: wall time for fixed windows,
  // monotonic time for the others.
  int64_t idle_at_ns = 0;
  struct Fixed {
    fixed_window::State state;
    // Before this time the clock has stepped back so far that the state is void.
    int64_t void_before_ns = 0;
  };
  // What is known of a key whose charges a shared store holds, on the monotonic clock.
  struct Shared {
    int64_t denied_until_ns = 0;  // a cost of least_denied or more does not pass before
    int64_t retry_at_ns = 0;      // when least_denied would pass; kNeverNs: never
    int64_t reset_at_ns = 0;
    uint32_t limit_hits = 0;  // the L it was denied under
    uint16_t least_denied = 0;
    uint16_t remaining = 0;  // below least_denied
  };
  union {
    token_bucket::State token_bucket;
    Fixed fixed;
    uint64_t* ring;  // sliding window: RingWords(precision) words owned by the shard
    Shared shared;
  };
  Algorithm algorithm = Algorithm::kFixedWindow;
  Holds holds = Holds::kCharges;
  uint8_t precision = 0;  // sliding window with charges: says how long the ring is
  bool kept = false;      // not to be evicted while the request that looked at it is decided

  Cell() : fixed{} {}
  bool has_ring() const {
    return holds == Holds::kCharges && algorithm == Algorithm::kSlidingWindow;
  }
  bool IdleAt(const Instant& now) const {
    if (kept) return false;
    if (holds == Holds::kShared || algorithm != Algorithm::kFixedWindow) {
      return idle_at_ns <= now.mono_ns;
    }
    return idle_at_ns <= now.wall_ns || now.wall_ns < fixed.void_before_ns;
  }
};
static_assert(sizeof(Cell) == 64);

// Zeroed memory that costs nothing until it is touched: the C library takes an allocation of this
// size from the kernel, whose fresh pages are zero.
class LazyMemory {
 public:
  // Ends the process if there is no such memory, naming the setting to lower: without it nothing
  // can be limited.
  LazyMemory(std::size_t bytes, std::size_t alignment, const char* setting);
  ~LazyMemory();
  LazyMemory(const LazyMemory&) = delete;
  LazyMemory& operator=(const LazyMemory&) = delete;
  std::byte* data() const;

 private:
  const std::size_t alignment_;
  void* block_;
};

// Slabs for rings, aligned to their size. Thread safety: safe from any thread.
class SlabArena {
 public:
  static constexpr std::size_t kSlabBytes = 16384;

  explicit SlabArena(std::size_t bytes_max);
  std::byte* Take();  // nullptr: all are taken
  void Give(std::byte* slab);
  uint64_t bytes_taken() const { return slabs_taken_.load(std::memory_order_relaxed) * kSlabBytes; }

 private:
  const std::size_t slabs_max_;
  LazyMemory memory_;
  Mutex mutex_;
  std::size_t slabs_used_ ABSL_GUARDED_BY(mutex_) = 0;  // ever taken
  std::vector<std::byte*> free_ ABSL_GUARDED_BY(mutex_);
  std::atomic<uint64_t> slabs_taken_{0};
};

// Rings of sliding windows, carved from slabs of one length each. A slab whose rings are all free
// is returned, so that its memory may serve rings of another length.
class RingPool {
 public:
  // A zeroed ring; nullptr: the arena has no slab left. REQUIRES: words <=
  // sliding_window::kRingWordsMax.
  uint64_t* Take(std::size_t words, SlabArena& arena);
  void Give(uint64_t* ring, SlabArena& arena);

 private:
  struct Slab;
  static void Unlink(Slab*& first, Slab* slab);
  static void Push(Slab*& first, Slab* slab);

  std::vector<Slab*> partly_free_;  // by words: lists of slabs with a free ring
  Slab* full_ = nullptr;            // list of those without
};

class CellTable {
 public:
  static constexpr std::size_t kShards = 64;

  // Counters of one shard; read without its lock.
  struct Stats {
    Counter keys[3];  // by algorithm; evicted ones are subtracted by adding 2^64 - 1
    Counter evictions_idle;
    Counter refused;  // no room: every cell the hand looked at was live
  };

  // Aligned, so that threads on neighbouring shards do not share a cache line.
  class alignas(64) ABSL_LOCKABLE Shard {
   public:
    void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.Lock(); }
    void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.Unlock(); }

    // nullptr: not held. The pointer is valid until the shard is unlocked.
    Cell* Find(const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
    // A cell with zeroed state for a key not held, evicting an idle one if the shard is full.
    // nullptr: full of live state, or no memory left for a ring. REQUIRES: Find(key) == nullptr.
    Cell* Insert(const Key& key, const Limit& limit, const Instant& now,
                 Holds holds = Holds::kCharges) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
    // What lies beside a cell, as it was left or all zero in a cell that is new. REQUIRES: the
    // table was made with beside_bytes; the cell is of this shard.
    void* Beside(const Cell& cell) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) {
      return beside_ + static_cast<std::size_t>(&cell - cells_) * beside_bytes_;
    }
    // Cells ever taken, for who looks at all of them: index < used(). One that was erased holds no
    // key that Find would find there.
    uint32_t used() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) { return used_; }
    Cell& at(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this) { return cells_[index]; }
    // Forgets a key. Returns whether it was held.
    bool Erase(const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);

   private:
    friend class CellTable;
    uint32_t* HeadOf(const Key& key) {
      const uint64_t chain = key.hi & chains_mask_;
      return &heads_[chain < chains_ ? chain : chain & (chains_mask_ >> 1)];
    }
    void SplitChain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
    bool Unlink(const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
    // Which idle keys to forget: any, those with a ring, or those with a ring of some length.
    static constexpr std::size_t kAnyKey = 0;
    static constexpr std::size_t kAnyRing = 1;
    // Forgets up to evictions_max idle keys that the hand meets. Returns how many.
    std::size_t EvictIdle(const Instant& now, std::size_t ring_words, std::size_t evictions_max)
        ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);
    uint64_t* TakeRing(const Limit& limit, const Instant& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(this);

    Mutex mutex_;
    Cell* cells_ = nullptr;        // capacity_ of them
    std::byte* beside_ = nullptr;  // per cell: beside_bytes_
    std::size_t beside_bytes_ = 0;
    uint32_t* links_ = nullptr;  // per cell: the next of its chain
    uint32_t* heads_ = nullptr;  // of chains_ chains; room for capacity_
    uint64_t chains_mask_ = 0;   // the power of two that is not below chains_, less 1
    uint32_t chains_ = 1;
    uint32_t capacity_ = 0;
    uint32_t used_ = 0;  // cells ever taken from the array
    uint32_t free_ = 0;  // link to the first freed cell
    uint32_t hand_ = 0;
    RingPool rings_;
    SlabArena* slabs_ = nullptr;
    Stats stats_;
  };

  // Room for keys_max keys plus 1/16 of slack, because keys do not spread evenly over shards.
  // Rings together take at most ring_bytes_max. Beside each cell lie `beside_bytes` more, a
  // multiple of 64, for an owner that keeps more of a key than a cell holds.
  CellTable(std::size_t keys_max, std::size_t ring_bytes_max, std::size_t beside_bytes = 0);

  Shard& ShardOf(const Key& key) { return shards_[ShardIndex(key)]; }
  static std::size_t ShardIndex(const Key& key) { return key.lo % kShards; }
  Shard& shard(std::size_t index) { return shards_[index]; }

  uint64_t keys(Algorithm algorithm) const;
  uint64_t evictions_idle() const;
  uint64_t refused() const;
  uint64_t capacity() const;
  // Bytes of cells, links and rings that are in use.
  uint64_t bytes() const;

 private:
  std::array<Shard, kShards> shards_;
  const std::size_t beside_bytes_;
  SlabArena slabs_;
  LazyMemory memory_;
};

class ABSL_SCOPED_LOCKABLE ShardLock {
 public:
  explicit ShardLock(CellTable::Shard& shard) ABSL_EXCLUSIVE_LOCK_FUNCTION(shard) : shard_(shard) {
    shard_.Lock();
  }
  ~ShardLock() ABSL_UNLOCK_FUNCTION() { shard_.Unlock(); }
  ShardLock(const ShardLock&) = delete;
  ShardLock& operator=(const ShardLock&) = delete;

 private:
  CellTable::Shard& shard_;
};

}  // namespace weir
