#include "limiter/store/lease.h"

#include "gtest/gtest.h"

namespace weir {
namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kSecond = 1'000 * kMs;
constexpr int64_t kStart = 100 * kSecond;

class LeaseTest : public testing::Test {
 protected:
  LeaseTest() {
    Use({.algorithm = Algorithm::kFixedWindow, .hits = 100, .window_ns = 60 * kSecond});
  }

  void Use(const LimitSpec& spec) {
    EXPECT_TRUE(MakeLimit(spec, &limit_).empty());
    plan_ = LeasePlanOf(limit_, options_);
    lease_ = {};
    lease_.counters = &counters_;
  }

  LeaseView View() const { return {limit_, now_, history_, now_}; }
  // The store grants `granted` hits, `own` of them for who asked, for `ttl_ns` from now.
  void Granted(uint64_t granted, uint64_t own, int64_t ttl_ns, uint64_t remaining = 50,
               int64_t window = 1) {
    RemoteReply reply;
    reply.decision.allowed = true;
    reply.decision.remaining = remaining;
    reply.granted = granted;
    reply.ttl_ns = ttl_ns;
    reply.window = window;
    NoteGranted(View(), reply, own, now_, lease_);
  }
  bool Spend(uint64_t hits) {
    Ask ask;
    ask.limit = &limit_;
    ask.hits = hits;
    const bool spent = SpendLease(View(), ask, lease_);
    grant_ = ask.grant;
    return spent;
  }
  LeaseAsk AskFor(uint64_t waiting = 0) {
    return AskForLease(View(), plan_, waiting, options_, lease_);
  }
  uint64_t Expired() const { return counters_.expired.load(); }

