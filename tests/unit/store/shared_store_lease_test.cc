// Requests answered out of leases: what is spent without a call, who shares a call, what ends a
// lease. That no limit is exceeded whatever happens is the simulator's to show (tests/sim).

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "tests/unit/store/shared_store_harness.h"

namespace weir {
namespace {

using test::Asking;
using test::Fixed;
using test::KeyOf;
using test::kMillisecondNs;
using test::kSecondNs;
using test::SharedHarness;
using test::SharedRequest;
using test::With;

class SharedStoreLease : public testing::Test {
 protected:
  static SharedStoreOptions Options() {
    SharedStoreOptions options = SharedHarness::Small();
    options.leases = true;
    return options;
  }

  Ask Take(uint64_t key, uint64_t hits = 1) {
    Ask ask = With(OnStoreFailure::kDeny, Asking::Of(limit_, key, hits));
    ask.lease = &counters_;
    return ask;
  }
  Grant One(uint64_t key, uint64_t hits = 1) {
    SharedRequest request = {Take(key, hits)};
    harness_.Run(request);
    return request[0];
  }
  // Until the node holds hits of the key.
  void Warm(uint64_t key) {
    for (int i = 0; i < 20 && Live(key) < 4; ++i) One(key);
    ASSERT_GE(Live(key), 4U);
  }
  LeaseState StateOf(uint64_t key) {
    const Key of = KeyOf(key);
    return harness_.store.LeaseStateOf(limit_, &counters_, &of);
  }
  uint64_t Live(uint64_t key) { return StateOf(key).hits; }
  uint64_t Calls(uint64_t key) { return harness_.remote.calls(KeyOf(key)); }

