#pragma once

// Runs an algorithm beside its oracle and checks, after every call, that both say the same and
// that every promise of the Decision type holds: exhaustively for small limits, and on seeded
// random streams for large ones.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "algorithms/decision.h"
#include "algorithms/fixed_window.h"
#include "algorithms/limit.h"
#include "algorithms/sliding_window.h"
#include "algorithms/token_bucket.h"
#include "tests/unit/algorithms/oracle.h"

namespace weir::lockstep {

using oracle::Kind;

inline constexpr int64_t kTimeMaxNs =
    (int64_t{1} << 62) - 1;  // the largest `now` the headers allow

inline Limit Prepared(const LimitSpec& spec) {
  Limit limit;
  const std::vector<std::string> problems = MakeLimit(spec, &limit);
  EXPECT_TRUE(problems.empty()) << problems.front();
  return limit;
}

// The three algorithms behind one interface, each with its oracle.
struct TokenBucketSubject {
  static constexpr Algorithm kAlgorithm = Algorithm::kTokenBucket;
  using Oracle = oracle::TokenBucket;
  Limit limit;
  token_bucket::State state;

  explicit TokenBucketSubject(const LimitSpec& spec) : limit(Prepared(spec)) {}
  Decision Apply(Kind kind, int64_t now, uint64_t hits) {
    switch (kind) {
      case Kind::kTake:
        return token_bucket::Take(limit, state, now, hits);
      case Kind::kDrain:
        return token_bucket::Drain(limit, state, now, hits);
      case Kind::kReport:
        return token_bucket::Report(limit, state, now, hits);
      case Kind::kRefund:
        return token_bucket::Refund(limit, state, now, hits);
    }
    return {};
  }
  Decision Peek(int64_t now, uint64_t hits) const {
    return token_bucket::Peek(limit, state, now, hits);
  }
  bool Idle(int64_t now) const { return token_bucket::Idle(state, now); }
  int64_t CellNs() const { return std::max<int64_t>(limit.emission_ns, 1); }
};

struct FixedWindowSubject {
  static constexpr Algorithm kAlgorithm = Algorithm::kFixedWindow;
  using Oracle = oracle::FixedWindow;
  Limit limit;
  fixed_window::State state;

  explicit FixedWindowSubject(const LimitSpec& spec) : limit(Prepared(spec)) {}
  Decision Apply(Kind kind, int64_t now, uint64_t hits) {
    switch (kind) {
      case Kind::kTake:
        return fixed_window::Take(limit, state, now, hits);
      case Kind::kDrain:
        return fixed_window::Drain(limit, state, now, hits);
      case Kind::kReport:
        return fixed_window::Report(limit, state, now, hits);
      case Kind::kRefund:
        return fixed_window::Refund(limit, state, now, hits);
    }
    return {};
  }
  Decision Peek(int64_t now, uint64_t hits) const {
    return fixed_window::Peek(limit, state, now, hits);
  }
  bool Idle(int64_t now) const { return fixed_window::Idle(limit, state, now); }
  int64_t CellNs() const { return limit.window_ns; }
};

struct SlidingWindowSubject {
  static constexpr Algorithm kAlgorithm = Algorithm::kSlidingWindow;
  using Oracle = oracle::SlidingWindow;
  Limit limit;
  std::array<uint64_t, sliding_window::kRingWordsMax> words{};

