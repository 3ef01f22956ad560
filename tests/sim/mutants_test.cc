// The shipped store with leases, call by call and in calm fleets: what a swarm of seeds meets too
// rarely to be sure that it is seen (tests/mutants).

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <initializer_list>
#include <vector>

#include "limiter/core/inbox.h"
#include "limiter/store/shared_store.h"
#include "tests/sim/fleet.h"
#include "tests/sim/judge.h"
#include "tests/sim/load.h"
#include "tests/sim/run.h"
#include "tests/sim/schemes.h"
#include "tests/support/fake_clock.h"

namespace weir::sim {
namespace {

constexpr int64_t kWaitNs = 10 * kMs;
constexpr int64_t kTtlNs = 500 * kMs;
constexpr int64_t kLifeNs = kTtlNs - kTtlNs / kLeaseDriftInverse - kLeaseGuardNs;

// The store as a test plays it: calls wait until they are answered or failed.
class HandRemote : public Remote {
 public:
  struct Sent {
    RemoteCall call;
    Limit limit;
    RemoteSink* sink;
  };

  std::vector<Sent> sent;
  uint32_t now_history = 0;

  void Answer(std::size_t index, const RemoteReply& reply) {
    RemoteSink& sink = *sent[index].sink;
    sink.OnReply(reply);
  }
  void Fail(std::size_t index) {
    RemoteSink& sink = *sent[index].sink;
    sink.OnFailure();
  }

  bool Reachable(const Limit&, const Key&, const Secret&) const override { return true; }
  int nodes() const override { return 1; }
  uint64_t OutagesOf(const Limit&, const Key&) const override { return 0; }
  uint32_t history() const override { return now_history; }
  bool Send(const RemoteCall& call, RemoteSink& sink) override {
    sent.push_back({call, *call.limit, &sink});
    return true;
  }
  void Flush() override {}
  void NoteTimeout(const Limit&, const Key&) override {}
};

class Asked : public Answered {
 public:
  void OnAnswered() override { ++times; }
  const Grant& operator[](std::size_t i) const { return asks[i].grant; }

  std::vector<weir::Ask> asks;
  int times = 0;
};

RemoteReply Granted(uint64_t granted) {
  RemoteReply reply;
  reply.decision.allowed = true;
  reply.decision.remaining = 50;
  reply.granted = granted;
  reply.ttl_ns = kTtlNs;
  return reply;
}

RemoteReply Refused() {
  RemoteReply reply;
  reply.decision.retry_after_ns = kSecond;
  reply.decision.next_hit_after_ns = kSecond;
  reply.decision.reset_after_ns = kSecond;
  return reply;
}

class LeasedCalls : public testing::Test {
 protected:
  void Acquire(Asked& asked, std::initializer_list<const KeySpec*> keys) {
    for (const KeySpec* key : keys) {
      weir::Ask& ask = asked.asks.emplace_back();
      ask.limit = &key->limit;
      ask.key = key->key;
      ask.on_store_failure = OnStoreFailure::kDeny;
      ask.lease = &counters_;
    }
    AcquireOptions options;
    options.now = clock_.Now();
    options.charge_denied = charge_denied_;
    options.deadline_mono_ns = options.now.mono_ns + kWaitNs;
    options.inbox = &inbox_;
    store_.Acquire(asked.asks, options, asked);
    store_.Turn();
    inbox_.Deliver();
  }
  void Answer(std::size_t call, const RemoteReply& reply) {
    remote_.Answer(call, reply);
    inbox_.Deliver();
  }
  // Ten hits to spend, with the first call.
  void LeaseTen(const KeySpec& key) {
    Asked asked;
    Acquire(asked, {&key});
    Answer(remote_.sent.size() - 1, Granted(11));
    ASSERT_EQ(asked.times, 1);
    ASSERT_EQ(LeasedOf(key), 10U);
  }
  LeaseState StateOf(const KeySpec& key) {
    return store_.LeaseStateOf(key.limit, &counters_, &key.key);
  }
  uint64_t LeasedOf(const KeySpec& key) { return StateOf(key).hits; }

