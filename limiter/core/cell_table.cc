#include "limiter/core/cell_table.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "algorithms/sliding_window.h"

namespace weir {
namespace {

// A link: 8 bits of the key above, the cell's index + 1 below; 0 ends a chain.
constexpr uint32_t kIndexBits = 24;
constexpr uint32_t kIndexMask = (1U << kIndexBits) - 1;
constexpr std::size_t kShardKeysMax = kIndexMask - 1;
// Cells the hand looks at for one insertion: bounds the time under the lock.
constexpr uint32_t kSweepMax = 64;

uint32_t TagOf(const Key& key) { return static_cast<uint32_t>(key.hi >> 56) << kIndexBits; }

std::size_t ShardCapacity(std::size_t keys_max) {
  const std::size_t with_slack = keys_max + keys_max / 16 + CellTable::kShards - 1;
  return std::clamp<std::size_t>(with_slack / CellTable::kShards, 1, kShardKeysMax);
}

std::size_t ShardBytes(std::size_t capacity, std::size_t beside_bytes) {
  return capacity * (sizeof(Cell) + beside_bytes) +
         (2 * capacity * sizeof(uint32_t) + 63) / 64 * 64;
}

constexpr uint64_t kMinusOne = ~uint64_t{0};

}  // namespace

LazyMemory::LazyMemory(std::size_t bytes, std::size_t alignment, const char* setting)
    : alignment_(alignment), block_(std::calloc(1, bytes + alignment)) {
  if (block_ != nullptr) return;
  std::fprintf(stderr, "weir: no memory for %zu bytes of state: lower --%s\n", bytes, setting);
  std::abort();
}

LazyMemory::~LazyMemory() { std::free(block_); }

std::byte* LazyMemory::data() const {
  const auto address = reinterpret_cast<std::uintptr_t>(block_);
  return static_cast<std::byte*>(block_) + (alignment_ - address % alignment_);
}

SlabArena::SlabArena(std::size_t bytes_max)
    : slabs_max_(bytes_max / kSlabBytes),
      memory_(slabs_max_ * kSlabBytes, kSlabBytes, "state-bytes-max") {}

std::byte* SlabArena::Take() {
  MutexLock lock(mutex_);
  std::byte* slab = nullptr;
  if (!free_.empty()) {
    slab = free_.back();
    free_.pop_back();
  } else if (slabs_used_ < slabs_max_) {
    slab = memory_.data() + slabs_used_++ * kSlabBytes;
  } else {
    return nullptr;
  }
  slabs_taken_.fetch_add(1, std::memory_order_relaxed);
  return slab;
}

void SlabArena::Give(std::byte* slab) {
  MutexLock lock(mutex_);
  free_.push_back(slab);
  slabs_taken_.fetch_sub(1, std::memory_order_relaxed);
}

// Aligned to its size, so that a ring knows its slab. The rings follow it.
struct alignas(64) RingPool::Slab {
  static constexpr std::size_t kBytes = SlabArena::kSlabBytes;

  Slab* previous = nullptr;
  Slab* next = nullptr;
  std::size_t words = 0;     // of each ring
  std::size_t taken = 0;     // rings in use
  uint64_t* free = nullptr;  // list through the first words of free rings

