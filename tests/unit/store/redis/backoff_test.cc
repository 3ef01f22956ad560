#include "limiter/store/redis/backoff.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "gtest/gtest.h"

namespace weir {
namespace {

constexpr int64_t kMsNs = 1'000'000;
constexpr int64_t kSecondNs = 1'000 * kMsNs;

// When the stores of a fleet try, on a virtual clock: each is connected until `lost_ns`, and from
// then on every attempt fails after `attempt_ns`.
std::vector<std::vector<int64_t>> Attempts(int stores, int64_t lost_ns, int64_t end_ns,
                                           int64_t attempt_ns) {
  std::vector<std::vector<int64_t>> attempts(static_cast<std::size_t>(stores));
  for (std::size_t store = 0; store < attempts.size(); ++store) {
    Backoff backoff({}, 1'000 + store);
    backoff.NoteAttempt(0);
    backoff.Reset();
    int64_t next_ns = backoff.NextNs(lost_ns, true);
    while (next_ns < end_ns) {
      attempts[store].push_back(next_ns);
      backoff.NoteAttempt(next_ns);
      next_ns = backoff.NextNs(next_ns + attempt_ns, false);
    }
  }
  return attempts;
}

TEST(Backoff, TheFirstAttemptIsAtOnce) {
  Backoff backoff({}, 1);
  EXPECT_EQ(backoff.NextNs(7 * kSecondNs, false), 7 * kSecondNs);
}

TEST(Backoff, SoonIsSoonButNeverMoreThanTwiceASecond) {
  Backoff backoff({}, 1);
  backoff.NoteAttempt(10 * kSecondNs);
  EXPECT_EQ(backoff.SoonNs(10 * kSecondNs + 1), 10 * kSecondNs + 500 * kMsNs);
  const int64_t late_ns = backoff.SoonNs(12 * kSecondNs);
  EXPECT_GE(late_ns, 12 * kSecondNs);
  EXPECT_LE(late_ns, 12 * kSecondNs + 50 * kMsNs);
}

TEST(Backoff, NoStoreTriesMoreThanTwiceASecond) {
  for (const int64_t attempt_ns : {int64_t{0}, kMsNs, 500 * kMsNs, 3 * kSecondNs}) {
    for (const auto& attempts : Attempts(50, 10 * kSecondNs, 70 * kSecondNs, attempt_ns)) {
      for (std::size_t i = 1; i < attempts.size(); ++i) {
        ASSERT_GE(attempts[i] - attempts[i - 1], 500 * kMsNs);
      }
    }
  }
}

TEST(Backoff, TriesAgainWithinASecondHoweverLongItLasts) {
  for (const auto& attempts : Attempts(50, 10 * kSecondNs, 70 * kSecondNs, 500 * kMsNs)) {
    ASSERT_FALSE(attempts.empty());
    EXPECT_LT(attempts[0], 10 * kSecondNs + 250 * kMsNs);
    for (std::size_t i = 1; i < attempts.size(); ++i) {
      ASSERT_LE(attempts[i] - attempts[i - 1], 900 * kMsNs);
    }
    EXPECT_GT(attempts.back(), 69 * kSecondNs);
  }
}

// 50 stores lose Redis in the same instant. Spread evenly, 50 first attempts within 250 ms are 10
// in each 50 ms; nowhere later may they gather to more than those.
TEST(Backoff, AFleetMakesNoWave) {
  constexpr int64_t kBucketNs = 50 * kMsNs;
  std::vector<int> histogram(60 * kSecondNs / kBucketNs);
  for (const auto& attempts : Attempts(50, 10 * kSecondNs, 70 * kSecondNs, 0)) {
    for (const int64_t at_ns : attempts) {
      ++histogram[static_cast<std::size_t>((at_ns - 10 * kSecondNs) / kBucketNs)];
    }
  }
  EXPECT_LE(*std::max_element(histogram.begin(), histogram.end()), 20);
  // Once the first second is over, 50 stores at most twice a second are 5 in 50 ms.
  EXPECT_LE(*std::max_element(histogram.begin() + 40, histogram.end()), 15);
}

TEST(Backoff, SeedsGiveDifferentPauses) {
  Backoff one({}, 1);
  Backoff other({}, 2);
  one.NoteAttempt(0);
  other.NoteAttempt(0);
  EXPECT_NE(one.NextNs(kSecondNs, true), other.NextNs(kSecondNs, true));
}

}  // namespace
}  // namespace weir
