// The memory store against a model of one page: the algorithms' states in a map that forgets
// nothing, and requests decided by trying them out on a copy.

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "algorithms/fixed_window.h"
#include "algorithms/sliding_window.h"
#include "algorithms/token_bucket.h"
#include "limiter/store/memory_store.h"
#include "tests/unit/store/asking.h"

namespace weir {
namespace {

using test::Asking;
using test::FakeClock;
using test::kSecondNs;

struct State {
  fixed_window::State fixed_window;
  token_bucket::State token_bucket;
  std::array<uint64_t, sliding_window::kRingWordsMax> ring{};
};

enum class Step { kTake, kPeek, kReport, kRefund, kDrain };

template <typename Take, typename Peek, typename Report, typename Refund, typename Drain>
Decision Choose(Step step, Take take, Peek peek, Report report, Refund refund, Drain drain) {
  switch (step) {
    case Step::kTake:
      return take();
    case Step::kReport:
      return report();
    case Step::kRefund:
      return refund();
    case Step::kDrain:
      return drain();
    case Step::kPeek:
      break;
  }
  return peek();
}

Decision Do(Step step, const Limit& limit, State& state, const Instant& now, uint64_t hits) {
  if (limit.algorithm == Algorithm::kFixedWindow) {
    using namespace fixed_window;  // NOLINT: five functions of one name in three namespaces
    auto& s = state.fixed_window;
    const int64_t at = now.wall_ns;
    return Choose(
        step, [&] { return Take(limit, s, at, hits); }, [&] { return Peek(limit, s, at, hits); },
        [&] { return Report(limit, s, at, hits); }, [&] { return Refund(limit, s, at, hits); },
        [&] { return Drain(limit, s, at, hits); });
  }
  const int64_t at = now.mono_ns;
  if (limit.algorithm == Algorithm::kTokenBucket) {
    using namespace token_bucket;  // NOLINT
    auto& s = state.token_bucket;
    return Choose(
        step, [&] { return Take(limit, s, at, hits); }, [&] { return Peek(limit, s, at, hits); },
        [&] { return Report(limit, s, at, hits); }, [&] { return Refund(limit, s, at, hits); },
        [&] { return Drain(limit, s, at, hits); });
  }
  using namespace sliding_window;  // NOLINT
  const Ring s(state.ring.data(), RingWords(limit.precision));
  return Choose(
      step, [&] { return Take(limit, s, at, hits); }, [&] { return Peek(limit, s, at, hits); },
      [&] { return Report(limit, s, at, hits); }, [&] { return Refund(limit, s, at, hits); },
      [&] { return Drain(limit, s, at, hits); });
}

struct Question {
  uint64_t key = 0;
  Op op = Op::kTake;
  Weight weight = Weight::kEnforced;
  uint64_t hits = 1;
};

class Model {
 public:
  explicit Model(const std::vector<Limit>& limits) : limits_(limits) {}

  // Whether each question is answered with allowed.
  std::vector<bool> Acquire(const std::vector<Question>& questions, ChargeDenied mode,
                            const Instant& now) {
    if (mode == ChargeDenied::kFirst || questions.size() == 1) {
      return Try(questions, mode != ChargeDenied::kNever, now);
    }
    const bool drain = mode == ChargeDenied::kOverOnly;
    const std::map<uint64_t, State> before = states_;
    const std::vector<bool> allowed = Try(questions, drain, now);
    Verdict verdict;
    for (std::size_t i = 0; i < questions.size(); ++i) verdict.Add(questions[i].weight, allowed[i]);
    if (verdict.allowed()) return allowed;
    states_ = before;
    for (std::size_t i = 0; i < questions.size(); ++i) {
      const Question& q = questions[i];
      if (q.op == Op::kRefund) Apply(Step::kRefund, q, now);
      if (q.op == Op::kTake && !allowed[i] && drain && q.hits > 0) Apply(Step::kDrain, q, now);
    }
    return allowed;
  }

  Decision Peek(uint64_t key, const Instant& now) {
    return Apply(Step::kPeek, {key, Op::kPeek, Weight::kEnforced, 1}, now);
  }