  explicit SlidingWindowSubject(const LimitSpec& spec) : limit(Prepared(spec)) {}
  sliding_window::Ring ring() {
    return sliding_window::Ring(words).first(sliding_window::RingWords(limit.precision));
  }
  sliding_window::ConstRing ring() const {
    return sliding_window::ConstRing(words).first(sliding_window::RingWords(limit.precision));
  }
  Decision Apply(Kind kind, int64_t now, uint64_t hits) {
    switch (kind) {
      case Kind::kTake:
        return sliding_window::Take(limit, ring(), now, hits);
      case Kind::kDrain:
        return sliding_window::Drain(limit, ring(), now, hits);
      case Kind::kReport:
        return sliding_window::Report(limit, ring(), now, hits);
      case Kind::kRefund:
        return sliding_window::Refund(limit, ring(), now, hits);
    }
    return {};
  }
  Decision Peek(int64_t now, uint64_t hits) const {
    return sliding_window::Peek(limit, ring(), now, hits);
  }
  bool Idle(int64_t now) const { return sliding_window::Idle(limit, ring(), now); }
  int64_t CellNs() const { return limit.bucket_ns; }
};

// ---------------------------------------------------------------------------------------------

struct Op {
  Kind kind;
  int64_t now;
  uint64_t hits;
};

inline std::string Text(const Decision& d) {
  std::ostringstream out;
  out << (d.allowed ? "allowed" : "denied") << " remaining " << d.remaining << " reset "
      << d.reset_after_ns << " retry " << d.retry_after_ns << " next_hit " << d.next_hit_after_ns
      << (d.clock_fault ? " clock_fault" : "");
  return out.str();
}

inline std::string Text(const LimitSpec& spec) {
  std::ostringstream out;
  out << AlgorithmName(spec.algorithm) << " L " << spec.hits << " W " << spec.window_ns << " burst "
      << spec.burst << " precision " << spec.precision;
  return out.str();
}

inline std::string Text(const std::vector<Op>& ops) {
  static constexpr const char* kNames[] = {"Take", "Drain", "Report", "Refund"};
  std::ostringstream out;
  for (std::size_t i = ops.size() > 12 ? ops.size() - 12 : 0; i < ops.size(); ++i) {
    out << "\n  #" << i << " " << kNames[static_cast<int>(ops[i].kind)] << "(now " << ops[i].now
        << ", hits " << ops[i].hits << ")";
  }
  return out.str();
}

inline bool Same(const Decision& a, const Decision& b) {
  return a.allowed == b.allowed && a.remaining == b.remaining &&
         a.reset_after_ns == b.reset_after_ns && a.retry_after_ns == b.retry_after_ns &&
         a.next_hit_after_ns == b.next_hit_after_ns && a.clock_fault == b.clock_fault;
}

inline std::string Unequal(const char* what, const Decision& got, const Decision& want) {
  return std::string(what) + "\n  got  " + Text(got) + "\n  want " + Text(want);
}

// What the Decision type promises, asked of copies of the state. Returns the broken promise.
template <typename Subject>
std::string BrokenPromise(const Subject& subject, int64_t now, uint64_t hits) {
  const Decision peek = subject.Peek(now, hits);
  if (peek.remaining > subject.limit.capacity) return "remaining is above the capacity";

  Subject taken = subject;
  const Decision take = taken.Apply(Kind::kTake, now, hits);
  if (take.allowed != peek.allowed) return Unequal("Take and Peek disagree", take, peek);
  if ((!take.allowed || hits == 0) && !Same(take, peek)) {
    return Unequal("Take charged nothing and Peek disagrees", take, peek);
  }
  if (take.allowed && take.remaining != peek.remaining - hits) {
    return Unequal("Take did not charge its cost", take, peek);
  }
  if (take.allowed != (take.retry_after_ns == 0)) return "retry_after is 0 only when allowed";

  Subject most = subject;
  if (peek.remaining > 0 && !most.Apply(Kind::kTake, now, peek.remaining).allowed) {
    return "remaining does not pass";
  }
  Subject more = subject;
  if (more.Apply(Kind::kTake, now, peek.remaining + 1).allowed) return "remaining + 1 passes";

  // From here on with the clamp in place, which Peek does not write and a denied Take may.
  Subject held = subject;
  held.Apply(Kind::kRefund, now, 0);
  const Decision still = held.Peek(now, hits);
  const auto exact = [&](int64_t after_ns, uint64_t cost) {
    if (after_ns == kNeverNs || after_ns > kTimeMaxNs - now) return true;
    return !held.Peek(now + after_ns - 1, cost).allowed && held.Peek(now + after_ns, cost).allowed;
  };
  if (!still.allowed && !exact(still.retry_after_ns, hits)) return "retry_after is not exact";
  if ((still.next_hit_after_ns == 0) != (still.remaining > 0)) return "next_hit_after is not 0";
  if (still.remaining == 0 && !exact(still.next_hit_after_ns, 1)) {
    return "next_hit_after is not exact";
  }
  if (still.retry_after_ns == kNeverNs && hits <= subject.limit.capacity &&
      subject.limit.hits > 0) {
    return "a cost the limit could admit is answered with never";
  }
  if ((still.reset_after_ns == 0) != held.Idle(now)) return "reset_after and Idle disagree";
  if (still.reset_after_ns > 0 && still.reset_after_ns <= kTimeMaxNs - now &&
      (held.Idle(now + still.reset_after_ns - 1) || !held.Idle(now + still.reset_after_ns))) {
    return "reset_after is not exact";
  }
  return "";
}

// An algorithm and its oracle with the same history.
template <typename Subject>
struct Pair {
  Subject subject;
  typename Subject::Oracle oracle;
  explicit Pair(const LimitSpec& spec) : subject(spec), oracle(spec) {}

