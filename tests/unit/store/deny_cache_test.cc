// Denials remembered from the shared store: never of what the store would admit, and in its words.

#include "limiter/store/deny_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/store/shared_store_harness.h"

namespace weir {
namespace {

using test::Asking;
using test::Bucket;
using test::Fixed;
using test::KeyOf;
using test::kMillisecondNs;
using test::kSecondNs;
using test::SharedHarness;
using test::SharedRequest;
using test::Sliding;

std::vector<Limit> AllOf(uint32_t hits, int64_t window_ns = 60 * kSecondNs) {
  return {Fixed(hits, window_ns), Sliding(hits, window_ns), Bucket(hits, window_ns)};
}

// The algorithm is part of a key.
uint64_t KeyFor(const Limit& limit, uint64_t n) {
  return 10 * n + static_cast<uint64_t>(limit.algorithm);
}

class DenyCacheTest : public ::testing::Test {
 protected:
  DenyCacheTest() { harness_.charge_denied = ChargeDenied::kNever; }
  Source SourceOf(const Limit& limit, uint64_t key, uint64_t hits, Op op = Op::kTake) {
    return harness_.One(limit, key, op, hits).source;
  }
  SharedHarness harness_;
};

TEST_F(DenyCacheTest, AnswersADeniedCostAgainWithoutACall) {
  for (const Limit& limit : AllOf(5)) {
    harness_.One(limit, KeyFor(limit, 1), Op::kTake, 4);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 3), Source::kStore);
    const uint64_t calls = harness_.remote.calls();
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 3), Source::kDeniedCache);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 5), Source::kDeniedCache);
    EXPECT_EQ(harness_.remote.calls(), calls);
    EXPECT_EQ(harness_.wakes, static_cast<int>(calls));
    harness_.One(limit, KeyFor(limit, 1), Op::kReset);
  }
}

TEST_F(DenyCacheTest, IsNotAskedForSmallerCostsNothingOrOtherOperations) {
  for (const Limit& limit : AllOf(5)) {
    harness_.One(limit, KeyFor(limit, 1), Op::kTake, 4);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 3), Source::kStore);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 2),
              Source::kStore);  // denied, and remembered instead
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 2), Source::kDeniedCache);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 0), Source::kStore);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 3, Op::kPeek), Source::kStore);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 3, Op::kReport), Source::kStore);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 2), 3), Source::kStore);
    harness_.One(limit, KeyFor(limit, 1), Op::kReset);
  }
}

TEST_F(DenyCacheTest, RemembersNoDenialOfAQuestion) {
  for (const Limit& limit : AllOf(5)) {
    EXPECT_FALSE(harness_.One(limit, KeyFor(limit, 1), Op::kPeek, 6).decision.allowed);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 6), Source::kStore);
    harness_.One(limit, KeyFor(limit, 1), Op::kReset);
  }
  // A fixed window above its limit denies a take of nothing: that says nothing of others.
  const Limit fixed = Fixed(5);
  harness_.One(fixed, 2, Op::kReport, 6);
  EXPECT_FALSE(harness_.One(fixed, 2, Op::kTake, 0).decision.allowed);
  EXPECT_EQ(SourceOf(fixed, 2, 1), Source::kStore);
}

TEST_F(DenyCacheTest, DeniesUnderTheLimitOfTheDenialOnly) {
  for (const Limit& limit : {Fixed(5), Sliding(5)}) {
    const Limit larger = limit.algorithm == Algorithm::kFixedWindow ? Fixed(8) : Sliding(8);
    EXPECT_FALSE(harness_.One(limit, KeyFor(limit, 1), Op::kTake, 6).decision.allowed);
    const Grant grant =
        harness_.One(larger, KeyFor(larger, 1), Op::kTake, 6);  // an override on the same key
    EXPECT_EQ(grant.source, Source::kStore);
    EXPECT_TRUE(grant.decision.allowed);
    harness_.One(limit, KeyFor(limit, 1), Op::kReset);
  }
}

