// Many threads on one store, with the clock held still so that the totals are exact.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "limiter/store/memory_store.h"
#include "tests/unit/store/asking.h"

namespace weir {
namespace {

using test::Asking;
using test::Bucket;
using test::FakeClock;
using test::Fixed;
using test::KeysHeld;
using test::kSecondNs;
using test::Sliding;

constexpr int kThreads = 8;

void OnThreads(const std::function<void(uint32_t)>& work) {
  std::vector<std::jthread> threads;
  for (uint32_t i = 0; i < kThreads; ++i) threads.emplace_back([&work, i] { work(i); });
}

TEST(MemoryStoreThreads, OneKeyAdmitsExactlyTheLimit) {
  constexpr uint32_t kLimit = 10'000;
  for (const Limit& limit : {Fixed(kLimit), Sliding(kLimit), Bucket(kLimit)}) {
    FakeClock clock;
    MemoryStore store({.keys_max = 1024, .ring_bytes_max = std::size_t{4} << 20});
    std::atomic<uint64_t> admitted{0};
    OnThreads([&](uint32_t) {
      Asking ask(store, clock);
      uint64_t mine = 0;
      for (uint32_t i = 0; i < kLimit / 4; ++i) mine += ask.Take(limit, 1);
      admitted += mine;
    });
    EXPECT_EQ(admitted, kLimit) << AlgorithmName(limit.algorithm);
  }
}

// All-or-none over several keys, in an order of their own on each thread: what is admitted is what
// is charged, on every key, and no order of locks deadlocks.
TEST(MemoryStoreThreads, AllOrNoneChargesExactlyWhatIsAdmitted) {
  constexpr uint64_t kKeys = 6;
  constexpr uint32_t kLimit = 3'000;
  for (const Limit& limit : {Fixed(kLimit), Sliding(kLimit), Bucket(kLimit)}) {
    FakeClock clock;
    MemoryStore store({.keys_max = 1024, .ring_bytes_max = std::size_t{4} << 20});
    std::array<std::atomic<uint64_t>, kKeys> charged{};
    OnThreads([&](uint32_t thread) {
      Asking ask(store, clock);
      ask.charge_denied = ChargeDenied::kNever;
      std::mt19937 random(thread);
      for (int i = 0; i < 2'000; ++i) {
        std::vector<Ask> asks;
        std::vector<uint64_t> keys;
        for (int k = 0; k < 3; ++k) {
          keys.push_back(random() % kKeys);
          asks.push_back(Asking::Of(limit, keys.back(), 1 + random() % 2));
        }
        ask.Acquire(asks);
        Verdict verdict;
        for (const Ask& each : asks) verdict.Add(each.weight, each.grant.decision.allowed);
        if (!verdict.allowed()) continue;
        for (std::size_t k = 0; k < keys.size(); ++k) charged[keys[k]] += asks[k].hits;
      }
    });
    Asking ask(store, clock);
    for (uint64_t key = 0; key < kKeys; ++key) {
      EXPECT_EQ(ask.Remaining(limit, key), kLimit - charged[key]) << key;
    }
  }
}

TEST(MemoryStoreThreads, RefundsAndTakesConserveHits) {
  constexpr uint32_t kLimit = 1'000'000;
  const Limit limit = Fixed(kLimit);
  FakeClock clock;
  MemoryStore store({.keys_max = 1024});
  OnThreads([&](uint32_t) {
    Asking ask(store, clock);
    for (int i = 0; i < 5'000; ++i) {
      ask.Take(limit, 1, 3);
      ask.One(limit, 1, Op::kRefund, 2);
    }
  });
  EXPECT_EQ(Asking(store, clock).Remaining(limit, 1), kLimit - kThreads * 5'000U);
}

// A table too small for the traffic, while exporters read it: for ThreadSanitizer above all.
TEST(MemoryStoreThreads, EvictionResetAndExportRunSideBySide) {
  const std::vector<Limit> limits = {Fixed(3, kSecondNs), Sliding(3, kSecondNs),
                                     Bucket(3, kSecondNs)};
  FakeClock clock;
  MemoryStore store({.keys_max = 256, .ring_bytes_max = std::size_t{2} << 20});
  std::atomic<bool> done{false};
  std::thread exporter([&] {
    while (!done) {
      EXPECT_LE(store.cells().bytes(), uint64_t{4} << 20);
      EXPECT_LE(store.cells().evictions_idle(), uint64_t{1} << 40);
    }
  });
  OnThreads([&](uint32_t thread) {
    Asking ask(store, clock);
    std::mt19937 random(thread);
    for (int i = 0; i < 3'000; ++i) {
      const uint64_t key = random() % 2'000;
      ask.charge_denied = static_cast<ChargeDenied>(random() % 3);
      Ask asks[] = {Asking::Of(limits[key % 3], key),
                    Asking::Of(limits[(key + 1) % 3], key + 1, 2)};
      ask.Acquire(asks);
      if (random() % 8 == 0) ask.One(limits[key % 3], key, Op::kReset);
      if (random() % 8 == 0) clock.Advance(kSecondNs / 10);
    }
  });
  done = true;
  exporter.join();
  EXPECT_LE(KeysHeld(store), store.cells().capacity());
  EXPECT_GT(store.cells().evictions_idle(), 0U);
}

}  // namespace
}  // namespace weir
