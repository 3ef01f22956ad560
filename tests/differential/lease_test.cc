// Leases (want > 0), for which the C++ algorithms have no counterpart: whoever holds them uses them
// when it hurts most. Checked against a log of all hits, interval by interval, not against a model
// of the scripts.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/differential/core.h"
#include "tests/differential/stores.h"

namespace weir::test {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kStartUs = 1'790'000'000'000'003;

// Hits that may be used at any time from first to last, both included.
struct Use {
  int64_t first_ns;
  int64_t last_ns;
  uint64_t hits;
};

// The most hits that can be used within [from, to].
uint64_t MostWithin(const std::vector<Use>& log, int64_t from_ns, int64_t to_ns) {
  uint64_t hits = 0;
  for (const Use& use : log) {
    if (use.first_ns <= to_ns && use.last_ns >= from_ns) hits += use.hits;
  }
  return hits;
}

// The intervals that can be worst: they begin where a use ends and end where one begins.
template <typename Check>
void ForEachInterval(const std::vector<Use>& log, const Check& check) {
  for (const Use& begins : log) {
    for (const Use& ends : log) {
      check(begins.last_ns, std::max(begins.last_ns, ends.first_ns));
    }
  }
}

void ExpectWithinEnvelope(const Limit& limit, const std::vector<Use>& log) {
  switch (limit.algorithm) {
    case Algorithm::kTokenBucket:
      ForEachInterval(log, [&](int64_t from_ns, int64_t to_ns) {
        const uint64_t most = MostWithin(log, from_ns, to_ns);
        EXPECT_LE(static_cast<int64_t>(most) * limit.emission_ns, limit.burst_ns + to_ns - from_ns)
            << most << " hits from " << from_ns << " to " << to_ns;
      });
      return;
    case Algorithm::kSlidingWindow:
      ForEachInterval(log, [&](int64_t from_ns, int64_t to_ns) {
        if (to_ns - from_ns >= limit.window_ns) return;
        const uint64_t most = MostWithin(log, from_ns, to_ns);
        EXPECT_LE(most, limit.hits) << "from " << from_ns << " to " << to_ns;
      });
      return;
    case Algorithm::kFixedWindow:
      break;
  }
  std::map<int64_t, uint64_t> windows;
  for (const Use& use : log) {
    const int64_t window = use.first_ns / limit.window_ns;
    EXPECT_LE(use.last_ns, (window + 1) * limit.window_ns) << "a lease outlives its window";
    windows[window] += use.hits;
  }
  for (const auto& [window, hits] : windows) EXPECT_LE(hits, limit.hits) << "window " << window;
}

class Lease : public testing::TestWithParam<Algorithm> {
 protected:
  void Seed(uint64_t seed) { random_.seed(seed); }

  uint64_t Below(uint64_t end) {
    return std::uniform_int_distribution<uint64_t>(0, std::max<uint64_t>(end, 1) - 1)(random_);
  }
  int64_t Draw(int64_t end) { return static_cast<int64_t>(Below(static_cast<uint64_t>(end))); }
  template <typename T>
  T Pick(std::initializer_list<T> from) {
    return *(from.begin() + Below(from.size()));
  }

