// What charging a lease at its grant costs at worst, on the shipped scripts: a holder leases all
// there is, spends it in the last instant, and takes at once what the store still gives.

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tests/sim/judge.h"
#include "tests/sim/options.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/world.h"

namespace weir::sim {
namespace {

class Holder {
 public:
  Holder(const LimitSpec& limit, bool post_dated)
      : keys_{MakeKey(limit, 0)},
        life_ns_(LeaseLifeMaxNs(keys_[0].limit)),
        post_dated_(post_dated),
        store_(world_, keys_, 1, 0) {}

  // Leases, holds, spends; then takes hit by hit, and again when a window has passed.
  Judgement Attack() {
    const Limit& limit = keys_[0].limit;
    // The last moment of a sub-bucket: its charge leaves first.
    const int64_t begin_ns = limit.bucket_ns > 0 ? limit.bucket_ns - kUs : 0;
    world_.RunUntil(begin_ns);
    const uint64_t leased = Take(0, limit.capacity);
    world_.RunUntil(begin_ns + life_ns_);
    Admit(leased);
    TakeAll();
    world_.RunUntil(begin_ns + limit.window_ns + kUs);
    TakeAll();
    world_.RunUntil(begin_ns + limit.window_ns + life_ns_ - kUs);
    TakeAll();
    EXPECT_EQ(store_.broken(), "");
    return Judge(limit, admissions_, {});
  }

 private:
  uint64_t Take(uint64_t hits, uint64_t want) {
    ScriptCall call = {.limit = keys_[0].limit, .op = Op::kTake, .hits = hits, .lease = {}};
    call.lease.want = want;
    call.lease.life_ns = post_dated_ ? life_ns_ : 0;
    std::string wire;
    AppendCall(call, keys_[0].store_key, wire);
    const absl::StatusOr<ScriptReply> reply = ReadReply(
        call,
        Integers(
            store_.Execute(store_.replication_id(), {.hits = hits, .want = want}, wire).reply));
    EXPECT_TRUE(reply.ok());
    return reply.ok() ? reply->granted : 0;
  }
  void TakeAll() {
    while (Take(1, 0) == 1) Admit(1);
  }
  void Admit(uint64_t hits) { admissions_.push_back({store_.Now(), hits}); }

  const std::vector<KeySpec> keys_;
  const int64_t life_ns_;
  const bool post_dated_;
  World world_{1, false};
  SimStore store_;
  std::vector<Admission> admissions_;
};

struct Case {
  LimitSpec limit;
  double ratio_min;  // charged at the grant
};

TEST(LastInstant, APostDatedLeaseKeepsThePromiseAndOneChargedAtItsGrantDoesNot) {
  const std::vector<Case> cases = {
      {{.algorithm = Algorithm::kTokenBucket, .hits = 100, .window_ns = 10 * kSecond}, 1.09},
      {{.algorithm = Algorithm::kTokenBucket, .hits = 1'000, .window_ns = kSecond, .burst = 200},
       1.09},
      {{.algorithm = Algorithm::kSlidingWindow,
        .hits = 100,
        .window_ns = 10 * kSecond,
        .precision = 60},
       1.9},
  };
  for (const auto& [limit, ratio_min] : cases) {
    const Judgement kept = Holder(limit, true).Attack();
    const Judgement broken = Holder(limit, false).Attack();
    std::printf("%-14s %u per %lld ms: post-dated %.2f of the limit, charged at the grant %.2f\n",
                AlgorithmName(limit.algorithm), limit.hits,
                static_cast<long long>(limit.window_ns / kMs), kept.worst_ratio,
                broken.worst_ratio);
    EXPECT_EQ(kept.excess, 0U) << kept.where;
    EXPECT_GT(kept.worst_ratio, 0.9);
    EXPECT_GT(broken.excess, 0U);
    EXPECT_GE(broken.worst_ratio, ratio_min);
  }
}

}  // namespace
}  // namespace weir::sim
