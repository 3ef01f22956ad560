// The way of requests through the shared store: trips, deadlines, failures, bounds. What they are
// answered is compared with the memory store in shared_store_model_test.cc.

#include "limiter/store/shared_store.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "tests/unit/store/shared_store_harness.h"

namespace weir {
namespace {

using test::Asking;
using test::Bucket;
using test::FakeRemote;
using test::Fixed;
using test::KeyOf;
using test::kMillisecondNs;
using test::kSecondNs;
using test::kWaitNs;
using test::SharedHarness;
using test::SharedRequest;
using test::With;
using Sending = FakeRemote::Sending;

const Limit kFive = Fixed(5);

Ask Take(uint64_t key, uint64_t hits = 1) { return Asking::Of(kFive, key, hits); }
Ask Denying(uint64_t key, uint64_t hits = 1) {
  return With(OnStoreFailure::kDeny, Asking::Of(kFive, key, hits));
}
Ask Allowing(uint64_t key, uint64_t hits = 1) {
  return With(OnStoreFailure::kAllow, Asking::Of(kFive, key, hits));
}

TEST(SharedStore, ChargesAllKeysOfARequestInOneTrip) {
  SharedHarness harness;
  SharedRequest request = {Take(1), Take(2, 2), Take(3, 6)};
  harness.Run(request);
  EXPECT_EQ(harness.remote.trips(), 1U);
  EXPECT_EQ(harness.remote.calls(), 3U);
  EXPECT_EQ(request[0].decision.remaining, 4U);
  EXPECT_EQ(request[1].decision.remaining, 3U);
  EXPECT_EQ(request[1].remaining_before, 5U);
  EXPECT_FALSE(request[2].decision.allowed);
  for (const Ask& ask : request.asks) EXPECT_EQ(ask.grant.source, Source::kStore);
}

TEST(SharedStore, RequestsParkedTogetherShareATrip) {
  SharedHarness harness;
  SharedRequest a = {Take(1)};
  SharedRequest b = {Take(1)};
  harness.Acquire(a);
  harness.Acquire(b);
  EXPECT_EQ(harness.wakes, 1);  // once until the loop took them
  EXPECT_EQ(harness.store.stats().waiting, 2U);
  harness.Exchange();
  EXPECT_EQ(harness.remote.trips(), 1U);
  EXPECT_EQ(a.times() + b.times(), 2);
  EXPECT_EQ(a[0].decision.remaining, 4U);
  EXPECT_EQ(b[0].decision.remaining, 3U);
  EXPECT_EQ(harness.store.stats().waiting, 0U);
  SharedRequest c = {Take(1)};
  harness.Acquire(c);
  EXPECT_EQ(harness.wakes, 2);
  harness.Exchange();
}

TEST(SharedStore, SeveralKeysTakeTwoTripsWhereDenialsDecideFirst) {
  for (const ChargeDenied mode : {ChargeDenied::kOverOnly, ChargeDenied::kNever}) {
    SharedHarness harness;
    harness.charge_denied = mode;
    SharedRequest request = {Take(1), Take(2)};
    harness.Acquire(request);
    harness.Turn();
    ASSERT_EQ(harness.remote.in_flight(), 2U);
    EXPECT_EQ(harness.remote.in_flight(0).call.op, Op::kPeek);
    EXPECT_EQ(harness.remote.Deliver(), 2U);
    ASSERT_EQ(harness.remote.in_flight(), 2U);
    EXPECT_EQ(harness.remote.in_flight(1).call.op, Op::kTake);
    EXPECT_EQ(harness.remote.trips(), 2U);  // the second left without a turn of the loop
    harness.Exchange();
    EXPECT_EQ(request.times(), 1);
    EXPECT_EQ(request[1].decision.remaining, 4U);
    EXPECT_EQ(request[1].remaining_before, 5U);
  }
}

TEST(SharedStore, OneKeyTakesOneTripInEveryMode) {
  for (const ChargeDenied mode : {ChargeDenied::kOverOnly, ChargeDenied::kNever}) {
    SharedHarness harness;
    harness.charge_denied = mode;
    SharedRequest request = {Take(1, 6)};
    harness.Run(request);
    EXPECT_EQ(harness.remote.trips(), 1U);
    const uint64_t left = mode == ChargeDenied::kOverOnly ? 0 : 5;
    EXPECT_EQ(request[0].decision.remaining, left);
    EXPECT_EQ(harness.remote.store().Peek(kFive, KeyOf(1), 1).remaining, left);
  }
}

TEST(SharedStore, QuestionsAndReportsNeedNoSecondTrip) {
  SharedHarness harness;
  harness.charge_denied = ChargeDenied::kNever;
  SharedRequest request = {Asking::Of(kFive, 1, 6, Weight::kEnforced, Op::kPeek),
                           Asking::Of(kFive, 2, 2, Weight::kEnforced, Op::kReport)};
  harness.Run(request);
  EXPECT_EQ(harness.remote.trips(), 1U);
  EXPECT_FALSE(request[0].decision.allowed);
  EXPECT_EQ(request[1].decision.remaining, 3U);
}

// What each mode charges when the second of three keys denies.
void ExpectCharged(ChargeDenied mode, uint64_t passing, uint64_t denying) {
  SharedHarness harness;
  harness.One(kFive, 2, Op::kTake, 3);
  harness.charge_denied = mode;
  SharedRequest request = {Take(1), Take(2, 4), Take(3)};
  harness.Run(request);
  EXPECT_TRUE(request[0].decision.allowed);
  EXPECT_FALSE(request[1].decision.allowed);
  EXPECT_TRUE(request[2].decision.allowed);
  EXPECT_EQ(harness.remote.store().Peek(kFive, KeyOf(1), 1).remaining, passing);
  EXPECT_EQ(harness.remote.store().Peek(kFive, KeyOf(2), 1).remaining, denying);
  EXPECT_EQ(harness.remote.store().Peek(kFive, KeyOf(3), 1).remaining, passing);
}

TEST(SharedStore, FirstChargesEachKeyOnItsOwn) { ExpectCharged(ChargeDenied::kFirst, 4, 0); }
TEST(SharedStore, OverOnlyDrainsTheKeyThatDenies) { ExpectCharged(ChargeDenied::kOverOnly, 5, 0); }
TEST(SharedStore, NeverChargesNothingOfADeniedRequest) {
  ExpectCharged(ChargeDenied::kNever, 5, 2);
}

TEST(SharedStore, OverOnlyDrainsADenyingShadowKeyOfAPassingRequest) {
  SharedHarness harness;
  harness.charge_denied = ChargeDenied::kOverOnly;
  SharedRequest request = {Take(1), Asking::Of(kFive, 2, 6, Weight::kShadow)};
  harness.Run(request);
  EXPECT_EQ(request[0].decision.remaining, 4U);
  EXPECT_FALSE(request[1].decision.allowed);
  EXPECT_EQ(harness.remote.store().Peek(kFive, KeyOf(2), 1).remaining, 0U);
}

// A quota that passes without being asked for outweighs the one that denies.
TEST(SharedStore, WhatAlreadyCountsForTheVerdictDecidesWhatIsCharged) {
  for (const bool quota_passes : {false, true}) {
    SharedHarness harness;
    harness.charge_denied = ChargeDenied::kNever;
    SharedRequest request = {Asking::Of(kFive, 1, 6, Weight::kQuota), Take(2)};
    AcquireOptions options = harness.Options();
    if (quota_passes) options.verdict.Add(Weight::kQuota, true);
    harness.store.Acquire(request.asks, options, request);
    harness.Exchange();
    EXPECT_FALSE(request[0].decision.allowed);
    EXPECT_EQ(harness.remote.store().taken(KeyOf(2)), quota_passes ? 1U : 0U);
  }
}

TEST(SharedStore, AKeyTwiceInARequestMustPassTogether) {
  SharedHarness harness;
  harness.charge_denied = ChargeDenied::kNever;
  harness.One(kFive, 1, Op::kTake, 2);
  SharedRequest request = {Take(1, 2), Take(1, 2)};
  harness.Run(request);
  EXPECT_TRUE(request[0].decision.allowed);
  EXPECT_FALSE(request[1].decision.allowed);
  EXPECT_GT(request[1].decision.retry_after_ns, 0);
  EXPECT_EQ(harness.remote.store().Peek(kFive, KeyOf(1), 1).remaining, 3U);
  // That two did not fit says nothing about one.
  EXPECT_TRUE(harness.One(kFive, 1, Op::kTake, 2).decision.allowed);
}

TEST(SharedStore, OverOnlyCountsAKeyTwiceAsWell) {
  SharedHarness harness;
  harness.charge_denied = ChargeDenied::kOverOnly;
  SharedRequest passing = {Take(1, 2), Take(1, 3)};
  harness.Run(passing);
  EXPECT_TRUE(passing[0].decision.allowed);
  EXPECT_TRUE(passing[1].decision.allowed);
  EXPECT_EQ(passing[1].remaining_before, 3U);
  EXPECT_EQ(passing[1].decision.remaining, 0U);
  SharedRequest denied = {Take(2, 3), Take(2, 3)};
  harness.Run(denied);
  EXPECT_TRUE(denied[0].decision.allowed);
  EXPECT_FALSE(denied[1].decision.allowed);
  EXPECT_EQ(harness.remote.store().taken(KeyOf(2)), 3U);  // the denied cost, not the passing one
}

// Between the trips of a denied request its key may have been refilled. Its take then passes in the
// store, but the other keys are not charged: the request must stay denied.
TEST(SharedStore, ARequestDeniedByTheLookStaysDeniedWhateverTheSecondTripSays) {
  const Limit bucket = Bucket(1, kSecondNs);
  SharedHarness harness;
  harness.wait_ns = 2 * kSecondNs;
  harness.One(bucket, 2);
  harness.charge_denied = ChargeDenied::kOverOnly;
  SharedRequest request = {Take(1), Asking::Of(bucket, 2)};
  harness.Acquire(request);
  harness.Turn();
  harness.remote.Deliver();
  harness.Advance(kSecondNs);
  harness.Exchange();
  ASSERT_EQ(request.times(), 1);
  EXPECT_TRUE(request[0].decision.allowed);
  EXPECT_EQ(harness.remote.store().taken(KeyOf(1)), 0U);
  EXPECT_FALSE(request[1].decision.allowed);
  EXPECT_GT(request[1].decision.retry_after_ns, 0);
}

TEST(SharedStore, ARequestDeniedByTheLookStaysDeniedWhenTheSecondTripFails) {
  for (int trouble = 0; trouble < 4; ++trouble) {
    SharedHarness harness;
    harness.charge_denied = ChargeDenied::kOverOnly;
    SharedRequest request = {Take(1), Allowing(2, 6)};
    harness.Acquire(request);
    harness.Turn();
    if (trouble < 2) {
      harness.remote.on_send = [&](const RemoteCall&) {
        return trouble == 0 ? Sending::kRefused : Sending::kFailed;
      };
    }
    harness.remote.Deliver();
    if (trouble == 2) harness.remote.FailAll();
    if (trouble == 3) {
      harness.Advance(kWaitNs);
      harness.Turn();
    }
    harness.inbox.Deliver();
    ASSERT_EQ(request.times(), 1) << trouble;
    EXPECT_EQ(harness.remote.store().taken(KeyOf(1)), 0U);
    EXPECT_FALSE(request[1].decision.allowed) << trouble;
    EXPECT_EQ(request[1].source, Source::kStore);
  }
}

TEST(SharedStore, PolicyAnswersAtTheDeadlineAndTheLateReplyIsDropped) {
  SharedHarness harness;
  SharedRequest request = {Denying(1), Allowing(2)};
  harness.Acquire(request);
  harness.Turn();
  EXPECT_EQ(harness.next_turn_ns, harness.clock.Now().mono_ns + kWaitNs);
  harness.Advance(kWaitNs - 1);
  harness.Turn();
  harness.inbox.Deliver();
  EXPECT_EQ(request.times(), 0);
  harness.Advance(1);
  harness.Turn();
  harness.inbox.Deliver();
  ASSERT_EQ(request.times(), 1);
  EXPECT_FALSE(request[0].decision.allowed);
  EXPECT_TRUE(request[1].decision.allowed);
  EXPECT_EQ(request[0].source, Source::kPolicy);
  EXPECT_EQ(harness.store.stats().wait_timeouts, 1U);
  EXPECT_EQ(harness.store.stats().waiting, 0U);
  EXPECT_EQ(harness.remote.timeouts(), std::vector<Key>{KeyOf(1)});  // once a request
  EXPECT_EQ(harness.next_turn_ns, kNeverNs);

  EXPECT_EQ(harness.remote.Deliver(), 2U);
  harness.inbox.Deliver();
  EXPECT_EQ(request.times(), 1);
  EXPECT_FALSE(request[0].decision.allowed);
  EXPECT_EQ(harness.store.stats().late_replies, 2U);
  EXPECT_EQ(harness.remote.store().taken(KeyOf(1)), 1U);  // and stays charged
}

TEST(SharedStore, OneMissingReplyLeavesTheOthersAnswers) {
  SharedHarness harness;
  SharedRequest request = {Denying(1), Denying(2), Denying(3)};
  harness.Acquire(request);
  harness.Turn();
  harness.remote.DeliverOne(2);
  harness.remote.DeliverOne(0);
  harness.Advance(kWaitNs);
  harness.Turn();
  harness.inbox.Deliver();
  EXPECT_EQ(request.times(), 1);
  EXPECT_EQ(request[0].source, Source::kStore);
  EXPECT_EQ(request[1].source, Source::kPolicy);
  EXPECT_FALSE(request[1].decision.allowed);
  EXPECT_TRUE(request[2].decision.allowed);
  EXPECT_EQ(harness.remote.timeouts(), std::vector<Key>{KeyOf(2)});
}

TEST(SharedStore, ADeadlineBetweenTheTripsLeavesNothingUndecided) {
  for (const ChargeDenied mode : {ChargeDenied::kOverOnly, ChargeDenied::kNever}) {
    SharedHarness harness;
    harness.charge_denied = mode;
    SharedRequest request = {Denying(1), Allowing(2)};
    harness.Acquire(request);
    harness.Turn();
    harness.remote.DeliverOne(0);  // looked at, not charged
    harness.Advance(kWaitNs);
    harness.Turn();
    harness.inbox.Deliver();
    ASSERT_EQ(request.times(), 1);
    EXPECT_EQ(request[0].source, Source::kPolicy);
    EXPECT_FALSE(request[0].decision.allowed);
    EXPECT_TRUE(request[1].decision.allowed);
    harness.Exchange();
    EXPECT_EQ(harness.remote.calls(), 2U);  // no second trip for an answered request
  }
}

TEST(SharedStore, ADeadlineThatHasPassedNeedsNoCall) {
  for (const int64_t wait_ns : {int64_t{0}, -kSecondNs}) {
    SharedHarness harness;
    harness.wait_ns = wait_ns;
    SharedRequest request = {Denying(1)};
    harness.Run(request);
    EXPECT_EQ(request[0].source, Source::kPolicy);
    EXPECT_EQ(harness.remote.calls(), 0U);
    EXPECT_EQ(harness.remote.timeouts().size(), 0U);  // nothing the store could have answered
    EXPECT_EQ(harness.store.stats().wait_timeouts, 1U);
    EXPECT_EQ(harness.next_turn_ns, kNeverNs);
  }
}

TEST(SharedStore, DeadlinesEndWaitsInTheirOwnOrder) {
  SharedHarness harness;
  std::vector<std::unique_ptr<SharedRequest>> requests;
  const int64_t start_ns = harness.clock.Now().mono_ns;
  for (const int64_t ms : {30, 10, 20}) {
    harness.wait_ns = ms * kMillisecondNs;
    requests.push_back(std::make_unique<SharedRequest>());
    requests.back()->asks = {Denying(1)};
    harness.Acquire(*requests.back());
  }
  harness.Turn();
  EXPECT_EQ(harness.next_turn_ns, start_ns + 10 * kMillisecondNs);
  const std::vector<std::size_t> order = {1, 2, 0};
  for (std::size_t i = 0; i < order.size(); ++i) {
    harness.Advance(harness.next_turn_ns - harness.clock.Now().mono_ns);
    harness.Turn();
    harness.inbox.Deliver();
    for (std::size_t j = 0; j < order.size(); ++j) {
      EXPECT_EQ(requests[order[j]]->times(), j <= i ? 1 : 0);
    }
  }
  EXPECT_EQ(harness.next_turn_ns, kNeverNs);
}

// The remote holds the sinks of a request that was answered by policy: nobody else may use it.
TEST(SharedStore, ARequestIsReusedOnlyAfterItsLastReply) {
  test::SharedHarness harness([] {
    SharedStoreOptions options = SharedHarness::Small();
    options.waiting_max = 1;
    return options;
  }());
  SharedRequest slow = {Denying(1), Denying(2)};
  harness.Acquire(slow);
  harness.Turn();
  harness.Advance(kWaitNs);
  harness.Turn();
  harness.inbox.Deliver();
  ASSERT_EQ(slow.times(), 1);

  SharedRequest refused = {Denying(3)};
  harness.Acquire(refused);  // answered at once: the only request still waits for replies
  EXPECT_EQ(refused.times(), 1);
  EXPECT_EQ(harness.store.stats().waiting_refused, 1U);
  harness.remote.DeliverOne(0);
  SharedRequest refused_too = {Denying(3)};
  harness.Acquire(refused_too);
  EXPECT_EQ(refused_too.times(), 1);
  harness.remote.DeliverOne(0);
  EXPECT_EQ(harness.One(kFive, 3).source, Source::kStore);
  EXPECT_EQ(slow.times(), 1);
}

TEST(SharedStore, TheDeadlineOfAnAnsweredRequestDoesNotEndItsSuccessor) {
  SharedHarness harness;
  SharedRequest first = {Denying(1)};
  harness.Run(first);
  harness.Advance(kWaitNs / 2);
  SharedRequest second = {Denying(1)};  // in the same request object
  harness.Acquire(second);
  harness.Turn();
  harness.Advance(kWaitNs / 2);  // the deadline of the first
  harness.Turn();
  harness.inbox.Deliver();
  EXPECT_EQ(second.times(), 0);
  EXPECT_EQ(harness.next_turn_ns, harness.clock.Now().mono_ns + kWaitNs / 2);
  harness.Exchange();
  EXPECT_EQ(second[0].source, Source::kStore);
  EXPECT_EQ(harness.store.stats().wait_timeouts, 0U);
}

TEST(SharedStore, AFailureIsAnsweredByPolicyAtOnce) {
  SharedHarness harness;
  SharedRequest request = {Denying(1), Allowing(2), Take(3)};
  harness.Acquire(request);
  harness.Turn();
  harness.remote.FailOne(1);
  harness.remote.FailOne(0);
  EXPECT_EQ(request.times(), 0);
  harness.remote.Deliver();
  harness.inbox.Deliver();
  ASSERT_EQ(request.times(), 1);
  EXPECT_EQ(request[0].source, Source::kPolicy);
  EXPECT_FALSE(request[0].decision.allowed);
  EXPECT_TRUE(request[1].decision.allowed);
  EXPECT_EQ(request[2].source, Source::kStore);
  EXPECT_EQ(harness.store.stats().wait_timeouts, 0U);
}

// Some or all calls of a request fail or are refused while it is being sent.
TEST(SharedStore, CallsThatFailOrAreRefusedInSendLeaveTheRestOfTheRequest) {
  for (const ChargeDenied mode :
       {ChargeDenied::kFirst, ChargeDenied::kOverOnly, ChargeDenied::kNever}) {
    for (const Sending sending : {Sending::kRefused, Sending::kFailed}) {
      for (unsigned affected = 1; affected < 8; ++affected) {
        SharedHarness harness;
        harness.charge_denied = mode;
        harness.remote.on_send = [&](const RemoteCall& call) {
          return (affected >> call.key.lo & 1) != 0 ? sending : Sending::kSent;
        };
        SharedRequest request = {Allowing(0), Allowing(1), Allowing(2)};
        harness.Run(request);
        for (unsigned key = 0; key < 3; ++key) {
          const bool policy = (affected >> key & 1) != 0;
          EXPECT_TRUE(request[key].decision.allowed);
          EXPECT_EQ(request[key].source, policy ? Source::kPolicy : Source::kStore);
          EXPECT_EQ(harness.remote.store().taken(KeyOf(key)), policy ? 0U : 1U);
        }
        EXPECT_EQ(harness.store.stats().waiting, 0U);
        SharedRequest next = {Allowing(0), Allowing(1), Allowing(2)};
        harness.remote.on_send = nullptr;
        harness.Run(next);
        EXPECT_EQ(next[0].source, Source::kStore);
      }
    }
  }
}

TEST(SharedStore, AKeyThatPolicyDeniesKeepsTheOthersUncharged) {
  SharedHarness harness;
  harness.charge_denied = ChargeDenied::kNever;
  harness.remote.on_send = [](const RemoteCall& call) {
    return call.key.lo == 1 ? Sending::kRefused : Sending::kSent;
  };
  SharedRequest request = {Denying(1), Take(2)};
  harness.Run(request);
  EXPECT_FALSE(request[0].decision.allowed);
  EXPECT_EQ(harness.remote.store().taken(KeyOf(2)), 0U);
}

TEST(SharedStore, PolicyAnswersAtOnceAboveTheBoundOfWaitingRequests) {
  SharedStoreOptions options = SharedHarness::Small();
  options.waiting_max = 3;
  SharedHarness harness(options);
  std::vector<SharedRequest> waiting(3, SharedRequest{Allowing(1)});
  for (SharedRequest& request : waiting) harness.Acquire(request);
  SharedRequest refused = {Denying(1), Denying(2)};
  harness.Acquire(refused);
  EXPECT_EQ(refused.times(), 1);
  EXPECT_EQ(refused[1].source, Source::kPolicy);
  EXPECT_FALSE(refused[1].decision.allowed);
  EXPECT_EQ(harness.store.stats().waiting_refused, 1U);
  EXPECT_EQ(harness.store.stats().waiting, 3U);
  harness.Exchange();
  for (const SharedRequest& request : waiting) EXPECT_EQ(request.times(), 1);
  EXPECT_EQ(harness.One(kFive, 1).source, Source::kStore);
  EXPECT_EQ(harness.store.stats().waiting_refused, 1U);
}

TEST(SharedStore, AnUnreachableStoreParksNothing) {
  SharedHarness harness;
  harness.remote.set_reachable(false);
  SharedRequest request = {Denying(1), Allowing(2)};
  harness.Acquire(request);
  EXPECT_EQ(request.times(), 1);
  EXPECT_EQ(harness.wakes, 0);
  EXPECT_FALSE(request[0].decision.allowed);
  EXPECT_TRUE(request[1].decision.allowed);
  EXPECT_EQ(harness.store.stats().waiting_refused, 0U);
  harness.remote.Recover();
  EXPECT_EQ(harness.One(kFive, 1).source, Source::kStore);
}

TEST(SharedStore, KeysOfAnotherSecretAreNotTheFleets) {
  SharedHarness harness;
  harness.remote.set_secret({1, 2});
  SharedRequest request = {Denying(1)};
  harness.Acquire(request);  // under a secret of zeros
  EXPECT_EQ(request.times(), 1);
  EXPECT_EQ(request[0].source, Source::kPolicy);
  AcquireOptions options = harness.Options();
  options.secret = {1, 2};
  SharedRequest ours = {Denying(1)};
  harness.store.Acquire(ours.asks, options, ours);
  EXPECT_EQ(ours.times(), 0);
  harness.Exchange();
  EXPECT_EQ(ours[0].source, Source::kStore);
}

TEST(SharedStore, ALostStoreAnswersAllThatWaitByPolicy) {
  SharedHarness harness;
  std::vector<SharedRequest> waiting(4, SharedRequest{Denying(1), Allowing(2)});
  for (SharedRequest& request : waiting) harness.Acquire(request);
  harness.Turn();
  harness.remote.Lose();
  harness.inbox.Deliver();
  for (const SharedRequest& request : waiting) {
    EXPECT_EQ(request.times(), 1);
    EXPECT_EQ(request[0].source, Source::kPolicy);
  }
  EXPECT_EQ(harness.store.stats().waiting, 0U);
}

TEST(SharedStore, ARequestWithoutAsksIsAnswered) {
  SharedHarness harness;
  SharedRequest request;
  harness.Acquire(request);
  EXPECT_EQ(request.times(), 1);
}

TEST(SharedStore, EndAllAnswersWhatIsParkedSentAndHalfAnsweredOnce) {
  SharedHarness harness;
  SharedRequest answered = {Denying(1)};
  harness.Run(answered);
  SharedRequest half = {Take(1), Denying(2)};
  SharedRequest sent = {Allowing(3)};
  harness.Acquire(half);
  harness.Acquire(sent);
  harness.Turn();
  harness.remote.DeliverOne(0);
  SharedRequest parked = {Denying(4)};
  harness.Acquire(parked);
  harness.store.EndAll();
  harness.inbox.Deliver();
  for (const SharedRequest* request : {&answered, &half, &sent, &parked}) {
    EXPECT_EQ(request->times(), 1);
  }
  EXPECT_EQ(half[0].source, Source::kStore);
  EXPECT_EQ(half[1].source, Source::kPolicy);
  EXPECT_TRUE(sent[0].decision.allowed);
  EXPECT_EQ(parked[0].source, Source::kPolicy);
  EXPECT_EQ(harness.store.stats().waiting, 0U);
  harness.remote.FailAll();  // the connections close
  harness.Turn();
  EXPECT_EQ(harness.next_turn_ns, kNeverNs);
  harness.inbox.Deliver();
  EXPECT_EQ(half.times() + sent.times() + parked.times(), 3);
}

// The loop's part of a random run: all deadlines pass, then every reply comes.
void EndAllWaits(SharedHarness& harness, std::mt19937_64& random) {
  harness.Advance(kSecondNs);
  harness.Turn();
  harness.inbox.Deliver();
  while (harness.remote.in_flight() > 0) {
    harness.remote.DeliverOne(random() % harness.remote.in_flight());
  }
  harness.inbox.Deliver();
}

// Replies in any order, at any time around the deadline, with failures among them: each request is
// answered once, and no hit is admitted that the store did not charge.
TEST(SharedStore, AnswersEveryRequestOnceUnderRandomDelays) {
  uint64_t late = 0;
  uint64_t by_store = 0;
  for (uint32_t seed = 1; seed <= 30; ++seed) {
    std::mt19937_64 random(seed);
    SharedStoreOptions options = SharedHarness::Small();
    options.waiting_max = 20;
    SharedHarness harness(options);
    harness.charge_denied = static_cast<ChargeDenied>(seed % 3);
    harness.remote.on_send = [&](const RemoteCall&) {
      const uint64_t dice = random() % 20;
      return dice == 0 ? Sending::kRefused : dice == 1 ? Sending::kFailed : Sending::kSent;
    };
    std::vector<std::unique_ptr<SharedRequest>> requests;
    for (int step = 0; step < 2'000; ++step) {
      switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
          auto request = std::make_unique<SharedRequest>();
          for (uint64_t i = 0; i <= random() % 6; ++i) {
            request->asks.push_back(Denying(random() % 10, random() % 3));
          }
          harness.Acquire(*request);
          requests.push_back(std::move(request));
          break;
        }
        case 3:
          harness.Turn();
          break;
        case 4:
          harness.Advance(static_cast<int64_t>(random() % 6) * kMillisecondNs);
          break;
        case 5:
          if (random() % 100 == 0) harness.remote.FailAll();
          break;
        case 6:
          harness.inbox.Deliver();
          break;
        default:
          for (int i = 0; i < 3 && harness.remote.in_flight() > 0; ++i) {
            harness.remote.DeliverOne(random() % harness.remote.in_flight());
          }
      }
    }
    EndAllWaits(harness, random);
    std::map<uint64_t, uint64_t> admitted;
    for (const auto& request : requests) {
      ASSERT_EQ(request->times(), 1) << "seed " << seed;
      for (const Ask& ask : request->asks) {
        if (ask.grant.source != Source::kStore || !ask.grant.decision.allowed) continue;
        ++by_store;
        if (harness.charge_denied == ChargeDenied::kFirst) admitted[ask.key.lo] += ask.hits;
      }
    }
    for (const auto& [key, hits] : admitted) {
      ASSERT_LE(hits, harness.remote.store().taken(KeyOf(key))) << "seed " << seed;
    }
    EXPECT_EQ(harness.store.stats().waiting, 0U);
    EXPECT_EQ(harness.next_turn_ns, kNeverNs);
    late += harness.store.stats().late_replies;
  }
  EXPECT_GT(late, 100U);
  EXPECT_GT(by_store, 1'000U);
}

TEST(SharedStore, CountsFaultsOfTheStoresClock) {
  const Limit bucket = Bucket(5);
  SharedHarness harness;
  harness.One(bucket, 1, Op::kTake, 5);
  EXPECT_EQ(harness.store.stats().clock_faults, 0U);
  harness.Advance(2 * kSecondNs);
  harness.remote.store().Advance(-100 * kSecondNs);
  harness.One(bucket, 1);
  EXPECT_EQ(harness.store.stats().clock_faults, 1U);
}

}  // namespace
}  // namespace weir
