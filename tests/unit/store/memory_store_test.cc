#include "limiter/store/memory_store.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

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

class MemoryStoreTest : public ::testing::Test {
 protected:
  void Use(const MemoryStoreOptions& options) {
    store_ = std::make_unique<MemoryStore>(options);
    ask_ = std::make_unique<Asking>(*store_, clock_);
  }
  void SetUp() override { Use({.keys_max = 1024, .ring_bytes_max = std::size_t{8} << 20}); }

  static std::vector<Limit> AllOf(uint32_t hits) {
    return {Fixed(hits), Sliding(hits), Bucket(hits)};
  }

  FakeClock clock_;
  std::unique_ptr<MemoryStore> store_;
  std::unique_ptr<Asking> ask_;
};

TEST_F(MemoryStoreTest, TakesUpToTheLimitAndThenDenies) {
  uint64_t key = 0;
  for (const Limit& limit : AllOf(3)) {
    ++key;
    for (uint64_t left = 3; left > 0; --left) {
      const Grant grant = ask_->One(limit, key, Op::kTake);
      EXPECT_TRUE(grant.decision.allowed);
      EXPECT_EQ(grant.decision.remaining, left - 1);
      EXPECT_EQ(grant.remaining_before, left);
      EXPECT_EQ(grant.source, Source::kMemory);
    }
    const Grant denied = ask_->One(limit, key, Op::kTake);
    EXPECT_FALSE(denied.decision.allowed);
    EXPECT_EQ(denied.remaining_before, 0U);
    EXPECT_GT(denied.decision.retry_after_ns, 0);
  }
}

TEST_F(MemoryStoreTest, PeeksWithoutCharging) {
  uint64_t key = 0;
  for (const Limit& limit : AllOf(3)) {
    ++key;
    EXPECT_TRUE(ask_->One(limit, key, Op::kPeek, 3).decision.allowed);
    EXPECT_FALSE(ask_->One(limit, key, Op::kPeek, 4).decision.allowed);
    ask_->Take(limit, key, 2);
    EXPECT_FALSE(ask_->One(limit, key, Op::kPeek, 2).decision.allowed);
    EXPECT_EQ(ask_->Remaining(limit, key), 1U);
  }
}

TEST_F(MemoryStoreTest, ReportsPastTheLimit) {
  uint64_t key = 0;
  for (const Limit& limit : AllOf(3)) {
    ++key;
    const Grant grant = ask_->One(limit, key, Op::kReport, 5);
    EXPECT_TRUE(grant.decision.allowed);
    EXPECT_EQ(grant.remaining_before, 3U);
    EXPECT_EQ(grant.decision.remaining, 0U);
    EXPECT_FALSE(ask_->Take(limit, key));
  }
}

TEST_F(MemoryStoreTest, RefundsUpToTheLimit) {
  uint64_t key = 0;
  for (const Limit& limit : AllOf(3)) {
    ++key;
    ask_->Take(limit, key, 3);
    EXPECT_EQ(ask_->One(limit, key, Op::kRefund, 2).decision.remaining, 2U);
    EXPECT_TRUE(ask_->One(limit, key, Op::kRefund, 100).decision.allowed);
    EXPECT_EQ(ask_->Remaining(limit, key), 3U);
  }
}

TEST_F(MemoryStoreTest, ResetForgetsTheKeyAndItsCell) {
  uint64_t key = 0;
  for (const Limit& limit : AllOf(3)) {
    ++key;
    ask_->Take(limit, key, 3);
    const Grant grant = ask_->One(limit, key, Op::kReset);
    EXPECT_EQ(grant.remaining_before, 0U);
    EXPECT_EQ(grant.decision.remaining, 3U);
    EXPECT_EQ(grant.decision.reset_after_ns, 0);
    EXPECT_EQ(KeysHeld(*store_), 0U);
    EXPECT_EQ(ask_->One(limit, key, Op::kTake).decision.remaining, 2U);
    ask_->One(limit, key, Op::kReset);
  }
}

