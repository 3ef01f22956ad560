// What rules answer while the shared store does not, and the bound of local shares.

#include "limiter/store/failure_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <vector>

#include "tests/unit/store/shared_store_harness.h"

namespace weir {
namespace {

using test::Asking;
using test::Bucket;
using test::FakeClock;
using test::Fixed;
using test::kSecondNs;
using test::SharedHarness;
using test::SharedRequest;
using test::Sliding;
using test::With;

constexpr OnStoreFailure kAllPolicies[] = {OnStoreFailure::kLocalShare, OnStoreFailure::kAllow,
                                           OnStoreFailure::kDeny, OnStoreFailure::kError};
const MemoryStoreOptions kLocal = {.keys_max = 4096, .ring_bytes_max = std::size_t{4} << 20};

std::vector<Limit> AllOf(uint32_t hits) { return {Fixed(hits), Sliding(hits), Bucket(hits)}; }

// The algorithm is part of a key.
uint64_t KeyFor(const Limit& limit, uint64_t n = 1) {
  return 10 * n + static_cast<uint64_t>(limit.algorithm);
}

// One node without its store.
class Node {
 public:
  explicit Node(int of_nodes, int replicas = 0) : nodes(of_nodes), policy_(kLocal, replicas) {}

  Grant One(const Limit& limit, OnStoreFailure policy, Op op = Op::kTake, uint64_t hits = 1) {
    Ask ask = With(policy, Asking::Of(limit, KeyFor(limit), hits, Weight::kEnforced, op));
    policy_.Answer(ask, clock.Now(), nodes, outages);
    EXPECT_EQ(ask.grant.source, Source::kPolicy);
    return ask.grant;
  }
  bool Takes(const Limit& limit, uint64_t hits = 1) {
    return One(limit, OnStoreFailure::kLocalShare, Op::kTake, hits).decision.allowed;
  }
  // How many single hits pass at this moment.
  uint64_t TakesAll(const Limit& limit) {
    uint64_t taken = 0;
    while (taken < 1'000 && Takes(limit)) ++taken;
    return taken;
  }
  void Admitted(const Limit& limit, uint64_t hits) {
    policy_.NoteAdmitted(Asking::Of(limit, KeyFor(limit), hits), clock.Now());
  }
  const FailurePolicy& policy() const { return policy_; }

  int nodes;
  uint64_t outages = 1;
  FakeClock clock;

 private:
  FailurePolicy policy_;
};

TEST(FailurePolicy, DenyDenies) {
  Node node(1);
  for (const Limit& limit : AllOf(5)) {
    const Grant grant = node.One(limit, OnStoreFailure::kDeny);
    EXPECT_FALSE(grant.decision.allowed);
    EXPECT_FALSE(grant.failed);
    EXPECT_EQ(grant.decision.remaining, 0U);
    EXPECT_EQ(grant.decision.retry_after_ns, kSecondNs);
  }
  EXPECT_EQ(node.One(Fixed(5, kSecondNs / 4), OnStoreFailure::kDeny).decision.retry_after_ns,
            kSecondNs / 4);
}

TEST(FailurePolicy, AllowAllowsWithoutABound) {
  Node node(1);
  for (const Limit& limit : AllOf(5)) {
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(node.One(limit, OnStoreFailure::kAllow, Op::kTake, 3).decision.allowed);
    }
  }
}

TEST(FailurePolicy, ErrorFailsTheRequest) {
  Node node(1);
  const Grant grant = node.One(Fixed(5), OnStoreFailure::kError);
  EXPECT_TRUE(grant.failed);
  EXPECT_FALSE(grant.decision.allowed);
}

TEST(FailurePolicy, OnlyTheErrorPolicyRefusesReportsAndRefunds) {
  for (const OnStoreFailure policy : kAllPolicies) {
    Node node(2);
    for (const Limit& limit : AllOf(4)) {
      for (const Op op : {Op::kReport, Op::kRefund}) {
        const Grant grant = node.One(limit, policy, op, 4);
        EXPECT_EQ(grant.failed, policy == OnStoreFailure::kError);
        EXPECT_EQ(grant.decision.allowed, policy != OnStoreFailure::kError);
      }
    }
  }
}

TEST(FailurePolicy, AResetFailsUnderEveryPolicy) {
  for (const OnStoreFailure policy : kAllPolicies) {
    Node node(1);
    EXPECT_TRUE(node.One(Fixed(5), policy, Op::kReset).failed);
  }
}

TEST(FailurePolicy, QuestionsAreAnsweredFromTheShare) {
  Node node(2);
  const Limit limit = Fixed(10);
  EXPECT_TRUE(node.One(limit, OnStoreFailure::kLocalShare, Op::kPeek, 5).decision.allowed);
  EXPECT_FALSE(node.One(limit, OnStoreFailure::kLocalShare, Op::kPeek, 6).decision.allowed);
  EXPECT_EQ(node.TakesAll(limit), 5U);
}

TEST(FailurePolicy, AWindowIsSharedRoundedDown) {
  for (const auto& [hits, nodes, share] : std::vector<std::array<uint32_t, 3>>{
           {10, 1, 10}, {10, 3, 3}, {10, 10, 1}, {10, 11, 0}, {0, 1, 0}, {1, 2, 0}}) {
    Node node(static_cast<int>(nodes));
    EXPECT_EQ(node.TakesAll(Fixed(hits)), share) << hits << " among " << nodes;
    EXPECT_EQ(node.TakesAll(Sliding(hits)), share) << hits << " among " << nodes;
  }
}

TEST(FailurePolicy, AShareOfNothingIsNotABan) {
  Node node(2);
  for (const Limit& limit : AllOf(1)) {
    EXPECT_EQ(node.One(limit, OnStoreFailure::kLocalShare).decision.retry_after_ns, kSecondNs);
  }
}

TEST(FailurePolicy, AWindowStartsWithTheHitsThisNodeAdmittedInIt) {
  for (const Limit& limit : {Fixed(10), Sliding(10)}) {
    Node node(2);
    node.Admitted(limit, 3);
    EXPECT_EQ(node.TakesAll(limit), 2U);
    node.Admitted(limit, 1);
    EXPECT_EQ(node.TakesAll(limit), 0U);
    node.clock.Advance(2 * limit.window_ns);
    EXPECT_EQ(node.TakesAll(limit), 5U);
    node.clock.Advance(2 * limit.window_ns);
    node.Admitted(limit, 10);  // more than a share
    EXPECT_EQ(node.TakesAll(limit), 0U);
  }
}

TEST(FailurePolicy, WhatOtherPoliciesAdmittedTakesNoMemory) {
  FailurePolicy policy(kLocal, 0);
  const Limit limit = Fixed(10);
  const Instant now = FakeClock().Now();
  for (const OnStoreFailure other :
       {OnStoreFailure::kAllow, OnStoreFailure::kDeny, OnStoreFailure::kError}) {
    policy.NoteAdmitted(With(other, Asking::Of(limit, 1, 3)), now);
  }
  policy.NoteAdmitted(Asking::Of(limit, 2, 0), now);
  EXPECT_EQ(policy.cells().bytes(), 0U);
  policy.NoteAdmitted(Asking::Of(limit, 3, 1), now);
  EXPECT_GT(policy.cells().bytes(), 0U);
}

TEST(FailurePolicy, ABucketStartsEmptyInEachOutage) {
  const Limit limit = Bucket(60);  // a hit each second; each second one: each two seconds
  Node node(2);
  for (node.outages = 1; node.outages <= 3; ++node.outages) {
    EXPECT_EQ(node.TakesAll(limit), 0U) << node.outages;
    node.clock.Advance(2 * kSecondNs - 1);
    EXPECT_EQ(node.TakesAll(limit), 0U);
    node.clock.Advance(1);
    EXPECT_EQ(node.TakesAll(limit), 1U);
    node.clock.Advance(3600 * kSecondNs);
    EXPECT_EQ(node.TakesAll(limit), 30U);  // the burst's share
    node.clock.Advance(20 * kSecondNs);
  }
}

TEST(FailurePolicy, ABucketOfLessThanAHitPerNodeStillDrips) {
  const Limit limit = test::LimitOf(
      {.algorithm = Algorithm::kTokenBucket, .hits = 1, .window_ns = 60 * kSecondNs, .burst = 10});
  Node node(4);
  EXPECT_FALSE(node.Takes(limit));
  node.clock.Advance(239 * kSecondNs);
  EXPECT_FALSE(node.Takes(limit));
  node.clock.Advance(kSecondNs);
  EXPECT_TRUE(node.Takes(limit));
  // A burst below one hit per node, or a time beyond what can be counted: nothing.
  Node many(11);
  EXPECT_FALSE(many.Takes(limit));
  many.clock.Advance(3600 * kSecondNs);
  EXPECT_FALSE(many.Takes(limit));
  Node old(8);
  const Limit century = Bucket(8, kWindowMaxNs / 2);
  EXPECT_FALSE(old.Takes(century));
}

TEST(FailurePolicy, UnknownNodesAreTheReplicasAndWithoutThemNothing) {
  const Limit limit = Fixed(12);
  Node unknown(0);
  EXPECT_EQ(unknown.TakesAll(limit), 0U);
  unknown.nodes = 3;
  EXPECT_EQ(unknown.TakesAll(limit), 4U);
  Node replicas(0, 4);
  EXPECT_EQ(replicas.TakesAll(limit), 3U);
  // Nodes that started together and have not all been heard of yet.
  Node early(1, 4);
  EXPECT_EQ(early.TakesAll(limit), 3U);
  Node more(6, 4);
  EXPECT_EQ(more.TakesAll(limit), 2U);
}

TEST(FailurePolicy, SaysWhenEachPolicyWasLastUsed) {
  Node node(1);
  for (const OnStoreFailure policy : kAllPolicies) {
    EXPECT_EQ(node.policy().last_used_ns(policy), 0);
    node.clock.Advance(kSecondNs);
    node.One(Fixed(5), policy);
    EXPECT_EQ(node.policy().last_used_ns(policy), node.clock.Now().mono_ns);
  }
}

TEST(FailurePolicy, WhatTheStoreAdmittedCountsInTheShare) {
  for (const ChargeDenied mode :
       {ChargeDenied::kFirst, ChargeDenied::kOverOnly, ChargeDenied::kNever}) {
    const Limit limit = Fixed(10);
    SharedHarness harness;
    harness.charge_denied = mode;
    harness.remote.set_nodes(2);
    SharedRequest two = {Asking::Of(limit, 1, 2), Asking::Of(limit, 2, 1)};
    harness.Run(two);
    harness.One(limit, 1, Op::kReport, 1);
    harness.One(limit, 1, Op::kPeek, 1);
    harness.One(limit, 1, Op::kTake, 11);  // denied: nothing was admitted
    harness.Advance(2 * kSecondNs);        // and forgotten
    harness.remote.Lose();
    uint64_t taken = 0;
    while (harness.One(limit, 1).decision.allowed) ++taken;
    EXPECT_EQ(taken, 2U);  // 5 - 2 - 1
    while (harness.One(limit, 2).decision.allowed) ++taken;
    EXPECT_EQ(taken, 6U);
  }
}

struct Hit {
  int64_t at_ns;
  uint64_t hits;
};

// The most hits in any half-open interval of `length_ns`.
uint64_t MostIn(const std::vector<Hit>& log, int64_t length_ns) {
  uint64_t most = 0;
  uint64_t sum = 0;
  std::deque<Hit> inside;
  for (const Hit& hit : log) {
    while (!inside.empty() && inside.front().at_ns <= hit.at_ns - length_ns) {
      sum -= inside.front().hits;
      inside.pop_front();
    }
    inside.push_back(hit);
    sum += hit.hits;
    most = std::max(most, sum);
  }
  return most;
}

// Several of N nodes are cut off and loaded at random; what they admitted together.
std::vector<Hit> CutOff(const Limit& limit, std::mt19937_64& random, std::deque<Node>& nodes,
                        int64_t start_ns) {
  std::vector<Hit> log;
  int64_t now_ns = start_ns;
  const uint64_t step_ns = static_cast<uint64_t>(limit.window_ns) / (1 + random() % 60);
  for (int step = 0; step < 600; ++step) {
    const int64_t ns = static_cast<int64_t>(random() % step_ns);
    now_ns += ns;
    for (Node& node : nodes) node.clock.Advance(ns);
    const uint64_t hits = 1 + random() % 3;
    if (nodes[random() % nodes.size()].Takes(limit, hits)) log.push_back({now_ns, hits});
  }
  return log;
}

TEST(FailurePolicy, NodesCutOffAdmitTheirPartOfTheLimitAtMost) {
  std::mt19937_64 random(11);
  uint64_t filled = 0;
  for (int round = 0; round < 300; ++round) {
    const int of_nodes = 1 + static_cast<int>(random() % 6);
    std::deque<Node> nodes;
    const uint64_t nodes_cut_off = 1 + random() % static_cast<uint64_t>(of_nodes);
    while (nodes.size() < nodes_cut_off) {
      nodes.emplace_back(of_nodes);
      // Sliding windows and buckets need no common time at all.
      if (round % 3 != 0) nodes.back().clock.Advance(static_cast<int64_t>(random() % kSecondNs));
    }
    const auto hits = static_cast<uint32_t>(1 + random() % 30);
    const int64_t window_ns = 7 * kSecondNs;
    const Limit limit =
        std::vector<Limit>{Fixed(hits, window_ns), Sliding(hits, window_ns),
                           Bucket(hits, window_ns)}[static_cast<std::size_t>(round % 3)];
    const int64_t start_ns = test::kWallStartNs;
    const std::vector<Hit> log = CutOff(limit, random, nodes, start_ns);
    const uint64_t cut_off = nodes.size();
    const auto n = static_cast<uint64_t>(of_nodes);
    uint64_t most = 0;
    if (limit.algorithm == Algorithm::kFixedWindow) {
      std::map<int64_t, uint64_t> windows;
      for (const Hit& hit : log) {
        most = std::max(most, windows[hit.at_ns / window_ns] += hit.hits);
      }
      ASSERT_LE(most * n, cut_off * hits) << "round " << round;
    } else if (limit.algorithm == Algorithm::kSlidingWindow) {
      most = MostIn(log, window_ns);
      ASSERT_LE(most * n, cut_off * hits) << "round " << round;
    } else {
      // From the start on only what drips in; in any interval the burst's part more.
      uint64_t sum = 0;
      for (const Hit& hit : log) {
        sum += hit.hits;
        const auto since_ns = static_cast<uint64_t>(hit.at_ns - start_ns);
        ASSERT_LE(sum * n * static_cast<uint64_t>(window_ns), cut_off * hits * since_ns)
            << "round " << round;
      }
      for (const int64_t length_ns : {window_ns / 10, window_ns, 3 * window_ns}) {
        most = MostIn(log, length_ns);
        ASSERT_LE(most * n * static_cast<uint64_t>(window_ns),
                  cut_off * hits * static_cast<uint64_t>(window_ns + length_ns))
            << "round " << round;
      }
    }
    filled += most * n == cut_off * hits ? 1 : 0;
  }
  EXPECT_GT(filled, 20U);  // the loads reach the bound
}

}  // namespace
}  // namespace weir