  void NewKey() {
    LimitSpec spec;
    spec.algorithm = GetParam();
    spec.hits = Pick<uint32_t>({1, 2, 3, 5, 7, 10, 64, 100, 1'000});
    spec.burst = Below(2) == 0 ? 0 : Pick<uint32_t>({1, 2, 5, 10, 50});
    spec.window_ns = Pick<int64_t>({kSecondNs, 3 * kSecondNs, 60 * kSecondNs, 3'600 * kSecondNs});
    spec.precision = Pick<uint32_t>({1, 2, 3, 10, 60});
    limit_ = Limit();
    ASSERT_TRUE(MakeLimit(spec, &limit_).empty());
    limit_ = InMicroseconds(limit_);
    switch (GetParam()) {
      case Algorithm::kTokenBucket:
        life_max_ns_ = limit_.burst_ns / Pick<int64_t>({2, 5, 10, 10, 20});
        break;
      case Algorithm::kSlidingWindow:
        life_max_ns_ = limit_.window_ns / Pick<int64_t>({2, 5, 20, 20, 40});
        break;
      case Algorithm::kFixedWindow:
        life_max_ns_ = 10 * kSecondNs;
        break;
    }
    life_max_ns_ = std::max<int64_t>(1'000, life_max_ns_ / 1'000 * 1'000);
    now_us_ = kStartUs + Draw(10'000'000);
    stores_.NewKey();
    log_.clear();
    text_ = std::string(AlgorithmName(limit_.algorithm)) + " L " + std::to_string(limit_.hits) +
            " capacity " + std::to_string(limit_.capacity) + " window " +
            std::to_string(limit_.window_ns) + " precision " + std::to_string(limit_.precision) +
            " life " + std::to_string(life_max_ns_) + "\n";
  }

  LeaseAsk NoLease() const {
    LeaseAsk ask;
    ask.life_max_ns = life_max_ns_;
    return ask;
  }

  LeaseAsk NewAsk() {
    LeaseAsk ask;
    ask.want = Pick<uint64_t>({0, 1, 2, 4, limit_.capacity, 65'535, Below(limit_.capacity) + 1});
    ask.share = Pick<uint32_t>({1, 1, 2, 8});
    ask.life_ns =
        GetParam() == Algorithm::kTokenBucket && Below(3) == 0 ? life_max_ns_ / 2 : life_max_ns_;
    ask.life_max_ns = life_max_ns_;
    return ask;
  }

  ScriptReply Ask(Op op, uint64_t hits, bool drain, const LeaseAsk& ask) {
    const ScriptCall call = {.limit = limit_, .op = op, .hits = hits, .drain = drain, .lease = ask};
    if (DecidedWithoutCall(call).has_value()) return {};
    std::string wire;
    AppendCall(call, stores_.key(), wire);
    const StoreReply reply = stores_.Run(wire, now_us_);
    const absl::StatusOr<ScriptReply> read = ReadReply(call, Integers(reply));
    text_ += std::to_string(now_us_) + ": op " + std::to_string(static_cast<int>(op)) + " hits " +
             std::to_string(hits) + " want " + std::to_string(ask.want) + "/" +
             std::to_string(ask.share) + " life " + std::to_string(ask.life_ns) + " back " +
             std::to_string(ask.back_hits) + " -> " + Describe(reply) + "\n";
    EXPECT_TRUE(read.ok()) << read.status().ToString() << "\n" << text_;
    return read.ok() ? *read : ScriptReply{};
  }

  // What every grant promises; then its hits go into the log.
  void Note(uint64_t hits, const LeaseAsk& ask, const ScriptReply& reply) {
    const uint64_t granted = reply.granted;
    EXPECT_EQ(granted > hits, reply.ttl_ns > 0)
        << "a lease has hits beyond the request's, and life";
    if (granted > 0) {
      EXPECT_TRUE(reply.decision.allowed);
      EXPECT_GE(granted, hits);
      EXPECT_LE(granted, reply.remaining_before);
    }
    if (granted > hits) {
      EXPECT_LE(granted, ask.want);
      EXPECT_LE(reply.ttl_ns, ask.life_ns);
      const uint64_t part = (reply.remaining_before + ask.share - 1) / ask.share;
      EXPECT_LE(granted, std::max(hits, part)) << "more than its share";
    }
    const int64_t now_ns = now_us_ * 1'000;
    const uint64_t used = std::min(granted, hits);
    if (used > 0) log_.push_back({now_ns, now_ns, used});
    if (granted > hits) log_.push_back({now_ns, now_ns + reply.ttl_ns, granted - hits});
  }

  // Unused hits of an earlier lease of a fixed window, given back with this call.
  void GiveBack(LeaseAsk& ask) {
    if (GetParam() != Algorithm::kFixedWindow || log_.empty() || Below(3) != 0) return;
    Use& use = log_[Below(log_.size())];
    if (use.last_ns == use.first_ns || use.hits == 0) return;
    ask.back_hits = 1 + Below(use.hits);
    ask.back_window = use.first_ns / limit_.window_ns;
    use.hits -= ask.back_hits;
  }

  void Step(const Decision& last) {
    const int64_t window_us = limit_.window_ns / 1'000;
    const int64_t life_us = life_max_ns_ / 1'000;
    switch (Below(10)) {
      case 0:
        now_us_ += 1;
        break;
      case 1:
        now_us_ += life_us + Draw(3);
        break;
      case 2:
        if (last.retry_after_ns < kNeverNs) now_us_ += (last.retry_after_ns + 999) / 1'000;
        break;
      case 3:
        now_us_ += Draw(window_us);
        break;
      case 4:
        now_us_ += Draw(life_us + 1);
        break;
      case 5:  // just before and at the edge of a window or sub-bucket
        if (GetParam() != Algorithm::kTokenBucket) {
          const int64_t width_us =
              (limit_.bucket_ns > 0 ? limit_.bucket_ns : limit_.window_ns) / 1'000;
          now_us_ += width_us - now_us_ % width_us - Draw(2);
        }
        break;
      default:
        break;
    }
  }

  void ExpectNoDifferences() {
    for (const Stores::Difference& difference : stores_.Differences()) {
      ADD_FAILURE() << text_ << "Redis differs from embedded Lua at " << difference.index
                    << "\nembedded: " << difference.embedded << "\nRedis:    " << difference.real;
    }
  }

  Stores stores_{SharedRedis()};
  std::mt19937_64 random_;
  Limit limit_;
  int64_t life_max_ns_ = 0;
  int64_t now_us_ = 0;
  std::vector<Use> log_;
  std::string text_;
};

TEST_P(Lease, StaysWithinTheEnvelopeHoweverLateItIsUsed) {
  const uint64_t seed = TestSeed();
  const Budget budget(TestSeconds());
  int sequences = 0;
  for (; budget.Left() && !HasFailure(); ++sequences) {
    Seed(seed + static_cast<uint64_t>(sequences));
    NewKey();
    Decision last;
    for (int i = 0; i < 48; ++i) {
      LeaseAsk ask = NewAsk();
      GiveBack(ask);
      const uint64_t hits = Pick<uint64_t>({0, 1, 1, 1, 2, limit_.capacity / 2, limit_.capacity});
      const ScriptReply reply = Ask(Op::kTake, hits, Below(4) == 0, ask);
      Note(hits, ask, reply);
      last = reply.decision;
      Step(last);
    }
    ExpectWithinEnvelope(limit_, log_);
    ExpectNoDifferences();
    ASSERT_FALSE(HasFailure()) << text_;
  }
  EXPECT_GT(sequences, 10);
  std::printf("%d sequences\n", sequences);
}

// All that is charged is free again when the reply says so: no lease strands hits beyond its life.
TEST_P(Lease, StrandsNothingBeyondItsLife) {
  Seed(TestSeed());
  for (int i = 0; i < 300; ++i) {
    NewKey();
    ScriptReply reply;
    for (int j = 0; j < 10; ++j) {
      reply = Ask(Op::kTake, 1 + Below(2), Below(2) == 0, NewAsk());
      now_us_ += Draw(life_max_ns_ / 1'000 + 1);
    }
    reply = Ask(Op::kPeek, 1, false, NoLease());
    const int64_t longest_ns =
        GetParam() == Algorithm::kTokenBucket
            ? limit_.burst_ns
            : limit_.window_ns + limit_.bucket_ns +
                  (GetParam() == Algorithm::kSlidingWindow ? life_max_ns_ : 0);
    EXPECT_LE(reply.decision.reset_after_ns, longest_ns);
    now_us_ += (reply.decision.reset_after_ns + 999) / 1'000;
    reply = Ask(Op::kPeek, 1, false, NoLease());
    EXPECT_EQ(reply.decision.remaining, limit_.capacity);
    EXPECT_EQ(reply.decision.reset_after_ns, 0);
    ExpectNoDifferences();
    ASSERT_FALSE(HasFailure()) << text_;
  }
}

// At one instant the store gives out all it has, but for what refills while a lease lives.
TEST_P(Lease, GivesOutWhatThereIs) {
  Seed(TestSeed());
  for (int i = 0; i < 300; ++i) {
    NewKey();
    uint64_t granted = 0;
    for (;;) {
      const ScriptReply reply = Ask(Op::kTake, 1, false, NewAsk());
      if (!reply.decision.allowed) break;
      granted += reply.granted;
    }
    EXPECT_LE(granted, limit_.capacity);
    uint64_t refilled = 0;
    if (GetParam() == Algorithm::kTokenBucket) {
      refilled = static_cast<uint64_t>(life_max_ns_ / limit_.emission_ns);
    }
    EXPECT_GE(granted + refilled, limit_.capacity);
    ASSERT_FALSE(HasFailure()) << text_;
  }
}

// Wherever the clock goes, no key is banned for longer than a lease-holding one ever is.
TEST_P(Lease, AClockThatStepsNeverBans) {
  Seed(TestSeed());
  for (int i = 0; i < 300; ++i) {
    NewKey();
    const int64_t longest_ns =
        GetParam() == Algorithm::kTokenBucket
            ? limit_.burst_ns
            : 2 * limit_.window_ns + 3 * limit_.bucket_ns +
                  (GetParam() == Algorithm::kSlidingWindow ? life_max_ns_ : 0);
    for (int j = 0; j < 20; ++j) {
      Ask(Op::kTake, Below(3), Below(2) == 0, NewAsk());
      now_us_ += Pick<int64_t>({1, -1}) * Draw(limit_.window_ns / 1'000 * 4);
      const ScriptReply reply = Ask(Op::kTake, 1, false, NoLease());
      if (reply.decision.allowed) continue;
      EXPECT_LE(reply.decision.retry_after_ns, longest_ns);
      now_us_ += (reply.decision.retry_after_ns + 999) / 1'000;
      EXPECT_TRUE(Ask(Op::kTake, 1, false, NoLease()).decision.allowed);
    }
    ExpectNoDifferences();
    ASSERT_FALSE(HasFailure()) << text_;
  }
}

INSTANTIATE_TEST_SUITE_P(, Lease,
                         testing::Values(Algorithm::kTokenBucket, Algorithm::kFixedWindow,
                                         Algorithm::kSlidingWindow),
                         [](const auto& param) { return std::string(AlgorithmName(param.param)); });

}  // namespace
}  // namespace weir::test