  Limit limit_ = Fixed(1000);
  LeaseCounters counters_;
  SharedHarness harness_{Options()};
};

TEST_F(SharedStoreLease, WarmRequestsMakeFewCallsAndSpendWhatTheStoreCharged) {
  int here = 0;
  for (int i = 0; i < 500; ++i) {
    const Grant grant = One(1);
    ASSERT_TRUE(grant.decision.allowed);
    // As if the store had decided it: nobody else asks for the key.
    EXPECT_EQ(grant.decision.remaining, 1000U - 1 - static_cast<uint64_t>(i));
    here += grant.source == Source::kLease ? 1 : 0;
  }
  EXPECT_GT(here, 480);
  EXPECT_LT(Calls(1), 30U);
  EXPECT_EQ(harness_.remote.store().taken(KeyOf(1)), 500 + Live(1));
}

TEST_F(SharedStoreLease, RequestsOfOneKeyShareACall) {
  SharedRequest a = {Take(1)};
  SharedRequest b = {Take(1, 3)};
  SharedRequest c = {Take(1)};
  for (SharedRequest* request : {&a, &b, &c}) harness_.Acquire(*request);
  harness_.Exchange();
  EXPECT_EQ(a.times() + b.times() + c.times(), 3);
  EXPECT_EQ(a[0].source, Source::kStore);
  EXPECT_EQ(b[0].source, Source::kStore);
  EXPECT_EQ(c[0].source, Source::kLease);
  // The first call left before the others waited for it; the second was for both.
  EXPECT_EQ(Calls(1), 2U);
}

TEST_F(SharedStoreLease, WhoWaitsIsServedAlsoBeyondTheShareOfALease) {
  limit_ = Fixed(40);
  One(1);
  std::vector<SharedRequest> crowd(30);
  for (SharedRequest& request : crowd) {
    request.asks = {Take(1)};
    harness_.Acquire(request);
  }
  harness_.Exchange();
  for (const SharedRequest& request : crowd) {
    EXPECT_EQ(request.times(), 1);
    EXPECT_TRUE(request[0].decision.allowed);
  }
  EXPECT_LE(Calls(1), 4U);
}

TEST_F(SharedStoreLease, WhoCouldNotWaitForTwoCallsIsChargedAlone) {
  const auto send = [&](SharedRequest& request, int64_t ms) {
    harness_.Acquire(request);
    harness_.Turn();
    harness_.Advance(ms * kMillisecondNs);
  };
  SharedRequest first = {Take(1)};
  send(first, 6);
  harness_.Exchange();
  // A call takes 6 ms, and a request waits for 10.
  SharedRequest a = {Take(1)};
  SharedRequest b = {Take(1)};
  SharedRequest c = {Take(1)};
  send(a, 1);
  send(b, 4);
  EXPECT_EQ(harness_.remote.in_flight(), 2U);
  send(c, 1);  // a second call would end in time
  EXPECT_EQ(harness_.remote.in_flight(), 2U);
  harness_.Exchange();
  for (const SharedRequest* request : {&a, &b, &c}) {
    EXPECT_EQ(request->times(), 1);
    EXPECT_TRUE((*request)[0].decision.allowed);
  }
  EXPECT_EQ(b[0].source, Source::kStore);
}

TEST_F(SharedStoreLease, TheNextLeaseIsFetchedWhileNobodyWaits) {
  Warm(1);
  const uint64_t before = Calls(1);
  while (Calls(1) == before) {
    SharedRequest request = {Take(1)};
    harness_.Acquire(request);
    ASSERT_EQ(request.times(), 1) << "a request waited although hits were left";
    harness_.Turn();
  }
  EXPECT_GT(Live(1), 0U);
  while (harness_.remote.Deliver() > 0) {
  }
}

TEST_F(SharedStoreLease, ADeniedKeyIsNotAskedForAgainBeforeThePaceEnds) {
  limit_ = Fixed(3);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(One(1).decision.allowed);
  EXPECT_FALSE(One(1).decision.allowed);
  const uint64_t before = Calls(1);
  harness_.Advance(20 * kMillisecondNs);
  EXPECT_EQ(One(1).source, Source::kDeniedCache);
  EXPECT_EQ(Calls(1), before);
}

TEST_F(SharedStoreLease, AWindowThatIsEmptyIsDrainedByTheFirstDenialAsWithoutLeases) {
  limit_ = Fixed(2);
  EXPECT_TRUE(One(1, 2).decision.allowed);
  EXPECT_EQ(One(1).source, Source::kStore);
  EXPECT_EQ(One(1).source, Source::kDeniedCache);
}

TEST_F(SharedStoreLease, WhatIsLeasedAndWhatIsLeftAtTheStoreAddUp) {
  limit_ = Fixed(10);
  One(1);
  One(1, 2);
  while (Live(1) == 0) One(1);
  const uint64_t left = 10 - harness_.remote.store().taken(KeyOf(1)) + Live(1);
  ASSERT_GT(left, Live(1));
  EXPECT_TRUE(One(1, left).decision.allowed);
  EXPECT_FALSE(One(1).decision.allowed);
}

TEST_F(SharedStoreLease, HitsOfAnotherHistoryAreNotSpent) {
  Warm(1);
  harness_.remote.set_history(1);
  EXPECT_EQ(Live(1), 0U);
  EXPECT_EQ(One(1).source, Source::kStore);
}

TEST_F(SharedStoreLease, HitsOfAnotherLimitAreNotSpent) {
  Warm(1);
  limit_ = Fixed(900);
  EXPECT_EQ(Live(1), 0U);
  EXPECT_EQ(One(1).source, Source::kStore);
}

TEST_F(SharedStoreLease, HitsEndWithTheirWindow) {
  Warm(1);
  harness_.Advance(60 * kSecondNs);
  EXPECT_EQ(Live(1), 0U);
  const Grant grant = One(1);
  EXPECT_EQ(grant.source, Source::kStore);
  EXPECT_EQ(grant.remaining_before, 1000U);
}

TEST_F(SharedStoreLease, WhatIsLeasedIsSpentBeforeThePolicyDecides) {
  Warm(1);
  harness_.remote.Lose();
  harness_.remote.on_send = [](const RemoteCall&) { return test::FakeRemote::Sending::kRefused; };
  for (uint64_t left = Live(1); left > 0; --left) {
    EXPECT_EQ(One(1).source, Source::kLease);
  }
  const Grant grant = One(1);
  EXPECT_EQ(grant.source, Source::kPolicy);
  EXPECT_FALSE(grant.decision.allowed);
}

TEST_F(SharedStoreLease, ARequestThatIsDeniedUnderNeverGivesBackWhatItSpent) {
  Warm(1);
  harness_.charge_denied = ChargeDenied::kNever;
  const uint64_t before = Live(1);
  SharedRequest request = {Take(1, 2), Take(2, 2000)};
  harness_.Run(request);
  EXPECT_TRUE(request[0].decision.allowed);
  EXPECT_FALSE(request[1].decision.allowed);
  EXPECT_EQ(Live(1), before);
}

TEST_F(SharedStoreLease, WhatWasNotSpentGoesBackWhenTheStoreStops) {
  Warm(1);
  const uint64_t live = Live(1);
  const uint64_t taken = harness_.remote.store().Peek(limit_, KeyOf(1), 1).remaining;
  harness_.Advance(20 * kSecondNs);  // the lease ended, its window did not
  EXPECT_EQ(Live(1), 0U);
  harness_.store.EndAll();
  harness_.remote.Execute();
  EXPECT_EQ(harness_.remote.store().Peek(limit_, KeyOf(1), 1).remaining, taken + live);
  EXPECT_EQ(counters_.returned.load(), live);
  EXPECT_EQ(Live(1), 0U);
  while (harness_.remote.Deliver() > 0) {
  }
}

TEST_F(SharedStoreLease, WhatCouldNotBeSentGoesBackWithTheNextCall) {
  Warm(1);
  const uint64_t live = Live(1);
  const uint64_t left = harness_.remote.store().Peek(limit_, KeyOf(1), 1).remaining;
  harness_.Advance(20 * kSecondNs);  // the lease ended, its window did not
  harness_.remote.on_send = [](const RemoteCall&) { return test::FakeRemote::Sending::kRefused; };
  EXPECT_EQ(One(1).source, Source::kPolicy);
  EXPECT_EQ(counters_.returned.load(), 0U);
  harness_.remote.on_send = nullptr;
  EXPECT_EQ(One(1).source, Source::kStore);
  EXPECT_EQ(counters_.returned.load(), live);
  EXPECT_EQ(harness_.remote.store().Peek(limit_, KeyOf(1), 1).remaining + Live(1), left + live - 1);
}

TEST_F(SharedStoreLease, WhatIsLeasedHereCountsAsRemaining) {
  Warm(1);
  for (const Op op : {Op::kPeek, Op::kReport, Op::kRefund}) {
    Ask ask = Take(1);
    ask.op = op;
    SharedRequest request = {ask};
    harness_.Run(request);
    const uint64_t at_store = harness_.remote.store().Peek(limit_, KeyOf(1), 1).remaining;
    EXPECT_EQ(request[0].decision.remaining, at_store + Live(1));
  }
}

TEST_F(SharedStoreLease, WithoutRoomForAKeyEachRequestIsChargedForItself) {
  SharedStoreOptions options = Options();
  options.keys_max = 64;
  SharedHarness full(options);
  // Live leases until no cell is left.
  for (uint64_t key = 1; key <= 400; ++key) {
    for (int i = 0; i < 3; ++i) {
      SharedRequest request = {Take(key)};
      full.Run(request);
    }
  }
  uint64_t key = 401;  // one that finds no room
  const auto held = [&] {
    const Key of = KeyOf(key);
    return full.store.LeaseStateOf(limit_, &counters_, &of).want > 0;
  };
  for (; held(); ++key) ASSERT_LT(key, 1000U);
  std::vector<SharedRequest> crowd(40);
  for (SharedRequest& request : crowd) {
    request.asks = {Take(key)};
    full.Acquire(request);
  }
  full.Exchange();
  for (const SharedRequest& request : crowd) {
    EXPECT_EQ(request.times(), 1);
    EXPECT_TRUE(request[0].decision.allowed);
  }
  EXPECT_EQ(full.remote.store().taken(KeyOf(key)), 40U);
}

TEST_F(SharedStoreLease, ARuleOfAnotherNameDoesNotSpendWhatWasCountedForTheFirst) {
  Warm(1);
  LeaseCounters renamed;
  Ask ask = Take(1);
  ask.lease = &renamed;
  SharedRequest request = {ask};
  harness_.Run(request);
  EXPECT_EQ(request[0].source, Source::kStore);
  EXPECT_GT(counters_.expired.load(), 0U);
}

TEST_F(SharedStoreLease, SaysWhatItHolds) {
  EXPECT_EQ(StateOf(1).exact_because, "");
  EXPECT_EQ(StateOf(1).life_ns, 10 * kSecondNs);
  EXPECT_EQ(Live(1), 0U);
  Warm(1);
  const LeaseState state = StateOf(1);
  EXPECT_GE(state.want, 4U);
  EXPECT_GT(state.ends_mono_ns, harness_.clock.Now().mono_ns);
  EXPECT_LE(state.ends_mono_ns, harness_.clock.Now().mono_ns + state.life_ns);
}

TEST_F(SharedStoreLease, SaysWhyALimitIsExact) {
  EXPECT_EQ(harness_.store.LeaseStateOf(limit_, nullptr, nullptr).exact_because,
            "its consistency is exact");
  EXPECT_EQ(harness_.store.LeaseStateOf(Fixed(1), &counters_, nullptr).exact_because,
            "its limit is a single hit");
  SharedHarness exact;
  EXPECT_NE(exact.store.LeaseStateOf(limit_, &counters_, nullptr).exact_because, "");
  // A call takes as long as half a lease.
  limit_ = Fixed(1000, kSecondNs);
  harness_.wait_ns = kSecondNs;
  SharedRequest slow = {Take(1)};
  harness_.Acquire(slow);
  harness_.Turn();
  harness_.Advance(500 * kMillisecondNs);
  harness_.Exchange();
  EXPECT_EQ(slow.times(), 1);
  EXPECT_EQ(StateOf(1).exact_because,
            "calls to the store take longer than a quarter of a lease's life");
  EXPECT_EQ(One(1).source, Source::kStore);
}

}  // namespace
}  // namespace weir
