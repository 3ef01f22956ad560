// Every algorithm against its slow oracle: all short sequences of calls for small limits, and
// seeded random streams with window edges, clock steps both ways and extreme costs.

#include "tests/unit/algorithms/oracle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/unit/algorithms/lockstep.h"

namespace weir {
namespace {

using lockstep::Adversary;
using lockstep::Alphabet;
using lockstep::Exhaustive;
using lockstep::FixedWindowSubject;
using lockstep::Op;
using lockstep::Pair;
using lockstep::SlidingWindowSubject;
using lockstep::Text;
using lockstep::TokenBucketSubject;
using oracle::Kind;

template <typename Subject>
std::vector<LimitSpec> SmallSpecs() {
  // W = 10 with L = 3 rounds E up; W = 12 with L = 3 does not. The last is a ban.
  std::vector<LimitSpec> specs;
  if constexpr (std::is_same_v<Subject, TokenBucketSubject>) {
    specs = {{.hits = 3, .window_ns = 10, .burst = 2},
             {.hits = 3, .window_ns = 12},
             {.hits = 1, .window_ns = 4, .burst = 1},
             {.hits = 0, .window_ns = 10, .burst = 2}};
  } else if constexpr (std::is_same_v<Subject, FixedWindowSubject>) {
    specs = {{.hits = 2, .window_ns = 4}, {.hits = 3, .window_ns = 5}, {.hits = 0, .window_ns = 4}};
  } else {
    specs = {{.hits = 2, .window_ns = 4, .precision = 1},
             {.hits = 3, .window_ns = 8, .precision = 2},
             {.hits = 2, .window_ns = 10, .precision = 3},
             {.hits = 0, .window_ns = 4, .precision = 2}};
  }
  for (LimitSpec& spec : specs) spec.algorithm = Subject::kAlgorithm;
  return specs;
}

template <typename Subject>
std::vector<int64_t> Steps(const LimitSpec& spec) {
  const Subject subject(spec);
  const int64_t cell_ns = subject.CellNs();
  return {0, 1, cell_ns / 2, cell_ns, spec.window_ns, -1, -cell_ns, -2 * cell_ns};
}

template <typename Subject>
class Oracle : public testing::Test {};

struct SubjectName {
  template <typename Subject>
  static std::string GetName(int) {
    return AlgorithmName(Subject::kAlgorithm);
  }
};
using Subjects = testing::Types<TokenBucketSubject, FixedWindowSubject, SlidingWindowSubject>;
TYPED_TEST_SUITE(Oracle, Subjects, SubjectName);

// Runs all sequences from a start at an edge of every cell, in the middle of one, and 1 ns before
// an edge. All starts are late enough for two steps back of a window.
template <typename Subject>
std::size_t RunExhaustive(const LimitSpec& spec, const Alphabet& alphabet, bool promises,
                          int length) {
  std::size_t checked = 0;
  for (const int64_t start_ns : {120, 122, 119}) {
    checked += Exhaustive<Subject>(spec, alphabet, promises).Run(start_ns, length);
    if (testing::Test::HasFailure()) break;
  }
  return checked;
}

constexpr bool kWithPromises = true;
const std::vector<Kind> kAllKinds = {Kind::kTake, Kind::kDrain, Kind::kReport, Kind::kRefund};

TYPED_TEST(Oracle, AgreesOnEveryShortSequenceOfAllCalls) {
  for (const LimitSpec& spec : SmallSpecs<TypeParam>()) {
    const uint64_t capacity = std::max<uint64_t>(lockstep::Prepared(spec).capacity, 1);
    const Alphabet alphabet = {.kinds = kAllKinds,
                               .costs = {0, 1, capacity, capacity + 1},
                               .steps_ns = Steps<TypeParam>(spec)};
    EXPECT_GT(RunExhaustive<TypeParam>(spec, alphabet, !kWithPromises, 3), std::size_t{700'000});
  }
}

TYPED_TEST(Oracle, KeepsEveryPromiseOnEveryShortSequence) {
  for (const LimitSpec& spec : SmallSpecs<TypeParam>()) {
    const uint64_t capacity = std::max<uint64_t>(lockstep::Prepared(spec).capacity, 1);
    const Alphabet alphabet = {
        .kinds = kAllKinds, .costs = {1, capacity}, .steps_ns = Steps<TypeParam>(spec)};
    EXPECT_GT(RunExhaustive<TypeParam>(spec, alphabet, kWithPromises, 3), std::size_t{90'000});
  }
}

TYPED_TEST(Oracle, AgreesOnEveryLongerSequenceOfTakes) {
  for (const LimitSpec& spec : SmallSpecs<TypeParam>()) {
    const Alphabet alphabet = {
        .kinds = {Kind::kTake}, .costs = {1, 2}, .steps_ns = Steps<TypeParam>(spec)};
    EXPECT_GT(RunExhaustive<TypeParam>(spec, alphabet, !kWithPromises, 5), std::size_t{400'000});
  }
}

TYPED_TEST(Oracle, AgreesOnRandomStreamsWithClockStepsAndExtremeCosts) {
  constexpr uint64_t kStreams = 600;
  constexpr int kCalls = 150;
  for (uint64_t seed = 1; seed <= kStreams; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Adversary adversary(seed);
    const LimitSpec spec = adversary.Spec(TypeParam::kAlgorithm);
    Pair<TypeParam> pair(spec);
    const Limit limit = pair.subject.limit;
    std::vector<Op> ops;
    int64_t now = adversary.Start();
    for (int call = 0; call < kCalls; ++call) {
      now = adversary.Next(limit, pair.subject.CellNs(), now, /*backwards=*/true);
      const uint64_t remaining = pair.subject.Peek(now, 0).remaining;
      const Kind kind =
          adversary.Chance(60) ? Kind::kTake : static_cast<Kind>(1 + adversary.Below(3));
      ops.push_back({kind, now, adversary.Cost(limit, remaining)});
      const uint64_t asked = adversary.Cost(limit, remaining);
      std::string problem = pair.Apply(ops.back());
      if (problem.empty()) problem = pair.ComparePeek(now, asked);
      if (problem.empty()) problem = lockstep::BrokenPromise(pair.subject, now, asked);
      ASSERT_EQ(problem, "") << Text(spec) << Text(ops);
    }
  }
}

template <typename Subject>
bool BreaksGuarantee(const LimitSpec& spec, const oracle::Trace& trace) {
  if constexpr (std::is_same_v<Subject, TokenBucketSubject>) {
    return oracle::BreaksTokenBucket(spec, trace);
  } else if constexpr (std::is_same_v<Subject, FixedWindowSubject>) {
    return oracle::BreaksFixedWindow(spec, trace);
  } else {
    return oracle::BreaksSlidingWindow(spec, trace);
  }
}

// The exhaustive form of the guarantee: all sequences of Takes with a clock that never steps back.
template <typename Subject>
class GuaranteeSearch {
 public:
  explicit GuaranteeSearch(const LimitSpec& spec) : spec_(spec) {}

  std::size_t Run(int64_t start_ns, int length) {
    Descend(Subject(spec_), start_ns, length);
    return checked_;
  }

 private:
  void Descend(const Subject& before, int64_t now, int left) {
    const int64_t cell_ns = before.CellNs();
    for (const int64_t step_ns : {int64_t{0}, int64_t{1}, cell_ns / 2, cell_ns, spec_.window_ns}) {
      for (const uint64_t hits : {uint64_t{1}, uint64_t{2}}) {
        Subject subject = before;
        ++checked_;
        const bool allowed = subject.Apply(Kind::kTake, now + step_ns, hits).allowed;
        if (allowed) trace_.push_back({now + step_ns, hits});
        if (allowed && BreaksGuarantee<Subject>(spec_, trace_)) {
          ADD_FAILURE() << "too much admitted: " << Text(spec_) << ", last Take at "
                        << now + step_ns;
        }
        if (left > 1 && !testing::Test::HasFailure()) Descend(subject, now + step_ns, left - 1);
        if (allowed) trace_.pop_back();
      }
    }
  }

  LimitSpec spec_;
  std::size_t checked_ = 0;
  oracle::Trace trace_;
};

TYPED_TEST(Oracle, AdmitsNoMoreThanTheGuaranteeOnEveryShortSequence) {
  for (const LimitSpec& spec : SmallSpecs<TypeParam>()) {
    for (const int64_t start_ns : {0, 3}) {
      GuaranteeSearch<TypeParam> search(spec);
      EXPECT_GT(search.Run(start_ns, /*length=*/5), std::size_t{100'000});
      if (this->HasFailure()) return;
    }
  }
}

TYPED_TEST(Oracle, AdmitsNoMoreThanTheGuaranteeOnEveryIntervalOfRandomStreams) {
  std::size_t admitted = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Adversary adversary(seed);
    const LimitSpec spec = adversary.Spec(TypeParam::kAlgorithm);
    TypeParam subject(spec);
    oracle::Trace trace;
    int64_t now = adversary.Start();
    for (int call = 0; call < 300; ++call) {
      now = adversary.Next(subject.limit, subject.CellNs(), now, /*backwards=*/false);
      const uint64_t hits = adversary.Cost(subject.limit, subject.Peek(now, 0).remaining);
      if (!subject.Apply(Kind::kTake, now, hits).allowed) {
        if (adversary.Chance(20)) subject.Apply(Kind::kDrain, now, hits);
      } else if (hits > 0) {
        trace.push_back({now, hits});
      }
    }
    ASSERT_FALSE(BreaksGuarantee<TypeParam>(spec, trace)) << Text(spec);
    ASSERT_TRUE(spec.hits > 0 || trace.empty()) << Text(spec);
    admitted += trace.size();
  }
  EXPECT_GT(admitted, std::size_t{10'000});
}

// With refunds the bound holds for what was admitted less what was given back in the interval.
TYPED_TEST(Oracle, RefundsFreeNoMoreThanWhatTheyGiveBack) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Adversary adversary(seed);
    const LimitSpec spec = adversary.Spec(TypeParam::kAlgorithm);
    TypeParam subject(spec);
    oracle::Trace trace;
    int64_t now = adversary.Start();
    for (int call = 0; call < 300; ++call) {
      now = adversary.Next(subject.limit, subject.CellNs(), now, /*backwards=*/false);
      const uint64_t remaining = subject.Peek(now, 0).remaining;
      if (adversary.Chance(25)) {
        const uint64_t hits = adversary.Cost(subject.limit, remaining);
        const Decision refund = subject.Apply(Kind::kRefund, now, hits);
        ASSERT_LE(refund.remaining, subject.limit.capacity) << Text(spec);
        ASSERT_LE(refund.remaining - remaining, hits) << Text(spec);
        trace.push_back({now, -oracle::Wide{refund.remaining - remaining}});
      } else {
        const uint64_t hits = adversary.Cost(subject.limit, remaining);
        if (subject.Apply(Kind::kTake, now, hits).allowed) trace.push_back({now, hits});
      }
    }
    ASSERT_FALSE(BreaksGuarantee<TypeParam>(spec, trace)) << Text(spec);
  }
}

// The zero-error form: tokens as fractions.
TEST(RationalBucket, EqualsTheIntegerFormWhereTheLimitDividesTheWindow) {
  int exact_streams = 0;
  for (uint64_t seed = 1; seed <= 800; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Adversary adversary(seed);
    const LimitSpec spec = adversary.Spec(Algorithm::kTokenBucket);
    if (spec.hits == 0 || spec.window_ns % spec.hits != 0) continue;
    ++exact_streams;
    TokenBucketSubject subject(spec);
    oracle::RationalBucket rational(spec);
    int64_t now = adversary.Start();
    for (int call = 0; call < 200; ++call) {
      now = adversary.Next(subject.limit, subject.CellNs(), now, /*backwards=*/false);
      const uint64_t remaining = rational.Remaining(now);
      ASSERT_EQ(subject.Peek(now, 0).remaining, remaining) << Text(spec);
      const uint64_t hits = std::max<uint64_t>(1, adversary.Cost(subject.limit, remaining));
      ASSERT_EQ(subject.Apply(Kind::kTake, now, hits).allowed, rational.Take(now, hits))
          << Text(spec) << " cost " << hits;
    }
  }
  EXPECT_GT(exact_streams, 100);
}

TEST(RationalBucket, NeverDeniesWhatTheIntegerFormAdmits) {
  for (uint64_t seed = 1; seed <= 800; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Adversary adversary(seed);
    const LimitSpec spec = adversary.Spec(Algorithm::kTokenBucket);
    TokenBucketSubject subject(spec);
    oracle::RationalBucket rational(spec);
    int64_t now = adversary.Start();
    for (int call = 0; call < 200; ++call) {
      now = adversary.Next(subject.limit, subject.CellNs(), now, /*backwards=*/false);
      const uint64_t remaining = subject.Peek(now, 0).remaining;
      ASSERT_LE(remaining, spec.hits == 0 ? 0 : rational.Remaining(now)) << Text(spec);
      const uint64_t hits = std::max<uint64_t>(1, adversary.Cost(subject.limit, remaining));
      if (subject.Apply(Kind::kTake, now, hits).allowed) {
        ASSERT_TRUE(rational.Take(now, hits)) << Text(spec) << " cost " << hits;
      }
    }
  }
}

}  // namespace
}  // namespace weir