TEST_F(DenyCacheTest, ForgetsWhatARefundOrAResetChanges) {
  for (const Limit& limit : AllOf(5)) {
    harness_.One(limit, KeyFor(limit, 1), Op::kTake, 5);
    EXPECT_FALSE(harness_.One(limit, KeyFor(limit, 1)).decision.allowed);
    harness_.One(limit, KeyFor(limit, 1), Op::kRefund, 2);
    EXPECT_TRUE(harness_.One(limit, KeyFor(limit, 1), Op::kTake, 2).decision.allowed);
    EXPECT_FALSE(harness_.One(limit, KeyFor(limit, 1)).decision.allowed);
    harness_.One(limit, KeyFor(limit, 1), Op::kReset);
    EXPECT_TRUE(harness_.One(limit, KeyFor(limit, 1)).decision.allowed);
    harness_.One(limit, KeyFor(limit, 1), Op::kReset);
  }
}

TEST_F(DenyCacheTest, ForgetsAfterASecond) {
  for (const Limit& limit : AllOf(5, 3600 * kSecondNs)) {
    harness_.One(limit, KeyFor(limit, 1), Op::kTake, 5);
    harness_.One(limit, KeyFor(limit, 1));
    harness_.Advance(kDenyCacheMaxNs - 2 * kMillisecondNs);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 1), Source::kDeniedCache);
    harness_.Advance(2 * kMillisecondNs);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 1), Source::kStore);
    harness_.One(limit, KeyFor(limit, 1), Op::kReset);
  }
}

TEST_F(DenyCacheTest, CachesCostsThatNeverPassAndBans) {
  for (const Limit& limit : AllOf(5)) {
    harness_.One(limit, KeyFor(limit, 1), Op::kTake, 6);
    const Grant never = harness_.One(limit, KeyFor(limit, 1), Op::kTake, 7);
    EXPECT_EQ(never.source, Source::kDeniedCache);
    EXPECT_EQ(never.decision.retry_after_ns, kNeverNs);
    EXPECT_EQ(never.decision.remaining, 5U);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 5), Source::kStore);
  }
  for (const Limit& ban : AllOf(0)) {
    harness_.One(ban, KeyFor(ban, 2), Op::kTake, 1);
    const Grant banned = harness_.One(ban, KeyFor(ban, 2), Op::kTake, 1);
    EXPECT_EQ(banned.source, Source::kDeniedCache);
    EXPECT_EQ(banned.decision.retry_after_ns, kNeverNs);
    EXPECT_EQ(banned.decision.next_hit_after_ns, kNeverNs);
    EXPECT_EQ(banned.decision.remaining, 0U);
    EXPECT_EQ(banned.decision.reset_after_ns, 0);
    harness_.Advance(2 * kSecondNs);
  }
}

TEST_F(DenyCacheTest, LargeCostsAreNotCached) {
  for (const Limit& limit : AllOf(200'000)) {
    harness_.One(limit, KeyFor(limit, 1), Op::kTake, 150'000);
    harness_.One(limit, KeyFor(limit, 1), Op::kTake, 65'536);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 65'536), Source::kStore);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), ~uint64_t{0}), Source::kStore);
    EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 65'535), Source::kStore);
    const Grant grant = harness_.One(limit, KeyFor(limit, 1), Op::kTake, 65'535);
    EXPECT_EQ(grant.source, Source::kDeniedCache);
    EXPECT_EQ(grant.decision.remaining, 50'000U);
    // A larger one still follows from the smaller.
    const Grant larger = harness_.One(limit, KeyFor(limit, 1), Op::kTake, ~uint64_t{0});
    EXPECT_EQ(larger.source, Source::kDeniedCache);
    EXPECT_EQ(larger.decision.retry_after_ns, kNeverNs);
    harness_.One(limit, KeyFor(limit, 1), Op::kReset);
  }
}

// The store decides somewhere between the call and its reply; the denial counts from the call.
TEST_F(DenyCacheTest, CountsFromWhenTheCallWasSent) {
  const Limit limit = Bucket(10, 5 * kSecondNs);  // a hit each half second
  harness_.wait_ns = kSecondNs;
  harness_.One(limit, KeyFor(limit, 1), Op::kTake, 10);
  SharedRequest request = {Asking::Of(limit, KeyFor(limit, 1))};
  harness_.Acquire(request);
  harness_.Turn();
  harness_.remote.Execute();
  harness_.Advance(400 * kMillisecondNs);
  harness_.Exchange();
  EXPECT_FALSE(request[0].decision.allowed);
  EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 1), Source::kDeniedCache);
  harness_.Advance(100 * kMillisecondNs);
  EXPECT_TRUE(harness_.One(limit, KeyFor(limit, 1)).decision.allowed);
}