  static Slab* New(std::size_t words, SlabArena& arena) {
    std::byte* memory = arena.Take();
    if (memory == nullptr) return nullptr;
    Slab* slab = new (memory) Slab;
    slab->words = words;
    auto* ring = reinterpret_cast<uint64_t*>(slab + 1);
    for (std::size_t i = 0; i < (kBytes - sizeof(Slab)) / (words * sizeof(uint64_t)); ++i) {
      slab->Free(ring);
      ring += words;
    }
    return slab;
  }
  static Slab* Of(uint64_t* ring) {
    const std::size_t into = reinterpret_cast<std::uintptr_t>(ring) % kBytes;
    return reinterpret_cast<Slab*>(reinterpret_cast<std::byte*>(ring) - into);
  }
  void Free(uint64_t* ring) {
    std::memcpy(ring, &free, sizeof(free));
    free = ring;
  }
};

void RingPool::Unlink(Slab*& first, Slab* slab) {
  if (slab->next != nullptr) slab->next->previous = slab->previous;
  (slab->previous != nullptr ? slab->previous->next : first) = slab->next;
}

void RingPool::Push(Slab*& first, Slab* slab) {
  slab->previous = nullptr;
  slab->next = first;
  if (first != nullptr) first->previous = slab;
  first = slab;
}

uint64_t* RingPool::Take(std::size_t words, SlabArena& arena) {
  if (partly_free_.size() <= words) partly_free_.resize(words + 1);
  Slab*& first = partly_free_[words];
  if (first == nullptr) {
    Slab* added = Slab::New(words, arena);
    if (added == nullptr) return nullptr;
    Push(first, added);
  }
  Slab* slab = first;
  uint64_t* ring = slab->free;
  std::memcpy(&slab->free, ring, sizeof(slab->free));
  ++slab->taken;
  if (slab->free == nullptr) {
    Unlink(first, slab);
    Push(full_, slab);
  }
  std::fill_n(ring, words, 0);
  return ring;
}

void RingPool::Give(uint64_t* ring, SlabArena& arena) {
  Slab* slab = Slab::Of(ring);
  if (slab->free == nullptr) {
    Unlink(full_, slab);
    Push(partly_free_[slab->words], slab);
  }
  slab->Free(ring);
  if (--slab->taken > 0) return;
  Unlink(partly_free_[slab->words], slab);
  arena.Give(reinterpret_cast<std::byte*>(slab));
}

CellTable::CellTable(std::size_t keys_max, std::size_t ring_bytes_max, std::size_t beside_bytes)
    : beside_bytes_(beside_bytes),
      slabs_(ring_bytes_max),
      memory_(ShardBytes(ShardCapacity(keys_max), beside_bytes) * kShards, alignof(Cell),
              "keys-max") {
  const std::size_t capacity = ShardCapacity(keys_max);
  std::byte* base = memory_.data();
  for (Shard& shard : shards_) {
    shard.capacity_ = static_cast<uint32_t>(capacity);
    shard.cells_ = reinterpret_cast<Cell*>(base);
    shard.beside_ = base + capacity * sizeof(Cell);
    shard.beside_bytes_ = beside_bytes;
    shard.links_ = reinterpret_cast<uint32_t*>(base + capacity * (sizeof(Cell) + beside_bytes));
    shard.heads_ = shard.links_ + capacity;
    shard.slabs_ = &slabs_;
    base += ShardBytes(capacity, beside_bytes);
  }
}

Cell* CellTable::Shard::Find(const Key& key) {
  const uint32_t tag = TagOf(key);
  for (uint32_t link = *HeadOf(key); link != 0;) {
    const uint32_t index = (link & kIndexMask) - 1;
    if ((link & ~kIndexMask) == tag && cells_[index].key == key) return &cells_[index];
    link = links_[index];
  }
  return nullptr;
}

Cell* CellTable::Shard::Insert(const Key& key, const Limit& limit, const Instant& now,
                               Holds holds) {
  if (free_ == 0 && used_ == capacity_ && EvictIdle(now, kAnyKey, 1) == 0) {
    stats_.refused.Add(1);
    return nullptr;
  }
  uint64_t* ring = nullptr;
  if (holds == Holds::kCharges && limit.algorithm == Algorithm::kSlidingWindow) {
    ring = TakeRing(limit, now);
    if (ring == nullptr) {
      stats_.refused.Add(1);
      return nullptr;
    }
  }
  uint32_t index = used_;
  if (free_ != 0) {
    index = (free_ & kIndexMask) - 1;
    free_ = links_[index];
  } else {
    ++used_;
    if (used_ > chains_) SplitChain();
  }
  Cell* cell = new (&cells_[index]) Cell();
  cell->key = key;
  cell->algorithm = limit.algorithm;
  cell->holds = holds;
  cell->precision = static_cast<uint8_t>(limit.precision);
  if (holds == Holds::kShared) cell->shared = {};
  if (ring != nullptr) cell->ring = ring;
  if (beside_bytes_ > 0) std::memset(beside_ + index * beside_bytes_, 0, beside_bytes_);
  uint32_t* head = HeadOf(key);
  links_[index] = *head;
  *head = TagOf(key) | (index + 1);
  stats_.keys[static_cast<std::size_t>(limit.algorithm)].Add(1);
  return cell;
}

void CellTable::Shard::SplitChain() {
  const uint64_t added = chains_++;
  if (added > chains_mask_) chains_mask_ = chains_mask_ * 2 + 1;
  uint32_t* to = &heads_[added];
  for (uint32_t* from = &heads_[added & (chains_mask_ >> 1)]; *from != 0;) {
    const uint32_t link = *from;
    const uint32_t index = (link & kIndexMask) - 1;
    if ((cells_[index].key.hi & chains_mask_) != added) {
      from = &links_[index];
      continue;
    }
    *from = links_[index];
    *to = link;
    links_[index] = 0;
    to = &links_[index];
  }
}

bool CellTable::Shard::Unlink(const Key& key) {
  const uint32_t tag = TagOf(key);
  for (uint32_t* link = HeadOf(key); *link != 0;) {
    const uint32_t index = (*link & kIndexMask) - 1;
    if ((*link & ~kIndexMask) != tag || cells_[index].key != key) {
      link = &links_[index];
      continue;
    }
    Cell& cell = cells_[index];
    if (cell.has_ring()) {
      rings_.Give(cell.ring, *slabs_);
    }
    stats_.keys[static_cast<std::size_t>(cell.algorithm)].Add(kMinusOne);
    *link = links_[index];
    links_[index] = free_;
    free_ = index + 1;
    return true;
  }
  return false;
}

bool CellTable::Shard::Erase(const Key& key) { return Unlink(key); }

uint64_t* CellTable::Shard::TakeRing(const Limit& limit, const Instant& now) {
  const std::size_t words = sliding_window::RingWords(limit.precision);
  uint64_t* ring = rings_.Take(words, *slabs_);
  if (ring != nullptr) return ring;
  // Without bytes for another slab, an idle key's ring of this length does as well. Rings of other
  // lengths only help when a whole slab of them is free.
  if (EvictIdle(now, words, 1) > 0 || EvictIdle(now, kAnyRing, kSweepMax) > 0) {
    ring = rings_.Take(words, *slabs_);
  }
  return ring;
}

std::size_t CellTable::Shard::EvictIdle(const Instant& now, std::size_t ring_words,
                                        std::size_t evictions_max) {
  std::size_t evicted = 0;
  const uint32_t steps = std::min(kSweepMax, used_);
  for (uint32_t step = 0; step < steps && evicted < evictions_max; ++step) {
    Cell& cell = cells_[hand_];
    hand_ = hand_ + 1 >= used_ ? 0 : hand_ + 1;
    if (!cell.IdleAt(now)) continue;
    if (ring_words != kAnyKey && !cell.has_ring()) continue;
    if (ring_words > kAnyRing && sliding_window::RingWords(cell.precision) != ring_words) continue;
    const Key key = cell.key;
    // The remains of an erased key: the key itself may live on in another cell.
    if (Find(key) != &cell) continue;
    Unlink(key);
    stats_.evictions_idle.Add(1);
    ++evicted;
  }
  return evicted;
}

uint64_t CellTable::keys(Algorithm algorithm) const {
  uint64_t sum = 0;
  for (const Shard& shard : shards_) {
    sum += shard.stats_.keys[static_cast<std::size_t>(algorithm)].Get();
  }
  return sum;
}

uint64_t CellTable::evictions_idle() const {
  uint64_t sum = 0;
  for (const Shard& shard : shards_) sum += shard.stats_.evictions_idle.Get();
  return sum;
}

uint64_t CellTable::refused() const {
  uint64_t sum = 0;
  for (const Shard& shard : shards_) sum += shard.stats_.refused.Get();
  return sum;
}

uint64_t CellTable::capacity() const { return uint64_t{shards_[0].capacity_} * kShards; }

uint64_t CellTable::bytes() const {
  const uint64_t held = keys(Algorithm::kFixedWindow) + keys(Algorithm::kSlidingWindow) +
                        keys(Algorithm::kTokenBucket);
  return held * (sizeof(Cell) + beside_bytes_ + 2 * sizeof(uint32_t)) + slabs_.bytes_taken();
}

}  // namespace weir