  const KeySpec one_ =
      MakeKey({.algorithm = Algorithm::kTokenBucket, .hits = 100, .window_ns = 10 * kSecond}, 1);
  const KeySpec other_ =
      MakeKey({.algorithm = Algorithm::kTokenBucket, .hits = 100, .window_ns = 10 * kSecond}, 2);
  ChargeDenied charge_denied_ = ChargeDenied::kFirst;
  test::FakeClock clock_;
  HandRemote remote_;
  Inbox inbox_;
  LeaseCounters counters_;
  SharedStore store_{{.keys_max = 4096, .leases = true, .lease = {}}, remote_, clock_, [] {}};
};

TEST_F(LeasedCalls, ALeaseEndsFromWhenItsCallWasSent) {
  const int64_t sent_mono_ns = clock_.Now().mono_ns;
  Asked asked;
  Acquire(asked, {&one_});
  clock_.Advance(kWaitNs / 2);
  Answer(0, Granted(11));
  EXPECT_TRUE(asked[0].decision.allowed);
  EXPECT_EQ(LeasedOf(one_), 10U);
  EXPECT_EQ(StateOf(one_).ends_mono_ns, sent_mono_ns + kLifeNs);
  clock_.Advance(kLifeNs - kWaitNs / 2);
  EXPECT_EQ(LeasedOf(one_), 0U);
}

TEST_F(LeasedCalls, WhoAskedIsServedByAReplyThatIsTooLateForALease) {
  Asked asked;
  Acquire(asked, {&one_});
  RemoteReply reply = Granted(11);
  reply.ttl_ns = kMs;
  clock_.Advance(2 * kMs);
  Answer(0, reply);
  EXPECT_EQ(asked.times, 1);
  EXPECT_TRUE(asked[0].decision.allowed);
  EXPECT_EQ(LeasedOf(one_), 0U);
}

TEST_F(LeasedCalls, AReplyOfAnotherPrimaryServesWhoAskedAndLeasesNothing) {
  Asked asked;
  Acquire(asked, {&one_});
  ++remote_.now_history;
  Answer(0, Granted(11));
  EXPECT_EQ(asked.times, 1);
  EXPECT_TRUE(asked[0].decision.allowed);
  EXPECT_EQ(LeasedOf(one_), 0U);
}

// A request spent a leased hit and waits for the store about another key. What ends the lease
// meanwhile takes that hit away.
class HitsOfWhoWaits : public LeasedCalls {
 protected:
  void ExpectNotKept(const std::function<void()>& end_lease) {
    LeaseTen(one_);
    Asked asked;
    Acquire(asked, {&one_, &other_});
    EXPECT_EQ(asked[0].source, Source::kLease);
    ASSERT_EQ(asked.times, 0);
    end_lease();
    Answer(1, Granted(1));
    ASSERT_EQ(asked.times, 1);
    EXPECT_EQ(asked[0].source, Source::kPolicy);
    EXPECT_FALSE(asked[0].decision.allowed);
    EXPECT_TRUE(asked[1].decision.allowed);
  }
};

TEST_F(HitsOfWhoWaits, AreNotKeptUnderAnotherPrimary) {
  ExpectNotKept([this] { ++remote_.now_history; });
}

TEST_F(HitsOfWhoWaits, AreNotKeptWhereTheLeaseEndedWhileTheProcessStoodStill) {
  ExpectNotKept([this] { clock_.Advance(kTtlNs); });
}

TEST_F(LeasedCalls, ADeniedRequestGivesBackWhatItSpent) {
  LeaseTen(one_);
  charge_denied_ = ChargeDenied::kNever;
  Asked asked;
  Acquire(asked, {&one_, &other_});
  ASSERT_EQ(asked.times, 0);
  EXPECT_EQ(LeasedOf(one_), 9U);
  Answer(1, Refused());
  ASSERT_EQ(asked.times, 1);
  EXPECT_FALSE(asked[1].decision.allowed);
  EXPECT_EQ(LeasedOf(one_), 10U);
}

// Ten hits were granted, of which `spent` are spent, and as many put back at that time after.
uint64_t HitsAfterPuttingBack(uint64_t spent, uint64_t back, int64_t after_ns,
                              int64_t spent_ends_mono_ns) {
  const KeySpec key =
      MakeKey({.algorithm = Algorithm::kTokenBucket, .hits = 100, .window_ns = 10 * kSecond}, 1);
  Lease lease;
  NoteGranted({key.limit, kSecond, 0, 0}, Granted(10), 0, kSecond, lease);
  weir::Ask ask;
  ask.limit = &key.limit;
  ask.hits = spent;
  EXPECT_TRUE(SpendLease({key.limit, kSecond, 0, 0}, ask, lease));
  UnspendLease({key.limit, kSecond + after_ns, 0, 0}, back, spent_ends_mono_ns, lease);
  return lease.hits[0];
}

TEST(PutBack, HitsDieWithTheirLease) {
  const int64_t ends_mono_ns = kSecond + kLifeNs;
  EXPECT_EQ(HitsAfterPuttingBack(4, 4, kLifeNs - 1, ends_mono_ns), 10U);
  EXPECT_EQ(HitsAfterPuttingBack(4, 4, kLifeNs, ends_mono_ns), 6U);
}

TEST(PutBack, HitsDoNotLiveLongerThanTheyWould) {
  EXPECT_EQ(HitsAfterPuttingBack(4, 4, 0, kSecond + kLifeNs - 1), 6U);
}

TEST(PutBack, HitsAreNoMoreThanWereGranted) {
  EXPECT_EQ(HitsAfterPuttingBack(4, 5, 0, kSecond + kLifeNs), 6U);
}

// Whether the store charged a call that failed is not known: what is sent again may be charged
// twice.
TEST_F(LeasedCalls, AFailedCallIsNotSentAgain) {
  Asked first;
  Asked second;
  Acquire(first, {&one_});
  Acquire(second, {&one_});
  ASSERT_EQ(remote_.sent.size(), 1U);
  remote_.Fail(0);
  inbox_.Deliver();
  EXPECT_EQ(remote_.sent.size(), 1U);
  for (const Asked* asked : {&first, &second}) {
    EXPECT_EQ(asked->times, 1);
    EXPECT_EQ((*asked)[0].source, Source::kPolicy);
    EXPECT_FALSE((*asked)[0].decision.allowed);
  }
}

TEST_F(LeasedCalls, WaitersShareACallAndEachIsChargedForItself) {
  Asked first;
  Asked second;
  Asked third;
  Acquire(first, {&one_});
  Acquire(second, {&one_});
  Acquire(third, {&one_});
  ASSERT_EQ(remote_.sent.size(), 1U);
  EXPECT_EQ(remote_.sent[0].call.hits, 1U);
  // No lease came with it: the next call is for the second one, and asks for the third one's too.
  Answer(0, Granted(1));
  EXPECT_EQ(first.times, 1);
  ASSERT_EQ(second.times, 0);
  ASSERT_EQ(remote_.sent.size(), 2U);
  EXPECT_EQ(remote_.sent[1].call.hits, 1U);
  EXPECT_GE(remote_.sent[1].call.lease.want, 2U);
  Answer(1, Granted(2));
  EXPECT_EQ(second.times, 1);
  EXPECT_EQ(second[0].source, Source::kStore);
  EXPECT_EQ(third.times, 1);
  EXPECT_EQ(third[0].source, Source::kLease);
  EXPECT_EQ(LeasedOf(one_), 0U);
}

TEST_F(LeasedCalls, AKeyThatIsExactByNatureIsAskedForEachRequestAlone) {
  const KeySpec exact = MakeKey({.hits = 1, .window_ns = 10 * kSecond}, 3);
  Asked first;
  Asked second;
  Acquire(first, {&exact});
  Acquire(second, {&exact});
  ASSERT_EQ(remote_.sent.size(), 2U);
  for (const HandRemote::Sent& sent : remote_.sent) {
    EXPECT_EQ(sent.call.hits, 1U);
    EXPECT_EQ(sent.call.lease.want, 0U);
  }
  Answer(0, Granted(1));
  Answer(1, Refused());
  EXPECT_TRUE(first[0].decision.allowed);
  EXPECT_FALSE(second[0].decision.allowed);
}

TEST_F(LeasedCalls, HitsOfTwoWindowsAreNotMixed) {
  const KeySpec fixed = MakeKey({.hits = 100, .window_ns = 10 * kSecond}, 3);
  const LeaseView view{fixed.limit, clock_.Now().mono_ns, 0, clock_.Now().wall_ns};
  Lease lease;
  for (const int64_t window : {7, 7, 8}) {
    RemoteReply reply = Granted(10);
    reply.window = window;
    NoteGranted(view, reply, 0, view.now_mono_ns, lease);
  }
  EXPECT_EQ(LiveHits(view, lease), 20U);
}

TEST_F(LeasedCalls, HitsOfAWindowOfAnotherPrimaryAreNotGivenBack) {
  const KeySpec fixed = MakeKey({.hits = 100, .window_ns = 10 * kSecond}, 3);
  const int64_t mono_ns = clock_.Now().mono_ns;
  const LeasePlan plan = LeasePlanOf(fixed.limit, {});
  Lease lease;
  NoteGranted({fixed.limit, mono_ns, 0, 0}, Granted(10), 0, mono_ns, lease);
  Asked asked;
  weir::Ask& ask = asked.asks.emplace_back();
  ask.limit = &fixed.limit;
  // The lease ends first, then the primary changes.
  EXPECT_FALSE(SpendLease({fixed.limit, mono_ns + kTtlNs, 0, 0}, ask, lease));
  EXPECT_EQ(
      AskForLease({fixed.limit, mono_ns + kTtlNs, 1, 0}, plan, 0, LeaseOptions(), lease).back_hits,
      0U);
}

void AskOften(World& world, Fleet& fleet, int node, int times) {
  for (int i = 0; i < times; ++i) {
    fleet.Ask(node, 0, 1);
    world.RunUntil(world.now_ns() + 300 * kUs);
  }
}

// A node leases what a busy node gets and spends all of it in the last instant; then both take what
// the store still gives, and again when the charge of that lease leaves the window.
Judgement HoldToTheLastInstant(const LimitSpec& limit, uint64_t* held) {
  const SimOptions options = CalmOptions(1, 2, limit);
  World world(options.seed, false);
  SimStore store(world, options.keys, options.nodes, 0);
  Fleet fleet(world, store, options, SchemeNamed("shared_store_leased"));
  world.RunUntil(kSecond);
  AskOften(world, fleet, 0, 200);
  world.RunUntil(world.now_ns() + 2 * limit.window_ns);
  // Close to the end of a window, so that a lease of one may meet the next.
  const int64_t into_ns = store.Now().wall_ns % limit.window_ns;
  world.RunUntil(world.now_ns() + 2 * limit.window_ns - into_ns - 300 * kMs);
  int64_t begin_ns = 0;
  Scheme::Live live;
  // The first call may be for its own hit alone.
  for (int i = 0; i < 3 && live.hits == 0; ++i) {
    begin_ns = world.now_ns();
    fleet.Ask(0, 0, 1);
    world.RunUntil(begin_ns + 5 * kMs);
    live = fleet.node(0).scheme->LiveHits(0);
  }
  *held = live.hits;
  const int64_t left_ns = live.ends_mono_ns - fleet.node(0).host->clock().Now().mono_ns;
  world.RunUntil(world.now_ns() + left_ns - 1);
  for (uint64_t i = 0; i < live.hits; ++i) fleet.Ask(0, 0, 1);
  for (const int node : {1, 0}) AskOften(world, fleet, node, 200);
  world.RunUntil(begin_ns + limit.window_ns + options.keys[0].limit.bucket_ns);
  for (const int node : {1, 0}) AskOften(world, fleet, node, 200);
  EXPECT_TRUE(fleet.violations().empty()) << fleet.violations().front();
  return Judge(options.keys[0].limit, fleet.admissions()[0], {});
}

TEST(LeasedFleet, AdmitsNoMoreWhereALeaseIsHeldToItsLastInstant) {
  const std::vector<LimitSpec> limits = {
      {.algorithm = Algorithm::kTokenBucket, .hits = 100, .window_ns = 10 * kSecond},
      {.algorithm = Algorithm::kSlidingWindow,
       .hits = 100,
       .window_ns = 10 * kSecond,
       .precision = 60},
      {.algorithm = Algorithm::kFixedWindow, .hits = 100, .window_ns = 10 * kSecond},
  };
  for (const LimitSpec& limit : limits) {
    uint64_t held = 0;
    const Judgement judgement = HoldToTheLastInstant(limit, &held);
    std::printf("%-14s %d hits held, worst interval %.2f of its limit\n",
                AlgorithmName(limit.algorithm), static_cast<int>(held), judgement.worst_ratio);
    EXPECT_GT(held, 5U) << AlgorithmName(limit.algorithm);
    EXPECT_EQ(judgement.excess, 0U) << AlgorithmName(limit.algorithm) << judgement.where;
    EXPECT_GT(judgement.worst_ratio, 0.85) << AlgorithmName(limit.algorithm);
  }
}

// A lease would be over when it comes: such a key runs exact, and nobody waits for a lease.
TEST(LeasedFleet, AdmitsWhatFitsWhereACallTakesLongerThanALeaseLives) {
  for (const Algorithm algorithm : {Algorithm::kTokenBucket, Algorithm::kSlidingWindow}) {
    SimOptions options =
        CalmOptions(4, 2, {.algorithm = algorithm, .hits = 100, .window_ns = kSecond});
    options.network.delay_ns = 200 * kMs;
    options.link.patience_ns = 10 * kSecond;
    options.store_wait_ns = kSecond;
    options.load.demand = 0.5;
    const RunResult result = Simulate(options, SchemeNamed("shared_store_leased"), {});
    EXPECT_TRUE(result.violations.empty()) << result.violations.front();
    EXPECT_GE(static_cast<double>(result.counts.admitted_hits),
              0.9 * static_cast<double>(result.counts.requests))
        << AlgorithmName(algorithm);
  }
}

}  // namespace
}  // namespace weir::sim