TEST_F(MemoryStoreTest, KeepsNoCellForWhatChargesNothing) {
  ask_->charge_denied = ChargeDenied::kNever;
  uint64_t key = 0;
  for (const Limit& limit : AllOf(3)) {
    ask_->One(limit, ++key, Op::kPeek, 1);
    ask_->One(limit, ++key, Op::kTake, 0);
    ask_->One(limit, ++key, Op::kTake, 4);  // denied
    ask_->One(limit, ++key, Op::kRefund, 2);
    ask_->One(limit, ++key, Op::kReport, 0);
    ask_->One(limit, ++key, Op::kReset);
  }
  for (const Limit& ban : AllOf(0)) EXPECT_FALSE(ask_->Take(ban, ++key));
  EXPECT_EQ(KeysHeld(*store_), 0U);
}

TEST_F(MemoryStoreTest, KeepsNoCellForADeniedRequestOfSeveralKeys) {
  for (const ChargeDenied mode : {ChargeDenied::kNever, ChargeDenied::kOverOnly}) {
    ask_->charge_denied = mode;
    const Limit limit = Sliding(3);
    const Limit ban = Bucket(0);
    Ask asks[] = {Asking::Of(limit, 1), Asking::Of(limit, 2), Asking::Of(ban, 3)};
    ask_->Acquire(asks);
    EXPECT_TRUE(asks[0].grant.decision.allowed);
    EXPECT_FALSE(asks[2].grant.decision.allowed);
    EXPECT_EQ(store_->cells().keys(Algorithm::kSlidingWindow), 0U);
  }
}

TEST_F(MemoryStoreTest, FirstChargesTheCrossingHitsInFullOnAFixedWindow) {
  const Limit limit = Fixed(5);
  ask_->Take(limit, 1, 3);
  EXPECT_FALSE(ask_->Take(limit, 1, 4));
  EXPECT_EQ(ask_->Remaining(limit, 1), 0U);
  ask_->One(limit, 1, Op::kRefund, 1);
  EXPECT_FALSE(ask_->Take(limit, 1));  // 7 - 1 is still over
  ask_->One(limit, 1, Op::kRefund, 2);
  EXPECT_EQ(ask_->Remaining(limit, 1), 1U);
}

TEST_F(MemoryStoreTest, FirstChargesLaterDenialsNothing) {
  const Limit limit = Fixed(5);
  ask_->Take(limit, 1, 6);
  for (int i = 0; i < 100; ++i) ask_->Take(limit, 1, 6);
  ask_->One(limit, 1, Op::kRefund, 2);
  EXPECT_EQ(ask_->Remaining(limit, 1), 1U);
}

TEST_F(MemoryStoreTest, FirstDrainsTheWholeHitsLeftOnTheOthers) {
  for (const Limit& limit : {Sliding(5), Bucket(5)}) {
    const uint64_t key = static_cast<uint64_t>(limit.algorithm);
    ask_->Take(limit, key, 3);
    EXPECT_FALSE(ask_->Take(limit, key, 4));
    EXPECT_EQ(ask_->Remaining(limit, key), 0U);
  }
}

TEST_F(MemoryStoreTest, NeverChargesADenialNothing) {
  ask_->charge_denied = ChargeDenied::kNever;
  uint64_t key = 0;
  for (const Limit& limit : AllOf(5)) {
    ++key;
    ask_->Take(limit, key, 3);
    EXPECT_FALSE(ask_->Take(limit, key, 4));
    EXPECT_EQ(ask_->Remaining(limit, key), 2U);
    EXPECT_TRUE(ask_->Take(limit, key, 2));
  }
}

TEST_F(MemoryStoreTest, FirstChargesEachDescriptorOnItsOwn) {
  const Limit wide = Fixed(5);
  const Limit narrow = Fixed(1);
  Ask asks[] = {Asking::Of(wide, 1), Asking::Of(narrow, 2, 2), Asking::Of(wide, 3)};
  ask_->Acquire(asks);
  EXPECT_EQ(ask_->Remaining(wide, 1), 4U);
  EXPECT_EQ(ask_->Remaining(narrow, 2), 0U);
  EXPECT_EQ(ask_->Remaining(wide, 3), 4U);
}