TEST_F(DenyCacheTest, ALateDenialTeachesNothing) {
  const Limit limit = Fixed(5);
  SharedRequest request = {Asking::Of(limit, KeyFor(limit, 1), 6)};
  harness_.Acquire(request);
  harness_.Turn();
  harness_.Advance(test::kWaitNs);
  harness_.Turn();
  harness_.remote.Deliver();
  harness_.inbox.Deliver();
  EXPECT_EQ(SourceOf(limit, KeyFor(limit, 1), 6), Source::kStore);
}

TEST_F(DenyCacheTest, OneLookDeniedLeavesItsCostRemembered) {
  const Limit limit = Fixed(5);
  SharedRequest request = {Asking::Of(limit, KeyFor(limit, 1)),
                           Asking::Of(limit, KeyFor(limit, 2), 6)};
  harness_.Run(request);
  EXPECT_EQ(SourceOf(limit, KeyFor(limit, 2), 6), Source::kDeniedCache);
  // Denied by memory, the request spares its other keys, also in the modes that ask first.
  SharedRequest again = {Asking::Of(limit, KeyFor(limit, 1)),
                         Asking::Of(limit, KeyFor(limit, 2), 6)};
  harness_.Run(again);
  EXPECT_EQ(again[1].source, Source::kDeniedCache);
  EXPECT_TRUE(again[0].decision.allowed);
  EXPECT_EQ(harness_.remote.store().taken(KeyOf(KeyFor(limit, 1))), 0U);
}

TEST_F(DenyCacheTest, AFullTableForgetsAndStillDenies) {
  SharedStoreOptions options = SharedHarness::Small();
  options.keys_max = 64;
  SharedHarness harness(options);
  const Limit limit = Fixed(0);
  for (int round = 0; round < 2; ++round) {
    for (uint64_t key = 0; key < 5'000; ++key) {
      ASSERT_FALSE(harness.One(limit, key).decision.allowed);
    }
  }
  EXPECT_GT(harness.store.cells().refused(), 0U);
}

// The cell's answer against the store's own at the same moment, when nothing was charged since.
void ExpectAsTheStoreSays(const Limit& limit, const Grant& grant, const Decision& said,
                          uint64_t denied_hits, uint64_t hits) {
  const Decision& decision = grant.decision;
  const bool sliding = limit.algorithm == Algorithm::kSlidingWindow;
  ASSERT_FALSE(said.allowed);
  ASSERT_FALSE(decision.allowed);
  ASSERT_EQ(decision.reset_after_ns, said.reset_after_ns);
  if (!sliding) {
    ASSERT_EQ(decision.remaining, said.remaining);
    ASSERT_EQ(decision.next_hit_after_ns, said.next_hit_after_ns);
  } else {
    ASSERT_LE(decision.remaining, said.remaining);  // some hits may have left since
  }
  if (!sliding || hits == denied_hits) {
    ASSERT_EQ(decision.retry_after_ns, said.retry_after_ns);
  } else {
    ASSERT_LE(decision.retry_after_ns, said.retry_after_ns);
    ASSERT_GT(decision.retry_after_ns, 0);
  }
  ASSERT_EQ(grant.remaining_before, decision.remaining);
}