 private:
  Decision Apply(Step step, const Question& q, const Instant& now) {
    return Do(step, limits_[q.key], states_[q.key], now, q.hits);
  }

  // The questions one after the other, each charged on its own.
  std::vector<bool> Try(const std::vector<Question>& questions, bool drain, const Instant& now) {
    std::vector<bool> allowed;
    for (const Question& q : questions) {
      Step step = Step::kTake;
      if (q.op == Op::kPeek) step = Step::kPeek;
      if (q.op == Op::kReport) step = Step::kReport;
      if (q.op == Op::kRefund) step = Step::kRefund;
      if (q.op == Op::kReset) states_[q.key] = State();
      if (q.op == Op::kReset) step = Step::kPeek;
      allowed.push_back(Apply(step, q, now).allowed);
      if (q.op == Op::kTake && !allowed.back() && drain && q.hits > 0) {
        Apply(Step::kDrain, q, now);
      }
    }
    return allowed;
  }

  const std::vector<Limit>& limits_;
  std::map<uint64_t, State> states_;
};

// Keys of all algorithms with small limits, so that every boundary is met often.
std::vector<Limit> LimitsOfKeys() {
  std::vector<Limit> limits;
  for (const uint32_t hits : {0U, 1U, 2U, 5U}) {
    for (int algorithm = 0; algorithm < 3; ++algorithm) {
      for (const int64_t window_ns : {kSecondNs, 7 * kSecondNs}) {
        limits.push_back(test::LimitOf({.algorithm = static_cast<Algorithm>(algorithm),
                                        .hits = hits,
                                        .window_ns = window_ns,
                                        .precision = 4}));
      }
    }
  }
  return limits;
}

class Generator {
 public:
  Generator(uint32_t seed, std::size_t keys) : random_(seed), keys_(keys) {}

  uint32_t Below(uint32_t bound) { return static_cast<uint32_t>(random_()) % bound; }

  uint64_t Hits() {
    static constexpr uint64_t kHits[] = {0, 1, 1, 1, 2, 3, 5, 6, uint64_t{1} << 32, ~uint64_t{0}};
    return kHits[Below(10)];
  }

  // A request of takes, in which other operations are rare and stand on keys of their own: what
  // they do to keys that the same request takes from is not specified.
  std::vector<Question> Request() {
    std::vector<Question> questions(1 + Below(4));
    const uint64_t base = Below(static_cast<uint32_t>(keys_));
    for (Question& q : questions) {
      q.key = (base + Below(3)) % keys_;                                  // often a key twice
      q.weight = static_cast<Weight>(q.key % 5 < 3 ? 0 : q.key % 5 - 2);  // by key, as by rule
      q.hits = Hits();
    }
    if (Below(8) == 0) {
      Question other;
      other.key = (base + 3) % keys_;
      other.op = Below(2) == 0 ? Op::kRefund : Op::kPeek;
      other.weight = questions[0].weight;
      other.hits = Hits();
      questions.push_back(other);
    }
    return questions;
  }

  Question Single() {
    static constexpr Op kOps[] = {Op::kTake, Op::kPeek, Op::kReport, Op::kRefund, Op::kReset};
    return {Below(static_cast<uint32_t>(keys_)), kOps[Below(5)], Weight::kEnforced, Hits()};
  }