TEST_F(MemoryStoreTest, OverOnlyChargesOnlyThoseThatAreOver) {
  ask_->charge_denied = ChargeDenied::kOverOnly;
  const Limit wide = Fixed(5);
  const Limit narrow = Fixed(3);
  Ask asks[] = {Asking::Of(wide, 1, 2), Asking::Of(narrow, 2, 4), Asking::Of(wide, 3, 2)};
  ask_->Acquire(asks);
  EXPECT_TRUE(asks[0].grant.decision.allowed);
  EXPECT_EQ(asks[0].grant.decision.remaining, 5U);
  EXPECT_FALSE(asks[1].grant.decision.allowed);
  EXPECT_EQ(asks[1].grant.remaining_before, 3U);
  EXPECT_EQ(ask_->Remaining(wide, 1), 5U);
  EXPECT_EQ(ask_->Remaining(narrow, 2), 0U);
  EXPECT_EQ(ask_->Remaining(wide, 3), 5U);
}

TEST_F(MemoryStoreTest, NeverChargesADeniedRequestOnNoneOfItsKeys) {
  ask_->charge_denied = ChargeDenied::kNever;
  uint64_t key = 0;
  for (const Limit& wide : AllOf(5)) {
    for (const Limit& narrow : AllOf(1)) {
      const uint64_t first = ++key;
      const uint64_t second = ++key;
      const uint64_t third = ++key;
      ask_->Take(wide, first);
      Ask asks[] = {Asking::Of(wide, first, 2), Asking::Of(narrow, second, 2),
                    Asking::Of(wide, third, 2)};
      ask_->Acquire(asks);
      EXPECT_EQ(ask_->Remaining(wide, first), 4U);
      EXPECT_EQ(ask_->Remaining(narrow, second), 1U);
      EXPECT_EQ(ask_->Remaining(wide, third), 5U);
    }
  }
}

TEST_F(MemoryStoreTest, NeverChargesAnAllowedRequestOnAllItsKeys) {
  ask_->charge_denied = ChargeDenied::kNever;
  const std::vector<Limit> limits = AllOf(5);
  Ask asks[] = {Asking::Of(limits[0], 1, 2), Asking::Of(limits[1], 2, 5),
                Asking::Of(limits[2], 3, 1)};
  ask_->Acquire(asks);
  EXPECT_EQ(asks[0].grant.decision.remaining, 3U);
  EXPECT_EQ(asks[1].grant.decision.remaining, 0U);
  EXPECT_EQ(asks[2].grant.decision.remaining, 4U);
  EXPECT_EQ(asks[1].grant.remaining_before, 5U);
  EXPECT_EQ(ask_->Remaining(limits[0], 1), 3U);
  EXPECT_EQ(ask_->Remaining(limits[1], 2), 0U);
  EXPECT_EQ(ask_->Remaining(limits[2], 3), 4U);
}

TEST_F(MemoryStoreTest, AShadowDenialDoesNotKeepOthersFromBeingCharged) {
  for (const ChargeDenied mode : {ChargeDenied::kNever, ChargeDenied::kOverOnly}) {
    ask_->charge_denied = mode;
    const Limit wide = Fixed(5);
    const Limit narrow = Fixed(1);
    const uint64_t base = mode == ChargeDenied::kNever ? 0 : 10;
    Ask asks[] = {Asking::Of(narrow, base + 1, 2, Weight::kShadow), Asking::Of(wide, base + 2, 2)};
    ask_->Acquire(asks);
    EXPECT_FALSE(asks[0].grant.decision.allowed);
    EXPECT_EQ(ask_->Remaining(narrow, base + 1), mode == ChargeDenied::kNever ? 1U : 0U);
    EXPECT_EQ(ask_->Remaining(wide, base + 2), 3U);
  }
}