  // Applies `op` to both. Returns what differs, empty if nothing does.
  std::string Apply(const Op& op, Decision* decision = nullptr) {
    const Decision got = subject.Apply(op.kind, op.now, op.hits);
    const Decision want = oracle.Apply(op.kind, op.now, op.hits);
    if (decision != nullptr) *decision = got;
    if (!Same(got, want)) return Unequal("the decision differs from the oracle", got, want);
    if (subject.Idle(op.now) != oracle.Idle(op.now)) return "Idle differs from the oracle";
    return "";
  }
  std::string ComparePeek(int64_t now, uint64_t hits) const {
    const Decision got = subject.Peek(now, hits);
    const Decision want = oracle.Peek(now, hits);
    return Same(got, want) ? "" : Unequal("Peek differs from the oracle", got, want);
  }
};

// ---------------------------------------------------------------------------------------------

// Every sequence of `length` calls over the given kinds, costs and time steps, the first call at
// `start_ns`. Returns how many sequences and prefixes were checked; stops at the first difference
// and reports it.
struct Alphabet {
  std::vector<Kind> kinds;
  std::vector<uint64_t> costs;
  std::vector<int64_t> steps_ns;
};

template <typename Subject>
class Exhaustive {
 public:
  Exhaustive(const LimitSpec& spec, Alphabet alphabet, bool promises)
      : spec_(spec), alphabet_(std::move(alphabet)), promises_(promises) {}

  std::size_t Run(int64_t start_ns, int length) {
    CallAt(start_ns, Pair<Subject>(spec_), length);
    return checked_;
  }

 private:
  void Descend(const Pair<Subject>& before, int64_t now, int left) {
    for (const int64_t step_ns : alphabet_.steps_ns) {
      if (now + step_ns >= 0) CallAt(now + step_ns, before, left);
    }
  }

  void CallAt(int64_t now, const Pair<Subject>& before, int left) {
    for (const Kind kind : alphabet_.kinds) {
      for (const uint64_t hits : alphabet_.costs) {
        if (stopped_) return;
        Pair<Subject> pair = before;
        ops_.push_back({kind, now, hits});
        Check(&pair);
        if (left > 1) Descend(pair, now, left - 1);
        ops_.pop_back();
      }
    }
  }

  void Check(Pair<Subject>* pair) {
    const Op op = ops_.back();
    std::string problem = pair->Apply(op);
    const uint64_t asked = alphabet_.costs[++checked_ % alphabet_.costs.size()];
    if (problem.empty()) problem = pair->ComparePeek(op.now, asked);
    if (problem.empty() && promises_) problem = BrokenPromise(pair->subject, op.now, asked);
    if (problem.empty()) return;
    stopped_ = true;
    ADD_FAILURE() << problem << "\n" << Text(spec_) << Text(ops_);
  }

  LimitSpec spec_;
  Alphabet alphabet_;
  bool promises_;
  bool stopped_ = false;
  std::size_t checked_ = 0;
  std::vector<Op> ops_;
};

// ---------------------------------------------------------------------------------------------

// A seeded source of limits, costs and times that prefers the edges.
class Adversary {
 public:
  explicit Adversary(uint64_t seed) : rng_(seed) {}

  uint64_t Below(uint64_t bound) { return rng_() % bound; }
  bool Chance(uint64_t percent) { return Below(100) < percent; }
  template <typename T, std::size_t N>
  T Pick(const std::array<T, N>& values) {
    return values[Below(N)];
  }

