#include "limiter/core/cell_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <random>
#include <set>
#include <unordered_map>
#include <vector>

#include "algorithms/sliding_window.h"
#include "tests/support/fake_clock.h"

namespace weir {
namespace {

using test::kSecondNs;

// Every key of these tests lives in this shard.
constexpr std::size_t kShard = 5;
constexpr std::size_t kRingBytes = std::size_t{8} << 20;
constexpr Instant kNow = {1'000 * kSecondNs, 1'700'000'040 * kSecondNs};

Limit LimitOf(Algorithm algorithm, uint32_t precision = kPrecisionDefault) {
  Limit limit;
  EXPECT_TRUE(
      MakeLimit(
          {.algorithm = algorithm, .hits = 5, .window_ns = 60 * kSecondNs, .precision = precision},
          &limit)
          .empty());
  return limit;
}

const Limit kFixed = LimitOf(Algorithm::kFixedWindow);
const Limit kBucket = LimitOf(Algorithm::kTokenBucket);
const Limit kSliding = LimitOf(Algorithm::kSlidingWindow);

// The n-th key of a chain (`head`) with 8 remembered bits (`tag`).
Key KeyAt(uint64_t head, uint64_t tag, uint64_t n) {
  return {tag << 56 | head, n * CellTable::kShards + kShard};
}

Cell* Find(CellTable& table, const Key& key) {
  CellTable::Shard& shard = table.shard(kShard);
  ShardLock lock(shard);
  return shard.Find(key);
}

// Inserts a key that stays live for `live_ns`.
Cell* Insert(CellTable& table, const Key& key, const Limit& limit, int64_t live_ns,
             const Instant& now = kNow) {
  CellTable::Shard& shard = table.shard(kShard);
  ShardLock lock(shard);
  Cell* cell = shard.Insert(key, limit, now);
  if (cell != nullptr) {
    const bool wall = limit.algorithm == Algorithm::kFixedWindow;
    cell->idle_at_ns = (wall ? now.wall_ns : now.mono_ns) + live_ns;
  }
  return cell;
}

bool Erase(CellTable& table, const Key& key) {
  CellTable::Shard& shard = table.shard(kShard);
  ShardLock lock(shard);
  return shard.Erase(key);
}

Instant Later(int64_t ns) { return {kNow.mono_ns + ns, kNow.wall_ns + ns}; }

// The room of one shard.
std::size_t ShardRoom(const CellTable& table) { return table.capacity() / CellTable::kShards; }

TEST(CellTable, HasRoomForItsKeysAndASixteenthMore) {
  EXPECT_EQ(CellTable(1024, 0).capacity(), 1088U);
  EXPECT_EQ(CellTable(64 * 100, 0).capacity(), 6848U);  // 106.25 a shard, rounded up
  EXPECT_EQ(CellTable(1, 0).capacity(), 64U);
  EXPECT_EQ(CellTable(0, 0).capacity(), 64U);
}

TEST(CellTable, FindsNothingWhereNothingWasPut) {
  CellTable table(1024, 0);
  EXPECT_EQ(Find(table, KeyAt(0, 0, 0)), nullptr);
  EXPECT_EQ(Find(table, Key{}), nullptr);
  EXPECT_FALSE(Erase(table, KeyAt(0, 0, 0)));
}

TEST(CellTable, HoldsTheKeyOfAllZeros) {
  CellTable table(1024, 0);
  CellTable::Shard& shard = table.shard(0);
  ShardLock lock(shard);
  Cell* cell = shard.Insert(Key{}, kFixed, kNow);
  ASSERT_NE(cell, nullptr);
  EXPECT_EQ(shard.Find(Key{}), cell);
}

TEST(CellTable, ANewCellIsAsIfNeverUsed) {
  CellTable table(1024, kRingBytes);
  Cell* fixed = Insert(table, KeyAt(1, 1, 1), kFixed, 0);
  EXPECT_EQ(fixed->fixed.state.count, 0U);
  Cell* bucket = Insert(table, KeyAt(1, 1, 2), kBucket, 0);
  EXPECT_EQ(bucket->token_bucket.tat_ns, 0);
  Cell* sliding = Insert(table, KeyAt(1, 1, 3), kSliding, 0);
  EXPECT_EQ(sliding->precision, kPrecisionDefault);
  const std::size_t words = sliding_window::RingWords(kPrecisionDefault);
  EXPECT_EQ(std::count(sliding->ring, sliding->ring + words, 0U), static_cast<int64_t>(words));
}

TEST(CellTable, KeysOfOneChainAndOneTagAreToldApart) {
  CellTable table(1024, 0);
  std::vector<Cell*> cells;
  for (uint64_t n = 0; n < 10; ++n) {
    cells.push_back(Insert(table, KeyAt(3, 7, n), kFixed, kSecondNs));
  }
  for (uint64_t n = 0; n < 10; ++n) EXPECT_EQ(Find(table, KeyAt(3, 7, n)), cells[n]);
  EXPECT_EQ(Find(table, KeyAt(3, 7, 10)), nullptr);
  EXPECT_EQ(Find(table, KeyAt(3, 8, 0)), nullptr);
}

TEST(CellTable, AKeyOfAChainIsErasedWhereverItStands) {
  for (uint64_t erased = 0; erased < 5; ++erased) {
    CellTable table(1024, 0);
    for (uint64_t n = 0; n < 5; ++n) Insert(table, KeyAt(3, n % 2, n), kFixed, kSecondNs);
    EXPECT_TRUE(Erase(table, KeyAt(3, erased % 2, erased)));
    EXPECT_FALSE(Erase(table, KeyAt(3, erased % 2, erased)));
    for (uint64_t n = 0; n < 5; ++n) {
      EXPECT_EQ(Find(table, KeyAt(3, n % 2, n)) != nullptr, n != erased) << erased << " " << n;
    }
  }
}

TEST(CellTable, AgreesWithAMapOverRandomOperations) {
  constexpr uint32_t kSeed = 7;
  std::mt19937 random(kSeed);
  CellTable table(64 * 40, kRingBytes);
  std::unordered_map<uint64_t, Cell*> oracle;  // by n
  const Limit limits[] = {kFixed, kBucket, kSliding};
  for (int round = 0; round < 100'000; ++round) {
    const uint64_t n = random() % 60;
    const Key key = KeyAt(n % 3, n % 2, n);
    const auto held = oracle.find(n);
    ASSERT_EQ(Find(table, key), held == oracle.end() ? nullptr : held->second) << round;
    if (held != oracle.end()) {
      if (random() % 2 == 0) {
        ASSERT_TRUE(Erase(table, key)) << round;
        oracle.erase(held);
      }
      continue;
    }
    Cell* cell = Insert(table, key, limits[n % 3], kSecondNs);
    ASSERT_EQ(cell == nullptr, oracle.size() == ShardRoom(table)) << round;
    if (cell == nullptr) continue;
    oracle.emplace(n, cell);
  }
  uint64_t held[3] = {0, 0, 0};
  std::set<Cell*> cells;
  for (const auto& [n, cell] : oracle) {
    ++held[static_cast<int>(limits[n % 3].algorithm)];
    cells.insert(cell);
  }
  EXPECT_EQ(cells.size(), oracle.size());  // no cell for two keys
  for (int i = 0; i < 3; ++i) EXPECT_EQ(table.keys(static_cast<Algorithm>(i)), held[i]);
}

TEST(CellTable, AShardFullOfLiveStateRefuses) {
  CellTable table(64 * 8, 0);
  const std::size_t room = ShardRoom(table);
  for (uint64_t n = 0; n < room; ++n) {
    ASSERT_NE(Insert(table, KeyAt(0, 0, n), kFixed, kSecondNs), nullptr);
  }
  EXPECT_EQ(Insert(table, KeyAt(0, 0, room), kFixed, kSecondNs), nullptr);
  EXPECT_EQ(table.refused(), 1U);
  EXPECT_EQ(table.evictions_idle(), 0U);
  for (uint64_t n = 0; n < room; ++n) EXPECT_NE(Find(table, KeyAt(0, 0, n)), nullptr);
}

TEST(CellTable, AFullShardEvictsTheIdleOneAndNeverALiveOne) {
  CellTable table(64 * 8, 0);
  const std::size_t room = ShardRoom(table);
  constexpr uint64_t kIdle = 3;
  for (uint64_t n = 0; n < room; ++n) {
    Insert(table, KeyAt(n % 2, 0, n), kFixed, n == kIdle ? 0 : kSecondNs);
  }
  EXPECT_NE(Insert(table, KeyAt(0, 0, 100), kFixed, kSecondNs), nullptr);
  EXPECT_EQ(Find(table, KeyAt(kIdle % 2, 0, kIdle)), nullptr);
  EXPECT_EQ(table.evictions_idle(), 1U);
  for (uint64_t n = 0; n < room; ++n) {
    EXPECT_EQ(Find(table, KeyAt(n % 2, 0, n)) != nullptr, n != kIdle) << n;
  }
  EXPECT_EQ(Insert(table, KeyAt(0, 0, 101), kFixed, kSecondNs), nullptr);
}

TEST(CellTable, LookupsHoldAfterManyEvictions) {
  CellTable table(64 * 8, kRingBytes);
  const std::size_t room = ShardRoom(table);
  const Limit limits[] = {kFixed, kBucket, kSliding};
  for (uint64_t n = 0; n < 5'000; ++n) {
    // Each is live for one second and a second passes between two: all but the newest are idle.
    const Instant now = Later(static_cast<int64_t>(n) * kSecondNs);
    Cell* cell = Insert(table, KeyAt(n % 5, n % 3, n), limits[n % 3], kSecondNs, now);
    ASSERT_NE(cell, nullptr);
    ASSERT_EQ(Find(table, KeyAt(n % 5, n % 3, n)), cell);
  }
  std::size_t held = 0;
  for (uint64_t n = 0; n < 5'000; ++n) held += Find(table, KeyAt(n % 5, n % 3, n)) != nullptr;
  EXPECT_EQ(held, room);
  EXPECT_EQ(table.evictions_idle(), 5'000 - room);
  EXPECT_EQ(table.keys(Algorithm::kFixedWindow) + table.keys(Algorithm::kTokenBucket) +
                table.keys(Algorithm::kSlidingWindow),
            room);
}

TEST(CellTable, FixedWindowsAreIdleByWallTimeAndOthersByMonotonicTime) {
  for (const Limit& limit : {kFixed, kBucket}) {
    CellTable table(1, 0);  // one cell a shard
    Insert(table, KeyAt(0, 0, 0), limit, kSecondNs);
    const bool fixed = limit.algorithm == Algorithm::kFixedWindow;
    const Instant wall_later = {kNow.mono_ns, kNow.wall_ns + kSecondNs};
    EXPECT_EQ(Insert(table, KeyAt(0, 0, 1), limit, kSecondNs, wall_later) != nullptr, fixed);
  }
}

TEST(CellTable, ACellIsLiveUntilTheInstantItIsIdle) {
  CellTable table(1, 0);
  Insert(table, KeyAt(0, 0, 0), kBucket, kSecondNs);
  EXPECT_EQ(Insert(table, KeyAt(0, 0, 1), kBucket, 0, Later(kSecondNs - 1)), nullptr);
  EXPECT_NE(Insert(table, KeyAt(0, 0, 1), kBucket, 0, Later(kSecondNs)), nullptr);
}

TEST(CellTable, RingsAreReusedZeroed) {
  CellTable table(1024, kRingBytes);
  const std::size_t words = sliding_window::RingWords(kPrecisionDefault);
  Insert(table, KeyAt(0, 0, 2), kSliding, kSecondNs);  // keeps their slab
  Cell* cell = Insert(table, KeyAt(0, 0, 0), kSliding, kSecondNs);
  uint64_t* ring = cell->ring;
  std::fill(ring, ring + words, 77);
  const uint64_t bytes = table.bytes();
  Erase(table, KeyAt(0, 0, 0));
  cell = Insert(table, KeyAt(0, 0, 1), kSliding, kSecondNs);
  EXPECT_EQ(cell->ring, ring);
  EXPECT_EQ(std::count(ring, ring + words, 0U), static_cast<int64_t>(words));
  EXPECT_EQ(table.bytes(), bytes);
}

TEST(CellTable, RingsDoNotOverlap) {
  CellTable table(64 * 200, kRingBytes);
  const uint32_t precisions[] = {1, 10, kPrecisionMax};
  std::vector<std::pair<uint64_t*, uint64_t*>> rings;
  for (uint64_t n = 0; n < 150; ++n) {
    const Limit limit = LimitOf(Algorithm::kSlidingWindow, precisions[n % 3]);
    uint64_t* ring = Insert(table, KeyAt(n, 0, n), limit, kSecondNs)->ring;
    rings.emplace_back(ring, ring + sliding_window::RingWords(limit.precision));
  }
  std::sort(rings.begin(), rings.end());
  for (std::size_t i = 1; i < rings.size(); ++i) EXPECT_LE(rings[i - 1].second, rings[i].first);
}

TEST(CellTable, RingsStayWithinTheirBytes) {
  constexpr std::size_t kCap = 40'000;
  CellTable table(64 * 4096, kCap);
  std::size_t held = 0;
  for (uint64_t n = 0; n < 4096; ++n) {
    held += Insert(table, KeyAt(n, 0, n), kSliding, kSecondNs) != nullptr;
  }
  EXPECT_GT(held, 100U);
  EXPECT_LE(held * sliding_window::RingWords(kPrecisionDefault) * sizeof(uint64_t), kCap);
  EXPECT_LE(table.bytes(), kCap + held * 72);
  EXPECT_EQ(table.refused(), 4096 - held);
  EXPECT_EQ(table.keys(Algorithm::kSlidingWindow), held);
  // Cells without a ring still find room.
  EXPECT_NE(Insert(table, KeyAt(1, 0, 5000), kFixed, kSecondNs), nullptr);
}

TEST(CellTable, ARefusedRingTakesNoCell) {
  CellTable table(64 * 4, 0);
  for (uint64_t n = 0; n < 10; ++n) {
    EXPECT_EQ(Insert(table, KeyAt(0, 0, n), kSliding, kSecondNs), nullptr);
    EXPECT_EQ(Find(table, KeyAt(0, 0, n)), nullptr);
  }
  for (uint64_t n = 0; n < ShardRoom(table); ++n) {
    EXPECT_NE(Insert(table, KeyAt(0, 0, n), kFixed, kSecondNs), nullptr);
  }
}

TEST(CellTable, IdleRingsMakeWayWhenTheirBytesAreUsedUp) {
  CellTable table(64 * 4096, 40'000);
  std::vector<Key> held;
  for (uint64_t n = 0;; ++n) {
    if (Insert(table, KeyAt(n, 0, n), kSliding, kSecondNs) == nullptr) break;
    held.push_back(KeyAt(n, 0, n));
  }
  EXPECT_EQ(Insert(table, KeyAt(0, 1, 9000), kSliding, kSecondNs), nullptr);
  for (std::size_t n = 0; n < held.size(); ++n) {
    EXPECT_NE(Insert(table, KeyAt(n, 1, 9000 + n), kSliding, kSecondNs, Later(kSecondNs)), nullptr)
        << n;
  }
  EXPECT_EQ(table.evictions_idle(), held.size());
  EXPECT_EQ(Insert(table, KeyAt(0, 1, 8999), kSliding, kSecondNs, Later(kSecondNs)), nullptr);
}

// As after a change of a rule's precision while the bytes are used up.
TEST(CellTable, IdleRingsOfAnotherLengthMakeWayASlabAtATime) {
  CellTable table(64 * 4096, 40'000);
  uint64_t held = 0;
  while (Insert(table, KeyAt(held, 0, held), kSliding, kSecondNs) != nullptr) ++held;
  const Limit finer = LimitOf(Algorithm::kSlidingWindow, kPrecisionMax);
  for (uint64_t n = 0; n < 20; ++n) {
    ASSERT_EQ(Insert(table, KeyAt(n, 1, 9000 + n), finer, kSecondNs), nullptr) << "live ones stay";
  }
  std::size_t inserted = 0;
  for (uint64_t n = 0; n < 20; ++n) {
    inserted += Insert(table, KeyAt(n, 1, 9000 + n), finer, kSecondNs, Later(kSecondNs)) != nullptr;
  }
  EXPECT_GE(inserted, 15U);
  EXPECT_LE(table.bytes(), 40'000 + (held + inserted) * 72);
}

// A key that was erased and came back stands in another cell: the old one must not evict it.
TEST(CellTable, TheRemainsOfAnErasedKeyDoNotEvictIt) {
  constexpr int64_t kLongNs = 20 * kSecondNs;
  CellTable table(64 * 4096, 40'000);
  const Key erased = KeyAt(0, 0, 0);
  Insert(table, erased, kSliding, kSecondNs);
  for (uint64_t n = 1; Insert(table, KeyAt(n, 0, n), kSliding, kLongNs) != nullptr;) ++n;
  Insert(table, KeyAt(0, 1, 9000), kFixed, kLongNs);
  // Cells are reused in reverse: the erased key comes back in the last one, its own stays free.
  EXPECT_TRUE(Erase(table, erased));
  EXPECT_TRUE(Erase(table, KeyAt(1, 0, 1)));
  EXPECT_TRUE(Erase(table, KeyAt(0, 1, 9000)));
  ASSERT_NE(Insert(table, erased, kSliding, kLongNs), nullptr);
  ASSERT_NE(Insert(table, KeyAt(0, 1, 9001), kSliding, kLongNs), nullptr);
  for (uint64_t n = 0; n < 20; ++n) {
    EXPECT_EQ(Insert(table, KeyAt(0, 2, n), kSliding, kLongNs, Later(kSecondNs)), nullptr);
  }
  EXPECT_NE(Find(table, erased), nullptr);
  EXPECT_EQ(table.evictions_idle(), 0U);
}

TEST(CellTable, ShardsAreTheKeyModuloTheirNumber) {
  EXPECT_EQ(CellTable::ShardIndex({0, 0}), 0U);
  EXPECT_EQ(CellTable::ShardIndex({~uint64_t{0}, 63}), 63U);
  EXPECT_EQ(CellTable::ShardIndex({1, 64 + 7}), 7U);
}

}  // namespace
}  // namespace weir