TEST_F(MemoryStoreTest, QuotasDenyTheRequestOnlyWhenAllAreOver) {
  ask_->charge_denied = ChargeDenied::kNever;
  const Limit wide = Fixed(5);
  const Limit narrow = Fixed(1);
  Ask one_over[] = {Asking::Of(narrow, 1, 2, Weight::kQuota),
                    Asking::Of(wide, 2, 2, Weight::kQuota), Asking::Of(wide, 3, 2)};
  ask_->Acquire(one_over);
  EXPECT_EQ(ask_->Remaining(wide, 2), 3U);
  EXPECT_EQ(ask_->Remaining(wide, 3), 3U);
  Ask all_over[] = {Asking::Of(narrow, 1, 2, Weight::kQuota),
                    Asking::Of(wide, 2, 4, Weight::kQuota), Asking::Of(wide, 3, 2)};
  ask_->Acquire(all_over);
  EXPECT_EQ(ask_->Remaining(wide, 2), 3U);
  EXPECT_EQ(ask_->Remaining(wide, 3), 3U);
}

TEST_F(MemoryStoreTest, QuotasThatPassElsewhereCountForTheVerdict) {
  ask_->charge_denied = ChargeDenied::kNever;
  ask_->verdict.Add(Weight::kQuota, true);
  const Limit wide = Fixed(5);
  const Limit narrow = Fixed(1);
  Ask asks[] = {Asking::Of(narrow, 1, 2, Weight::kQuota), Asking::Of(wide, 2, 2)};
  ask_->Acquire(asks);
  EXPECT_EQ(ask_->Remaining(wide, 2), 3U);
}

TEST_F(MemoryStoreTest, ARefundedQuotaPassesAndSoDoesTheRequest) {
  ask_->charge_denied = ChargeDenied::kNever;
  const Limit wide = Fixed(5);
  const Limit narrow = Fixed(1);
  ask_->Take(wide, 1, 2);
  Ask asks[] = {Asking::Of(wide, 1, 1, Weight::kQuota, Op::kRefund),
                Asking::Of(narrow, 2, 2, Weight::kQuota), Asking::Of(wide, 3, 2)};
  ask_->Acquire(asks);
  EXPECT_EQ(ask_->Remaining(wide, 1), 4U);
  EXPECT_EQ(ask_->Remaining(wide, 3), 3U);
}

TEST_F(MemoryStoreTest, ADeniedPeekKeepsTheRequestFromBeingCharged) {
  ask_->charge_denied = ChargeDenied::kNever;
  const Limit limit = Fixed(5);
  Ask asks[] = {Asking::Of(limit, 1, 2), Asking::Of(limit, 2, 6, Weight::kEnforced, Op::kPeek)};
  ask_->Acquire(asks);
  EXPECT_FALSE(asks[1].grant.decision.allowed);
  EXPECT_EQ(ask_->Remaining(limit, 1), 5U);
}

TEST_F(MemoryStoreTest, OneKeyTwiceInARequestIsChargedForBothOrNeither) {
  ask_->charge_denied = ChargeDenied::kNever;
  uint64_t key = 0;
  for (const Limit& limit : AllOf(5)) {
    ++key;
    Ask over[] = {Asking::Of(limit, key, 3), Asking::Of(limit, key, 3)};
    ask_->Acquire(over);
    EXPECT_TRUE(over[0].grant.decision.allowed);
    EXPECT_FALSE(over[1].grant.decision.allowed);
    EXPECT_EQ(over[1].grant.remaining_before, 2U);
    EXPECT_EQ(ask_->Remaining(limit, key), 5U);
    Ask fits[] = {Asking::Of(limit, key, 3), Asking::Of(limit, key, 2)};
    ask_->Acquire(fits);
    EXPECT_EQ(fits[1].grant.remaining_before, 2U);
    EXPECT_EQ(ask_->Remaining(limit, key), 0U);
  }
}

TEST_F(MemoryStoreTest, APeekBehindATakeOfTheSameKeySeesThatTake) {
  ask_->charge_denied = ChargeDenied::kNever;
  const Limit limit = Fixed(5);
  Ask asks[] = {Asking::Of(limit, 1, 2), Asking::Of(limit, 1, 3, Weight::kEnforced, Op::kPeek)};
  ask_->Acquire(asks);
  EXPECT_TRUE(asks[1].grant.decision.allowed);
  EXPECT_EQ(asks[1].grant.decision.remaining, 3U);
}