 private:
  std::mt19937_64 random_;
  const std::size_t keys_;
};

void MoveTime(Generator& generator, FakeClock& clock) {
  switch (generator.Below(12)) {
    case 0:
      clock.Advance(kSecondNs / 4);
      break;
    case 1:
      clock.Advance(1);
      break;
    case 2:
      clock.Advance(generator.Below(9) * kSecondNs);
      break;
    case 3:
      if (generator.Below(10) == 0) clock.StepWall((int64_t{generator.Below(21)} - 10) * kSecondNs);
      break;
    default:
      break;  // most requests meet the state of the same instant
  }
}

void CompareFor(ChargeDenied mode, uint32_t seed) {
  SCOPED_TRACE("mode " + std::to_string(static_cast<int>(mode)) + ", seed " + std::to_string(seed));
  const std::vector<Limit> limits = LimitsOfKeys();
  FakeClock clock;
  MemoryStore store({.keys_max = 4096, .ring_bytes_max = std::size_t{4} << 20});
  Asking ask(store, clock);
  ask.charge_denied = mode;
  Model model(limits);
  Generator generator(seed, limits.size());
  for (int round = 0; round < 4'000; ++round) {
    MoveTime(generator, clock);
    const std::vector<Question> questions =
        generator.Below(4) == 0 ? std::vector<Question>{generator.Single()} : generator.Request();
    std::vector<Ask> asks;
    for (const Question& q : questions) {
      asks.push_back(Asking::Of(limits[q.key], q.key, q.hits, q.weight, q.op));
    }
    ask.Acquire(asks);
    const std::vector<bool> expected = model.Acquire(questions, mode, clock.Now());
    for (std::size_t i = 0; i < asks.size(); ++i) {
      ASSERT_EQ(asks[i].grant.decision.allowed, expected[i]) << "round " << round << ", ask " << i;
      ASSERT_EQ(asks[i].grant.source, Source::kMemory);
      ASSERT_LE(asks[i].grant.decision.remaining, limits[questions[i].key].capacity);
      ASSERT_LE(asks[i].grant.remaining_before, limits[questions[i].key].capacity);
    }
    for (const Question& q : questions) {
      const Decision held = ask.One(limits[q.key], q.key, Op::kPeek).decision;
      const Decision wanted = model.Peek(q.key, clock.Now());
      ASSERT_EQ(held.remaining, wanted.remaining) << "round " << round << ", key " << q.key;
      ASSERT_EQ(held.reset_after_ns, wanted.reset_after_ns) << "round " << round;
      ASSERT_EQ(held.next_hit_after_ns, wanted.next_hit_after_ns) << "round " << round;
    }
  }
}

TEST(MemoryStoreModel, AgreesUnderFirst) {
  for (uint32_t seed = 1; seed <= 15; ++seed) CompareFor(ChargeDenied::kFirst, seed);
}

TEST(MemoryStoreModel, AgreesUnderOverOnly) {
  for (uint32_t seed = 1; seed <= 15; ++seed) CompareFor(ChargeDenied::kOverOnly, seed);
}

TEST(MemoryStoreModel, AgreesUnderNever) {
  for (uint32_t seed = 1; seed <= 15; ++seed) CompareFor(ChargeDenied::kNever, seed);
}

// Every key passes through a table with room for few: evictions must not be seen in any answer.
TEST(MemoryStoreModel, AgreesWhileIdleKeysAreEvicted) {
  constexpr uint64_t kKeys = 2'000;
  const std::vector<Limit> limits = {test::Fixed(2, kSecondNs), test::Sliding(2, kSecondNs),
                                     test::Bucket(2, kSecondNs)};
  std::vector<Limit> of_keys;
  for (uint64_t key = 0; key < kKeys; ++key) of_keys.push_back(limits[key % 3]);
  FakeClock clock;
  MemoryStore store({.keys_max = 1024, .ring_bytes_max = std::size_t{4} << 20});
  Asking ask(store, clock);
  Model model(of_keys);
  std::mt19937_64 random(3);
  uint64_t base = 0;
  for (int round = 0; round < 40'000; ++round) {
    if (round % 5 == 0) clock.Advance(kSecondNs / 50);
    if (round % 100 == 0) base += 37;
    const uint64_t key = (base + random() % 60) % kKeys;
    const Question question = {key, Op::kTake, Weight::kEnforced, random() % 3};
    const bool expected = model.Acquire({question}, ChargeDenied::kFirst, clock.Now())[0];
    ASSERT_EQ(ask.Take(of_keys[key], key, question.hits), expected) << "round " << round;
  }
  EXPECT_GT(store.cells().evictions_idle(), 100U);
  EXPECT_EQ(store.cells().refused(), 0U);
}

}  // namespace
}  // namespace weir
