// Exact mode: the C++ algorithm, its script in embedded Lua and its script in a real Redis give the
// same answers to the same questions, over random and adversarial sequences.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "tests/differential/core.h"
#include "tests/differential/stores.h"

namespace weir::test {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kYearNs = int64_t{366} * 86'400 * kSecondNs;

// No leases anywhere: only then does a sliding window take anything ahead of the clock for a fault,
// as the core does.
constexpr LeaseAsk kExact = {.life_max_ns = 0};

std::string Describe(const Decision& d) {
  return std::string(d.allowed ? "allowed" : "denied") + " remaining " +
         std::to_string(d.remaining) + " reset " + std::to_string(d.reset_after_ns) + " retry " +
         std::to_string(d.retry_after_ns) + " next " + std::to_string(d.next_hit_after_ns) +
         (d.clock_fault ? " FAULT" : "");
}

// Draws limits, times and questions that lie where algorithms break.
class Generator {
 public:
  Generator(Algorithm algorithm, uint64_t seed, bool steps_back)
      : algorithm_(algorithm), random_(seed), steps_back_(steps_back) {}

  Limit NewLimit() {
    LimitSpec spec;
    spec.algorithm = algorithm_;
    Limit limit;
    do {
      spec.hits = Pick<uint32_t>({1, 1, 2, 3, 5, 7, 10, 100, 1'000, 999'983, UINT32_MAX});
      spec.burst = Chance(2) ? 0 : Pick<uint32_t>({1, 2, 3, 10, 4'096, 65'537, UINT32_MAX});
      spec.window_ns =
          Pick<int64_t>({kSecondNs, kSecondNs, 7 * kSecondNs, 60 * kSecondNs, 3'600 * kSecondNs,
                         86'400 * kSecondNs, 30 * 86'400 * kSecondNs, kYearNs, 70 * kYearNs,
                         kWindowMaxNs, 1'234'567'891});
      if (Chance(8)) {  // B*E around the place where units change
        spec.hits = spec.burst = 1;
        spec.window_ns = (int64_t{1} << 52) + Pick<int64_t>({-1, 0, 1, 999, 1'000});
      }
      spec.precision = Pick<uint32_t>({1, 2, 3, 7, 10, 10, 10, 60, 100});
      if (algorithm_ != Algorithm::kTokenBucket && Chance(40)) spec.hits = 0;
    } while (!MakeLimit(spec, &limit).empty());
    limit_ = InMicroseconds(limit);
    now_us_ = Pick<int64_t>(
        {1'790'000'000'000'000, 1'790'000'000'123'457, 999'999'999'999'999, 4'000'000'000'000'000});
    last_ = {};
    return limit;
  }

  void Told(const Decision& decision) { last_ = decision; }

  int64_t NextTime() {
    const int64_t unit_us = std::max<int64_t>(1, UnitNs() / 1'000);
    const int64_t window_us = std::max<int64_t>(1, LongNs() / 1'000);
    int64_t step = 0;
    switch (Below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        break;
      case 4:
        step = Pick<int64_t>({1, 2, 999, 1'000, 1'000'000});
        break;
      case 5:
      case 6:
        step = unit_us + Pick<int64_t>({-1, 0, 0, 1});
        break;
      case 7:  // when the denied may pass, and just before
      case 8:
        if (last_.retry_after_ns < kNeverNs) step = CeilUs(last_.retry_after_ns) - Draw(2);
        break;
      case 9:
        step = CeilUs(last_.reset_after_ns) - Draw(3) + 1;
        break;
      case 10:  // an edge of the windows
        step = unit_us - now_us_ % unit_us - Draw(3) + 1;
        break;
      case 11:
        step = Draw(window_us);
        break;
      case 12:
        step = window_us * Draw(3) + Draw(2) - 1;
        break;
      case 13:  // past the expiry of any record
        step = window_us * 2 + 1'000'000 + Draw(2'000'000);
        break;
      case 14:  // the clock steps back
        if (!steps_back_) break;
        step = -Pick<int64_t>({1, unit_us, 2 * unit_us, Draw(unit_us), Draw(window_us)});
        break;
      case 15:
        if (Chance(4)) step = (Chance(2) || !steps_back_ ? 1 : -1) * Draw(10 * window_us);
        break;
    }
    if (!steps_back_) step = std::max<int64_t>(step, 0);
    // Within what the core allows: below 2^62 ns.
    now_us_ = std::clamp<int64_t>(now_us_ + step, 1'000'000, 4'600'000'000'000'000);
    return now_us_;
  }

  uint64_t NextHits() {
    const uint64_t capacity = limit_.capacity;
    switch (Below(12)) {
      case 0:
        return 0;
      case 1:
      case 2:
      case 3:
        return 1;
      case 4:
        return 2;
      case 5:
        return last_.remaining;
      case 6:
        return last_.remaining + 1;
      case 7:
        return capacity;
      case 8:
        return capacity + 1;
      case 9:
        return 1 + static_cast<uint64_t>(Draw(static_cast<int64_t>(capacity) + 1)) / 2;
      case 10:
        return static_cast<uint64_t>(Draw(static_cast<int64_t>(capacity) + 1));
      default:
        return Pick<uint64_t>({UINT32_MAX, uint64_t{1} << 32, kCountMax - 1, kCountMax,
                               kCountMax + 1, (uint64_t{1} << 53) - 1, (uint64_t{1} << 53) + 1,
                               uint64_t{1} << 63, std::numeric_limits<uint64_t>::max()});
    }
  }

  Op NextOp() {
    switch (Below(20)) {
      case 0:
      case 1:
        return Op::kPeek;
      case 2:
        return Op::kReport;
      case 3:
      case 4:
        return Op::kRefund;
      case 5:
        return Chance(4) ? Op::kReset : Op::kTake;
      default:
        return Op::kTake;
    }
  }

  bool Chance(uint64_t one_in) { return Below(one_in) == 0; }
  int64_t now_us() const { return now_us_; }

 private:
  template <typename T>
  T Pick(std::initializer_list<T> from) {
    return *(from.begin() + Below(from.size()));
  }
  uint64_t Below(uint64_t end) {
    return std::uniform_int_distribution<uint64_t>(0, end - 1)(random_);
  }
  // 0 … end - 1
  int64_t Draw(int64_t end) {
    return static_cast<int64_t>(Below(static_cast<uint64_t>(std::max<int64_t>(end, 1))));
  }
  static int64_t CeilUs(int64_t ns) { return ns / 1'000 + (ns % 1'000 == 0 ? 0 : 1); }
  // One hit, one sub-bucket, one window.
  int64_t UnitNs() const {
    if (algorithm_ == Algorithm::kTokenBucket) return limit_.emission_ns;
    return algorithm_ == Algorithm::kSlidingWindow ? limit_.bucket_ns : limit_.window_ns;
  }
  int64_t LongNs() const {
    return algorithm_ == Algorithm::kTokenBucket ? limit_.burst_ns : limit_.window_ns;
  }

  const Algorithm algorithm_;
  std::mt19937_64 random_;
  const bool steps_back_;
  Limit limit_;
  Decision last_;
  int64_t now_us_ = 0;
};

void ExpectEqual(const Decision& core, const Decision& script) {
  const auto fields = [](const Decision& d) {
    return std::tuple(d.allowed, d.remaining, d.reset_after_ns, d.retry_after_ns,
                      d.next_hit_after_ns, d.clock_fault);
  };
  EXPECT_EQ(fields(core), fields(script))
      << "core:   " << Describe(core) << "\nscript: " << Describe(script);
}

// A record is deleted, or expires, only when it says nothing any more.
void ForgetWithTheRecord(Core& core, Stores& stores, int64_t now_us) {
  if (stores.embedded().Find(stores.key()) != nullptr) return;
  EXPECT_TRUE(core.Idle(now_us)) << "the record is gone, but still says something";
  core.Forget();
}

// One sequence of questions to one key.
void RunSequence(Generator& generator, Stores& stores, const LeaseAsk& lease, int length) {
  const Limit limit = generator.NewLimit();
  Core core(limit);
  stores.NewKey();
  std::string log = std::string(AlgorithmName(limit.algorithm)) + " L " +
                    std::to_string(limit.hits) + " capacity " + std::to_string(limit.capacity) +
                    " window " + std::to_string(limit.window_ns) + " precision " +
                    std::to_string(limit.precision) + "\n";
  for (int i = 0; i < length; ++i) {
    const ScriptCall call = {.limit = limit,
                             .op = generator.NextOp(),
                             .hits = generator.NextHits(),
                             .drain = generator.Chance(2),
                             .lease = lease};
    const int64_t now_us = generator.NextTime();
    log += std::to_string(i) + ": op " + std::to_string(static_cast<int>(call.op)) + " hits " +
           std::to_string(call.hits) + (call.drain ? " drain" : "") + " at " +
           std::to_string(now_us) + "\n";
    if (DecidedWithoutCall(call).has_value()) continue;
    stores.embedded().set_now_us(now_us);
    ForgetWithTheRecord(core, stores, now_us);
    ASSERT_FALSE(testing::Test::HasFailure()) << log;
    const Core::Answer expected = core.Ask(call.op, now_us, call.hits, call.drain);
    generator.Told(expected.decision);
    std::string wire;
    AppendCall(call, stores.key(), wire);
    const StoreReply reply = stores.Run(wire, now_us);
    if (call.op == Op::kReset) {
      ExpectEqual(expected.decision, ReplyToReset(call).decision);
      continue;
    }
    const absl::StatusOr<ScriptReply> read = ReadReply(call, Integers(reply));
    ASSERT_TRUE(read.ok()) << log << read.status().ToString() << " " << Describe(reply);
    ExpectEqual(expected.decision, read->decision);
    EXPECT_EQ(expected.remaining_before, read->remaining_before);
    EXPECT_EQ(read->now_us, now_us);
    const bool taken = call.op == Op::kTake && read->decision.allowed;
    EXPECT_EQ(read->granted, taken ? call.hits : 0);
    EXPECT_EQ(read->ttl_ns, 0);
    ForgetWithTheRecord(core, stores, now_us);
    ASSERT_FALSE(testing::Test::HasFailure()) << log;
  }
  for (const Stores::Difference& difference : stores.Differences()) {
    ADD_FAILURE() << log << "Redis differs from embedded Lua at " << difference.index
                  << "\nembedded: " << difference.embedded << "\nRedis:    " << difference.real;
  }
}

class Exact : public testing::TestWithParam<Algorithm> {
 protected:
  static void Run(const LeaseAsk& lease, bool steps_back) {
    Stores stores(SharedRedis());
    ASSERT_TRUE(stores.real());
    const uint64_t seed = TestSeed();
    const Budget budget(TestSeconds());
    int sequences = 0;
    for (; budget.Left() && !HasFailure(); ++sequences) {
      Generator generator(GetParam(), seed + static_cast<uint64_t>(sequences), steps_back);
      RunSequence(generator, stores, lease, 64);
    }
    EXPECT_GT(sequences, 10);
    std::printf("%d sequences\n", sequences);
  }
};

TEST_P(Exact, ScriptsAnswerAsTheCore) {
  NEED_REDIS();
  Run(kExact, true);
}

// A sliding window with room for the leases of other nodes, none of which has one. A step back is
// a clock fault to the core where it is still the place of a lease to the script, so there is none.
class ExactWithRoomForLeases : public Exact {};

TEST_P(ExactWithRoomForLeases, ScriptsAnswerAsTheCore) {
  NEED_REDIS();
  Run({}, false);
}

std::string NameOf(const testing::TestParamInfo<Algorithm>& info) {
  return AlgorithmName(info.param);
}

INSTANTIATE_TEST_SUITE_P(, Exact,
                         testing::Values(Algorithm::kTokenBucket, Algorithm::kFixedWindow,
                                         Algorithm::kSlidingWindow),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(, ExactWithRoomForLeases, testing::Values(Algorithm::kSlidingWindow),
                         NameOf);

}  // namespace
}  // namespace weir::test