// The check of zero asks whether one more hit would pass: after the first take none would.
TEST_F(MemoryStoreTest, ACheckOfZeroBehindATakeOfTheSameKeySeesThatTake) {
  ask_->charge_denied = ChargeDenied::kNever;
  for (const Limit& limit : {Sliding(5), Bucket(5)}) {
    const uint64_t key = static_cast<uint64_t>(limit.algorithm);
    Ask asks[] = {Asking::Of(limit, key, 5), Asking::Of(limit, key, 0)};
    ask_->Acquire(asks);
    EXPECT_FALSE(asks[1].grant.decision.allowed);
    EXPECT_EQ(ask_->Remaining(limit, key), 5U);
  }
}

// Under never the first take costs nothing, so the second finds the whole limit.
TEST_F(MemoryStoreTest, ADeniedShadowTakeDoesNotCountAgainstALaterTakeOfItsKey) {
  ask_->charge_denied = ChargeDenied::kNever;
  const Limit limit = Fixed(5);
  Ask asks[] = {Asking::Of(limit, 1, 6, Weight::kShadow), Asking::Of(limit, 1, 3, Weight::kShadow)};
  ask_->Acquire(asks);
  EXPECT_FALSE(asks[0].grant.decision.allowed);
  EXPECT_TRUE(asks[1].grant.decision.allowed);
  EXPECT_EQ(ask_->Remaining(limit, 1), 2U);
}

TEST_F(MemoryStoreTest, AFullTableAllowsAndMarksTheAnswer) {
  Use({.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kAllow});
  const Limit limit = Fixed(5);
  EXPECT_TRUE(ask_->Take(limit, 0));
  for (int i = 0; i < 10; ++i) {
    const Grant grant = ask_->One(limit, 64, Op::kTake, 2);
    EXPECT_TRUE(grant.decision.allowed);
    EXPECT_EQ(grant.source, Source::kPolicy);
    EXPECT_EQ(grant.decision.remaining, 3U);
  }
  EXPECT_EQ(store_->cells().refused(), 10U);
  EXPECT_EQ(ask_->Remaining(limit, 0), 4U);
}

TEST_F(MemoryStoreTest, AFullTableDeniesAndMarksTheAnswer) {
  Use({.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kDeny});
  const Limit limit = Fixed(5);
  EXPECT_TRUE(ask_->Take(limit, 0));
  const Grant grant = ask_->One(limit, 64, Op::kTake, 2);
  EXPECT_FALSE(grant.decision.allowed);
  EXPECT_EQ(grant.source, Source::kPolicy);
  EXPECT_EQ(grant.decision.remaining, 0U);
  EXPECT_GT(grant.decision.retry_after_ns, 0);
  EXPECT_TRUE(ask_->Take(limit, 0));  // a held key is answered as ever
}

TEST_F(MemoryStoreTest, AReportThatFindsNoRoomIsAllowedAndMarked) {
  Use({.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kDeny});
  const Limit limit = Fixed(5);
  ask_->Take(limit, 0);
  const Grant grant = ask_->One(limit, 64, Op::kReport, 2);
  EXPECT_TRUE(grant.decision.allowed);
  EXPECT_EQ(grant.source, Source::kPolicy);
}

TEST_F(MemoryStoreTest, ACostThatCanNeverPassIsDeniedByTheLimitAlsoWhenFull) {
  Use({.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kAllow});
  const Limit limit = Fixed(5);
  ask_->Take(limit, 0);
  const Grant grant = ask_->One(limit, 64, Op::kTake, 6);
  EXPECT_FALSE(grant.decision.allowed);
  EXPECT_EQ(grant.source, Source::kMemory);
  EXPECT_EQ(grant.decision.retry_after_ns, kNeverNs);
}

TEST_F(MemoryStoreTest, AFullTableStillAnswersQuestionsWithoutAMark) {
  Use({.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kDeny});
  const Limit limit = Fixed(5);
  ask_->Take(limit, 0);
  for (const Op op : {Op::kPeek, Op::kRefund, Op::kReset}) {
    const Grant grant = ask_->One(limit, 64, op);
    EXPECT_TRUE(grant.decision.allowed);
    EXPECT_EQ(grant.source, Source::kMemory);
  }
}