  LimitSpec Spec(Algorithm algorithm) {
    static constexpr std::array<uint32_t, 9> kHits = {0,  1,    2,         3,         7,
                                                      10, 1000, 3'000'000, UINT32_MAX};
    static constexpr std::array<int64_t, 11> kWindows = {1,
                                                         7,
                                                         10,
                                                         1000,
                                                         1'000'000'007,
                                                         1'000'000'000,
                                                         60'000'000'000,
                                                         3'600'000'000'000,
                                                         86'400'000'000'000,
                                                         31'536'000'000'000'000,
                                                         kWindowMaxNs};
    static constexpr std::array<uint32_t, 6> kPrecisions = {1, 2, 3, 10, 60, 100};
    for (;;) {
      LimitSpec spec;
      spec.algorithm = algorithm;
      spec.hits = Pick(kHits);
      spec.window_ns = Pick(kWindows);
      if (Chance(60)) {
        spec.burst = Pick(std::array<uint32_t, 5>{1, 2, 10, spec.hits / 2, spec.hits + 1});
      }
      spec.precision = Pick(kPrecisions);
      Limit limit;
      if (MakeLimit(spec, &limit).empty()) return spec;
    }
  }

  int64_t Start() {
    return Chance(30) ? static_cast<int64_t>(Below(uint64_t{1} << 40))
                      : 1'800'000'000'000'000'000 + static_cast<int64_t>(Below(1'000'000'000));
  }

  // A time after (or, if `backwards`, perhaps before) `now`, near the edges of the limit.
  int64_t Next(const Limit& limit, int64_t cell_ns, int64_t now, bool backwards) {
    const auto w = static_cast<oracle::Wide>(limit.window_ns);
    const auto cell = static_cast<oracle::Wide>(cell_ns);
    oracle::Wide next = now;
    switch (Below(backwards ? 20 : 13)) {
      case 0:
      case 1:
      case 2:
        break;
      case 3:
        next += 1;
        break;
      case 4:
        next += cell / 2;
        break;
      case 5:
        next += cell + static_cast<int>(Below(3)) - 1;
        break;
      case 6:
        next += cell * static_cast<int>(1 + Below(3)) / 2;
        break;
      case 7:
        next = (next / cell + 1) * cell - 1 + static_cast<int>(Below(3));
        break;
      case 8:
        next = (next / w + 1) * w - 1 + static_cast<int>(Below(3));
        break;
      case 9:
        next += static_cast<oracle::Wide>(Below(static_cast<uint64_t>(limit.window_ns) + 1));
        break;
      case 10:
        next += w + static_cast<int>(Below(3)) - 1;
        break;
      case 11:
        next += Chance(20) ? static_cast<oracle::Wide>(Below(uint64_t{1} << 58)) : cell / 3;
        break;
      case 12:
        next += Chance(50) ? 2 * w : cell * limit.capacity;
        break;
      case 13:
        next -= 1;
        break;
      case 14:
        next -= cell / 2;
        break;
      case 15:
        next -= cell;
        break;
      case 16:
        next -= 2 * cell + 1;
        break;
      case 17:
        next = next / cell * cell - 1;
        break;
      case 18:
        next -= w + static_cast<int>(Below(3)) - 1;
        break;
      default:
        next -= Chance(30) ? static_cast<oracle::Wide>(Below(uint64_t{1} << 58)) : 3 * w;
        break;
    }
    if (next > kTimeMaxNs || next < 0) return now;
    return oracle::Ns(next);
  }

  uint64_t Cost(const Limit& limit, uint64_t remaining) {
    switch (Below(12)) {
      case 0:
        return 0;
      case 1:
        return limit.capacity;
      case 2:
        return uint64_t{limit.capacity} + 1;
      case 3:
        return uint64_t{1} << 32;
      case 4:
        return Pick(std::array<uint64_t, 4>{uint64_t{1} << 52, (uint64_t{1} << 63) - 1,
                                            uint64_t{1} << 63, UINT64_MAX});
      case 5:
        return remaining;
      case 6:
        return remaining + 1;
      case 7:
        return 1 + remaining / 2;
      case 8:
        return 1 + Below(uint64_t{limit.capacity} + 1);
      default:
        return 1;
    }
  }

 private:
  std::mt19937_64 rng_;
};

}  // namespace weir::lockstep