TEST(DenyCache, SaysWhatTheStoreWouldSay) {
  std::mt19937_64 random(5);
  uint64_t compared = 0;
  for (int round = 0; round < 6'000; ++round) {
    SharedHarness harness;
    harness.charge_denied = round % 2 == 0 ? ChargeDenied::kNever : ChargeDenied::kFirst;
    const int64_t window_ns = random() % 2 == 0 ? kSecondNs + 7 : 7 * kSecondNs;
    const Limit limit = AllOf(1 + static_cast<uint32_t>(random() % 9), window_ns)[random() % 3];
    harness.Advance(static_cast<int64_t>(random() % (2 * kSecondNs)));
    for (int i = 0; i < 4; ++i) {
      harness.One(limit, 1, Op::kReport, random() % 3);
      harness.Advance(static_cast<int64_t>(random() % (kSecondNs / 3)));
    }
    const uint64_t denied_hits = 1 + random() % 11;
    if (harness.One(limit, 1, Op::kTake, denied_hits).decision.allowed) continue;
    for (int i = 0; i < 8; ++i) {
      harness.Advance(static_cast<int64_t>(random() % (kSecondNs / 8)));
      const uint64_t hits = denied_hits + random() % 4;
      const Decision said = harness.remote.store().Peek(limit, KeyOf(1), hits);
      const Grant grant = harness.One(limit, 1, Op::kTake, hits);
      if (grant.source != Source::kDeniedCache) break;
      ++compared;
      SCOPED_TRACE("round " + std::to_string(round) + ", " + AlgorithmName(limit.algorithm));
      ExpectAsTheStoreSays(limit, grant, said, denied_hits, hits);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
  EXPECT_GT(compared, 5'000U);
}

// A node whose clock is anywhere and drifts, replies that take their time, other nodes that charge
// meanwhile: what is denied from memory is denied by the store at that moment.
void DenySoundly(uint32_t seed, uint64_t* denials) {
  std::mt19937_64 random(seed);
  SharedHarness harness;
  harness.wait_ns = 3600 * kSecondNs;
  harness.charge_denied = static_cast<ChargeDenied>(seed % 3);
  harness.remote.store().Advance(static_cast<int64_t>(random() % (100 * kSecondNs)));
  const int64_t drift_ppm = static_cast<int64_t>(random() % 1'999) - 999;
  std::vector<Limit> limits;
  for (const uint32_t hits : {0U, 1U, 3U, 10U}) {
    for (const int64_t window_ns : {kSecondNs / 2, 3 * kSecondNs}) {
      for (const Limit& limit : AllOf(hits, window_ns)) limits.push_back(limit);
    }
  }
  std::vector<std::unique_ptr<SharedRequest>> requests;
  for (int step = 0; step < 3'000; ++step) {
    const int64_t ns = static_cast<int64_t>(random() % (kSecondNs / 100));
    harness.remote.store().Advance(ns);
    harness.clock.Advance(ns + ns * drift_ppm / 1'000'000);
    const uint64_t key = random() % limits.size();
    const uint64_t hits = random() % 12;
    switch (random() % 8) {
      case 0:  // another node
        harness.remote.store().Apply(
            {&limits[key], KeyOf(key), random() % 2 == 0 ? Op::kTake : Op::kReport, hits, true});
        break;
      case 1:
      case 2:
        if (random() % 3 == 0) harness.remote.Execute();
        for (int i = 0; i < 4 && harness.remote.in_flight() > 0; ++i) {
          harness.remote.DeliverOne(random() % std::min<uint64_t>(harness.remote.in_flight(), 3));
        }
        harness.inbox.Deliver();
        break;
      default: {
        const Decision said = harness.remote.store().Peek(limits[key], KeyOf(key), hits);
        requests.push_back(std::make_unique<SharedRequest>());
        SharedRequest& request = *requests.back();
        request.asks = {Asking::Of(limits[key], key, hits)};
        harness.Acquire(request);
        harness.Turn();
        if (request.times() == 0) break;
        ASSERT_EQ(request[0].source, Source::kDeniedCache);
        ASSERT_FALSE(said.allowed)
            << "seed " << seed << ", step " << step << ", " << AlgorithmName(limits[key].algorithm)
            << ", cost " << hits << ", drift " << drift_ppm;
        ++*denials;
      }
    }
  }
}

TEST(DenyCache, NeverDeniesWhatTheStoreWouldAdmit) {
  uint64_t denials = 0;
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    DenySoundly(seed, &denials);
    if (::testing::Test::HasFatalFailure()) return;
  }
  EXPECT_GT(denials, 10'000U);
}

// The edge of the property above: a clock that is as slow as is allowed, at the first moment at
// which the store admits again.
TEST(DenyCache, ASlowClockDoesNotProlongADenial) {
  for (const Limit& limit : AllOf(1, kSecondNs)) {
    SharedHarness harness;
    harness.charge_denied = ChargeDenied::kNever;
    harness.One(limit, 1);
    const Grant denied = harness.One(limit, 1);
    ASSERT_FALSE(denied.decision.allowed);
    const int64_t retry_ns = std::min(denied.decision.retry_after_ns, kSecondNs);
    harness.remote.store().Advance(retry_ns);
    harness.clock.Advance(retry_ns - retry_ns / 1'000);
    EXPECT_EQ(harness.One(limit, 1).source, Source::kStore);
  }
}

// Denied for longer than the state says, so that the store is not asked for each hit that comes
// free: whoever is answered meanwhile is told to wait for the end of that.
TEST(DenyCache, APacedDenialSaysWhenItEnds) {
  constexpr int64_t kPaceNs = 50 * kMillisecondNs;
  constexpr int64_t kDriftNs = kPaceNs / 1'000;
  for (const Limit& limit : AllOf(1'000, kSecondNs)) {
    SCOPED_TRACE(AlgorithmName(limit.algorithm));
    Ask denied = Asking::Of(limit, 1);
    denied.grant.decision.reset_after_ns = kSecondNs;
    denied.grant.decision.retry_after_ns = kPaceNs;
    Cell cell = {};
    NoteDenied(denied, kSecondNs, cell);
    for (const int64_t after_ns : {int64_t{0}, 10 * kMillisecondNs, kPaceNs - kDriftNs - 1}) {
      Ask ask = Asking::Of(limit, 1, 3);
      const Instant now = {.mono_ns = kSecondNs + after_ns, .wall_ns = 0};
      ASSERT_TRUE(AnswerDenied(cell, now, ask));
      EXPECT_FALSE(ask.grant.decision.allowed);
      EXPECT_GE(ask.grant.decision.retry_after_ns, kPaceNs - kDriftNs - after_ns);
      EXPECT_LE(ask.grant.decision.retry_after_ns, kPaceNs - after_ns);
      EXPECT_EQ(ask.grant.decision.remaining, 0U);
      EXPECT_EQ(ask.grant.remaining_before, 0U);
      EXPECT_EQ(ask.grant.decision.reset_after_ns, kSecondNs - after_ns);
    }
    Ask late = Asking::Of(limit, 1);
    EXPECT_FALSE(
        AnswerDenied(cell, {.mono_ns = kSecondNs + kPaceNs - kDriftNs, .wall_ns = 0}, late));
  }
}

TEST(DenyCache, ADenialOfALeasedKeyIsPaced) {
  SharedStoreOptions options = SharedHarness::Small();
  options.leases = true;
  const int64_t pace_ns = options.lease.pace_ns;
  const Limit limit = Bucket(1'000, kSecondNs);  // a hit each millisecond
  LeaseCounters counters;
  for (const bool leased : {true, false}) {
    SCOPED_TRACE(leased);
    SharedHarness harness(options);
    const auto take = [&] {
      SharedRequest request = {Asking::Of(limit, 1)};
      if (leased) request.asks[0].lease = &counters;
      harness.Run(request);
      return request[0];
    };
    harness.remote.store().Apply({&limit, KeyOf(1), Op::kTake, 1'000, false});  // by another node
    const Grant denied = take();
    EXPECT_EQ(denied.source, Source::kStore);
    EXPECT_EQ(denied.decision.retry_after_ns, kMillisecondNs);
    harness.Advance(5 * kMillisecondNs);
    const uint64_t calls = harness.remote.calls();
    const Grant grant = take();
    EXPECT_EQ(grant.decision.allowed, !leased);
    EXPECT_EQ(harness.remote.calls(), calls + (leased ? 0 : 1));
    if (!leased) continue;
    EXPECT_EQ(grant.source, Source::kDeniedCache);
    EXPECT_EQ(grant.decision.remaining, 0U);
    EXPECT_EQ(grant.decision.next_hit_after_ns, grant.decision.retry_after_ns);
    EXPECT_GT(grant.decision.retry_after_ns, pace_ns / 2 - 6 * kMillisecondNs);
    EXPECT_LE(grant.decision.retry_after_ns, pace_ns + pace_ns / 2 - 5 * kMillisecondNs);
    // At the time that it was told it passes.
    harness.Advance(grant.decision.retry_after_ns);
    EXPECT_TRUE(take().decision.allowed);
  }
}

}  // namespace
}  // namespace weir