TEST_F(MemoryStoreTest, AnIdleKeyMakesWayInAFullTable) {
  Use({.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kDeny});
  const Limit limit = Fixed(5);
  ask_->Take(limit, 0);
  clock_.Advance(60 * kSecondNs);
  EXPECT_TRUE(ask_->Take(limit, 64));
  EXPECT_EQ(store_->cells().evictions_idle(), 1U);
  EXPECT_FALSE(ask_->Take(limit, 0));
}

TEST_F(MemoryStoreTest, ARefundedKeyIsIdleAtOnce) {
  Use({.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kDeny});
  for (const Limit& limit : {Fixed(5), Bucket(5)}) {
    ask_->Take(limit, 0, 2);
    EXPECT_FALSE(ask_->Take(limit, 64));
    ask_->One(limit, 0, Op::kRefund, 2);
    EXPECT_TRUE(ask_->Take(limit, 64));
    ask_->One(limit, 64, Op::kReset);
  }
}

TEST_F(MemoryStoreTest, AllOrNoneHoldsWhenAKeyFindsNoRoom) {
  Use({.keys_max = 64, .ring_bytes_max = 0, .overflow = Overflow::kDeny});
  ask_->charge_denied = ChargeDenied::kNever;
  const Limit limit = Fixed(5);
  // Two cells a shard: keys 0 and 64 fill the first one.
  ask_->Take(limit, 0);
  ask_->Take(limit, 64);
  Ask asks[] = {Asking::Of(limit, 1), Asking::Of(limit, 0), Asking::Of(limit, 128)};
  ask_->Acquire(asks);
  EXPECT_TRUE(asks[0].grant.decision.allowed);
  EXPECT_FALSE(asks[2].grant.decision.allowed);
  EXPECT_EQ(asks[2].grant.source, Source::kPolicy);
  EXPECT_EQ(ask_->Remaining(limit, 1), 5U);
  EXPECT_EQ(ask_->Remaining(limit, 0), 4U);
  EXPECT_EQ(KeysHeld(*store_), 2U);
}

TEST_F(MemoryStoreTest, AKeyThatFindsNoRoomPassesUnderAllowAndTheOthersAreCharged) {
  Use({.keys_max = 64, .ring_bytes_max = 0, .overflow = Overflow::kAllow});
  ask_->charge_denied = ChargeDenied::kNever;
  const Limit limit = Fixed(5);
  ask_->Take(limit, 0);
  ask_->Take(limit, 64);
  Ask asks[] = {Asking::Of(limit, 1), Asking::Of(limit, 128)};
  ask_->Acquire(asks);
  EXPECT_EQ(asks[1].grant.source, Source::kPolicy);
  EXPECT_EQ(ask_->Remaining(limit, 1), 4U);
  EXPECT_EQ(store_->cells().refused(), 1U);
}

// The idle cell of one key must not be given to another key of the same request: the first would
// then find no room when it is charged.
TEST_F(MemoryStoreTest, KeysOfOneRequestDoNotEvictEachOther) {
  Use({.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kDeny});
  const Limit limit = Fixed(5);
  ask_->Take(limit, 0);
  clock_.Advance(60 * kSecondNs);
  ask_->charge_denied = ChargeDenied::kNever;
  Ask asks[] = {Asking::Of(limit, 0), Asking::Of(limit, 64)};
  ask_->Acquire(asks);
  EXPECT_TRUE(asks[0].grant.decision.allowed);
  EXPECT_FALSE(asks[1].grant.decision.allowed);
  EXPECT_EQ(ask_->Remaining(limit, 0), 5U);
  EXPECT_EQ(ask_->Remaining(limit, 64), 5U);
  // And the cell that was kept for the request is idle again.
  EXPECT_TRUE(ask_->Take(limit, 64));
}