  LeaseOptions options_;
  Limit limit_;
  LeasePlan plan_;
  LeaseCounters counters_;
  Lease lease_;
  Grant grant_;
  int64_t now_ = kStart;
  uint32_t history_ = 0;
};

TEST_F(LeaseTest, SpendsWhatWasGrantedAndNoMore) {
  EXPECT_FALSE(Spend(1));
  Granted(11, 1, kSecond);
  EXPECT_EQ(LiveHits(View(), lease_), 10u);
  EXPECT_TRUE(Spend(4));
  EXPECT_EQ(grant_.source, Source::kLease);
  EXPECT_EQ(grant_.decision.remaining, 56u);  // 50 at the store and 6 here
  EXPECT_FALSE(Spend(7));
  EXPECT_TRUE(Spend(6));
  EXPECT_FALSE(Spend(1));
  EXPECT_EQ(counters_.granted.load(), 10u);
  EXPECT_EQ(Expired(), 0u);
}

TEST_F(LeaseTest, EndsBeforeTheStoreSaysSo) {
  Granted(10, 0, kSecond);
  // Less a thousandth for drift, and the guard.
  const int64_t life_ns = kSecond - kSecond / kLeaseDriftInverse - kLeaseGuardNs;
  now_ = kStart + life_ns - 1;
  EXPECT_TRUE(Spend(1));
  now_ = kStart + life_ns;
  EXPECT_FALSE(Spend(1));
}

TEST_F(LeaseTest, OneThatIsOverWhenItComesIsWorthNothing) {
  Use({.algorithm = Algorithm::kTokenBucket, .hits = 100, .window_ns = kSecond});
  Granted(10, 1, kLeaseGuardNs);
  EXPECT_FALSE(Spend(1));
  EXPECT_EQ(Expired(), 9u);
}

TEST_F(LeaseTest, SpendsTwoAsOne) {
  Granted(5, 0, kSecond);
  now_ += 100 * kMs;
  Granted(5, 0, kSecond);
  EXPECT_TRUE(Spend(8));
  EXPECT_EQ(LiveHits(View(), lease_), 2u);
  EXPECT_LT(grant_.lease_ends_mono_ns, kStart + kSecond);  // the earlier of the two
}

TEST_F(LeaseTest, AThirdOneDoesNotLiveLongerThanTheSecond) {
  Granted(5, 0, kSecond);
  Granted(5, 0, kSecond);
  now_ += 500 * kMs;
  Granted(5, 0, kSecond);
  EXPECT_EQ(LiveHits(View(), lease_), 15u);
  now_ = kStart + kSecond;
  EXPECT_EQ(LiveHits(View(), lease_), 0u);
}

TEST_F(LeaseTest, HitsOfAnotherPrimaryOrLimitAreNotSpent) {
  Granted(5, 0, kSecond);
  history_ = 1;
  EXPECT_FALSE(Spend(1));
  history_ = 0;
  Granted(5, 0, kSecond);
  limit_.hits = 99;
  EXPECT_FALSE(Spend(1));
}

TEST_F(LeaseTest, UnspentHitsOfAWindowGoBackOnceAndOnlyToTheirWindow) {
  Granted(10, 0, kSecond, 50, 7);
  EXPECT_TRUE(Spend(3));
  now_ += kSecond;
  const LeaseAsk ask = AskFor();
  EXPECT_EQ(ask.back_hits, 7u);
  EXPECT_EQ(ask.back_window, 7);
  EXPECT_EQ(counters_.returned.load(), 7u);
  EXPECT_EQ(AskFor().back_hits, 0u);
  EXPECT_FALSE(Spend(1));
  EXPECT_EQ(Expired(), 0u);
}

TEST_F(LeaseTest, UnspentHitsOfABucketDie) {
  Use({.algorithm = Algorithm::kTokenBucket, .hits = 100, .window_ns = kSecond});
  Granted(10, 0, 50 * kMs);
  now_ += 100 * kMs;
  EXPECT_EQ(AskFor().back_hits, 0u);
  EXPECT_EQ(Expired(), 10u);
}

TEST_F(LeaseTest, ANodeThatStopsGivesWindowsBack) {
  Granted(10, 0, 10 * kSecond, 50, 7);
  EXPECT_TRUE(Spend(4));
  const LeaseAsk back = AskToGiveBack(lease_);
  EXPECT_EQ(back.back_hits, 6u);
  EXPECT_EQ(back.back_window, 7);
  EXPECT_FALSE(Spend(1));
}

TEST_F(LeaseTest, WhatIsAskedForFollowsHowFastItWent) {
  EXPECT_EQ(AskFor().want, 1u);
  Granted(1, 1, 0);
  now_ += 10 * kMs;
  EXPECT_EQ(AskFor().want, 2u);  // dry within the target
  Granted(2, 1, 10 * kSecond);
  EXPECT_TRUE(Spend(1));
  now_ += 10 * kMs;
  EXPECT_EQ(AskFor().want, 4u);
  Granted(2, 0, 10 * kSecond);  // the store gave less: more would not have helped
  EXPECT_TRUE(Spend(2));
  EXPECT_EQ(AskFor().want, 4u);
  Granted(4, 0, 10 * kSecond);
  now_ += kSecond;  // lasted for more than three times the target
  EXPECT_TRUE(Spend(4));
  EXPECT_EQ(AskFor().want, 2u);
  EXPECT_EQ(AskFor(20).want, 20u);  // those who wait are served in any case
}

TEST_F(LeaseTest, OneThatEndedMostlyUnspentShrinksToWhatWasUsed) {
  lease_.want = 64;
  Granted(64, 0, kSecond);
  EXPECT_TRUE(Spend(3));
  now_ += 2 * kSecond;
  EXPECT_EQ(AskFor().want, 3u);
}

TEST_F(LeaseTest, IsRenewedWhenAQuarterIsLeftOrTheEndIsNear) {
  lease_.want = 8;
  Granted(8, 0, kSecond);
  EXPECT_FALSE(WantsRefresh(View(), lease_, kMs));
  EXPECT_TRUE(Spend(6));
  EXPECT_TRUE(WantsRefresh(View(), lease_, kMs));
  lease_.quiet_until_mono_ns = now_ + kMs;  // a call is under way
  EXPECT_FALSE(WantsRefresh(View(), lease_, kMs));
  Granted(8, 0, kSecond);
  lease_.quiet_until_mono_ns = 0;
  EXPECT_FALSE(WantsRefresh(View(), lease_, kMs));  // the next one is here
}

TEST_F(LeaseTest, WhatADeniedRequestSpentCanBeSpentAgain) {
  Granted(5, 0, kSecond);
  EXPECT_TRUE(Spend(3));
  UnspendLease(View(), 3, grant_.lease_ends_mono_ns, lease_);
  EXPECT_EQ(LiveHits(View(), lease_), 5u);
  UnspendLease(View(), 1, grant_.lease_ends_mono_ns, lease_);  // more than was granted
  EXPECT_EQ(LiveHits(View(), lease_), 5u);
}

TEST_F(LeaseTest, WhereLittleIsLeftALeaseTakesAGreaterPartOfIt) {
  const auto share_of = [&](const LimitSpec& spec, uint64_t remaining) {
    Use(spec);
    lease_.want = 64;
    lease_.remaining = static_cast<uint32_t>(remaining);
    lease_.reset_at_mono_ns = now_ + kSecond;
    return AskFor().share;
  };
  const LimitSpec fixed{.hits = 1000, .window_ns = kSecond};
  EXPECT_EQ(share_of(fixed, 900), 8u);
  EXPECT_EQ(share_of(fixed, 128), 4u);
  EXPECT_EQ(share_of(fixed, 20), 2u);
  LimitSpec other = fixed;
  other.algorithm = Algorithm::kTokenBucket;
  EXPECT_EQ(share_of(other, 20), 1u);
  other.algorithm = Algorithm::kSlidingWindow;
  EXPECT_EQ(share_of(other, 20), 8u);
}

TEST_F(LeaseTest, LongLeasesAreRenewedWhenHalfOfThemIsLeft) {
  options_.target_life_ns = 4 * kSecond;
  Use({.algorithm = Algorithm::kSlidingWindow, .hits = 10'000, .window_ns = 60 * kSecond});
  AskFor();
  lease_.want = 64;
  Granted(64, 0, 3 * kSecond);
  EXPECT_FALSE(WantsRefresh(View(), lease_, kMs));
  EXPECT_TRUE(Spend(32));
  EXPECT_TRUE(WantsRefresh(View(), lease_, kMs));
  // By time, too.
  Granted(64, 0, 3 * kSecond);
  EXPECT_FALSE(WantsRefresh(View(), lease_, kMs));
  EXPECT_TRUE(Spend(32));
  EXPECT_TRUE(Spend(1));
  EXPECT_FALSE(WantsRefresh(View(), lease_, kMs));
  now_ += kSecond + 600 * kMs;
  EXPECT_TRUE(WantsRefresh(View(), lease_, kMs));
}

TEST_F(LeaseTest, TheEndOfAWindowSaysNothingOfTheSize) {
  Use({.hits = 1000, .window_ns = kSecond});
  lease_.want = 64;
  Granted(64, 0, kSecond / 10);
  now_ += kSecond;
  EXPECT_EQ(AskFor().want, 64u);
  // A second in which nobody spent them does.
  Granted(64, 0, kSecond);
  now_ += 2 * kSecond;
  EXPECT_EQ(AskFor().want, 1u);
}

TEST_F(LeaseTest, SomeLimitsAreExactByNature) {
  Use({.algorithm = Algorithm::kTokenBucket, .hits = 10, .window_ns = kSecond, .burst = 1});
  EXPECT_EQ(plan_.life_ns, 0);
  Use({.algorithm = Algorithm::kFixedWindow, .hits = 1, .window_ns = 60 * kSecond});
  EXPECT_EQ(plan_.life_ns, 0);
  Use({.algorithm = Algorithm::kTokenBucket, .hits = 100, .window_ns = kSecond});
  EXPECT_EQ(plan_.life_ns, 100 * kMs);
  EXPECT_EQ(plan_.target_life_ns, 50 * kMs);
  Use({.algorithm = Algorithm::kFixedWindow, .hits = 100, .window_ns = kSecond});
  EXPECT_EQ(plan_.life_ns, kSecond);
}

TEST_F(LeaseTest, WhatWasSpentInAWindowIsToldOnce) {
  Granted(10, 0, 10 * kSecond);
  EXPECT_TRUE(Spend(4));
  EXPECT_EQ(TakeSpent(View(), lease_), 4u);
  EXPECT_EQ(TakeSpent(View(), lease_), 0u);
  EXPECT_TRUE(Spend(2));
  now_ += 60 * kSecond;  // another window
  EXPECT_EQ(TakeSpent(View(), lease_), 0u);
}

}  // namespace
}  // namespace weir