TEST_F(MemoryStoreTest, FixedWindowsFollowTheWallClock) {
  const Limit limit = Fixed(2);
  ask_->Take(limit, 1, 2);
  clock_.StepWall(60 * kSecondNs - 1);
  EXPECT_FALSE(ask_->Take(limit, 1));
  clock_.StepWall(1);
  EXPECT_TRUE(ask_->Take(limit, 1));
}

TEST_F(MemoryStoreTest, TheOthersIgnoreStepsOfTheWallClock) {
  for (const Limit& limit : {Sliding(2), Bucket(2)}) {
    const uint64_t key = static_cast<uint64_t>(limit.algorithm);
    ask_->Take(limit, key, 2);
    clock_.StepWall(3600 * kSecondNs);
    EXPECT_FALSE(ask_->Take(limit, key));
    clock_.StepWall(-7200 * kSecondNs);
    EXPECT_FALSE(ask_->Take(limit, key));
    clock_.Advance(66 * kSecondNs);
    EXPECT_TRUE(ask_->Take(limit, key));
  }
}

TEST_F(MemoryStoreTest, ASmallBackwardStepStaysInTheNewerWindow) {
  const Limit limit = Fixed(2);
  ask_->Take(limit, 1, 2);
  clock_.StepWall(-1);
  EXPECT_FALSE(ask_->Take(limit, 1));
  EXPECT_FALSE(ask_->One(limit, 1, Op::kTake).decision.clock_fault);
}

TEST_F(MemoryStoreTest, ALargeBackwardStepStartsAnewAndIsAFault) {
  const Limit limit = Fixed(2);
  ask_->Take(limit, 1, 2);
  clock_.StepWall(-3600 * kSecondNs);
  const Grant grant = ask_->One(limit, 1, Op::kTake);
  EXPECT_TRUE(grant.decision.allowed);
  EXPECT_TRUE(grant.decision.clock_fault);
  EXPECT_EQ(grant.decision.remaining, 1U);
}

// The take puts the state right and the drain then finds nothing wrong.
TEST_F(MemoryStoreTest, AFaultIsToldAlsoWhereTheDenialIsDrained) {
  const Limit limit = Fixed(2);
  ask_->Take(limit, 1, 2);
  clock_.StepWall(-3600 * kSecondNs);
  const Grant grant = ask_->One(limit, 1, Op::kTake, 5);
  EXPECT_FALSE(grant.decision.allowed);
  EXPECT_TRUE(grant.decision.clock_fault);
}

// Else every key touched while the clock was ahead would keep its cell until time catches up.
TEST_F(MemoryStoreTest, StateThatAClockStepMadeVoidIsIdle) {
  Use({.keys_max = 1, .ring_bytes_max = 0, .overflow = Overflow::kDeny});
  const Limit limit = Fixed(2);
  clock_.StepWall(365 * 86400 * kSecondNs);
  ask_->Take(limit, 0);
  clock_.StepWall(-60 * kSecondNs);  // the window before: state still counts
  EXPECT_FALSE(ask_->Take(limit, 64));
  clock_.StepWall(-60 * kSecondNs);
  EXPECT_TRUE(ask_->Take(limit, 64));
}

TEST_F(MemoryStoreTest, HitsAboveAnyLimitAreSafe) {
  constexpr uint64_t kMost = ~uint64_t{0};
  for (const ChargeDenied mode :
       {ChargeDenied::kFirst, ChargeDenied::kOverOnly, ChargeDenied::kNever}) {
    ask_->charge_denied = mode;
    for (const Limit& limit : AllOf(0xffffffff)) {
      const uint64_t key =
          10 * static_cast<uint64_t>(mode) + static_cast<uint64_t>(limit.algorithm);
      EXPECT_FALSE(ask_->Take(limit, key, kMost));
      Ask asks[] = {Asking::Of(limit, key + 100, kMost), Asking::Of(limit, key + 100, kMost)};
      ask_->Acquire(asks);
      EXPECT_FALSE(asks[1].grant.decision.allowed);
      EXPECT_TRUE(ask_->One(limit, key, Op::kReport, kMost).decision.allowed);
      EXPECT_TRUE(ask_->One(limit, key, Op::kRefund, kMost).decision.allowed);
    }
  }
}

}  // namespace
}  // namespace weir
