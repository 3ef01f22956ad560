#include "limiter/core/top_keys.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using test::EngineHarness;
using test::HarnessOptions;
using test::kSecondNs;
using test::On;
using test::SyncCheck;

Key KeyAt(std::size_t i) { return {i + 1, 7 * i}; }

// Key numbers of a Zipf law with exponent 1 over `keys` keys.
class Zipf {
 public:
  explicit Zipf(std::size_t keys) : sums_(keys) {
    double sum = 0;
    for (std::size_t i = 0; i < keys; ++i) sums_[i] = sum += 1.0 / static_cast<double>(i + 1);
  }
  std::size_t Next() {
    const double at = std::uniform_real_distribution<double>(0, sums_.back())(random_);
    return static_cast<std::size_t>(std::lower_bound(sums_.begin(), sums_.end(), at) -
                                    sums_.begin());
  }

 private:
  std::vector<double> sums_;
  std::mt19937_64 random_{1};
};

TopKeys Of(const KeySketch& sketch, std::size_t k, int64_t now_ns) {
  TopKeys all;
  sketch.MergeInto(all, now_ns);
  KeepTop(k, all);
  return all;
}

TEST(KeySketch, IsExactWhileKeysFit) {
  KeySketch sketch;
  for (std::size_t key = 0; key < KeySketch::kSlots; ++key) {
    for (std::size_t n = 0; n <= key; ++n) sketch.Add(KeyAt(key), 1, n == 0, 5);
  }
  const TopKeys top = Of(sketch, KeySketch::kSlots, 5);
  ASSERT_EQ(top.keys.size(), KeySketch::kSlots);
  EXPECT_DOUBLE_EQ(top.hits, 5050);
  for (std::size_t rank = 0; rank < top.keys.size(); ++rank) {
    const KeyHits& key = top.keys[rank];
    EXPECT_EQ(key.key, KeyAt(KeySketch::kSlots - 1 - rank));
    EXPECT_DOUBLE_EQ(key.hits, static_cast<double>(KeySketch::kSlots - rank));
    EXPECT_DOUBLE_EQ(key.error, 0);
    EXPECT_DOUBLE_EQ(key.denied, 1);
  }
}

// The bounds of the paper: nothing is estimated too low, nor by more than its error too high, and
// no error is above hits / slots.
TEST(KeySketch, KeepsTheBoundsOfSpaceSavingOnAZipfStream) {
  constexpr std::size_t kKeys = 10'000;
  constexpr int kHits = 200'000;
  Zipf zipf(kKeys);
  std::vector<double> exact(kKeys);
  KeySketch sketch;
  for (int i = 0; i < kHits; ++i) {
    const std::size_t key = zipf.Next();
    ++exact[key];
    sketch.Add(KeyAt(key), 1, false, 0);
  }
  const TopKeys top = Of(sketch, KeySketch::kSlots, 0);
  EXPECT_DOUBLE_EQ(top.hits, kHits);
  for (const KeyHits& key : top.keys) {
    const double truth = exact[key.key.hi - 1];
    EXPECT_GE(key.hits, truth);
    EXPECT_LE(key.hits - key.error, truth);
    EXPECT_LE(key.error, static_cast<double>(kHits) / KeySketch::kSlots);
  }
  for (std::size_t rank = 0; rank < 10; ++rank) EXPECT_EQ(top.keys[rank].key, KeyAt(rank)) << rank;
}

TEST(KeySketch, FadesByTheMinuteAlsoAcrossARescaling) {
  for (const int64_t start_ns : {int64_t{0}, 3 * 3600 * kSecondNs}) {
    KeySketch sketch;
    sketch.Add(KeyAt(0), 1000, true, 0);
    sketch.Add(KeyAt(1), 1000, false, start_ns);
    const TopKeys top = Of(sketch, 5, start_ns + 60 * kSecondNs);
    ASSERT_EQ(top.keys.size(), start_ns == 0 ? 2U : 1U);
    EXPECT_NEAR(top.keys[0].hits, 1000 / std::exp(1), 1e-6);
  }
}

TEST(KeySketch, ASteadyRateReadsAsTheHitsOfOneMinute) {
  KeySketch sketch;
  int64_t now_ns = 0;
  for (; now_ns < 600 * kSecondNs; now_ns += kSecondNs / 10) sketch.Add(KeyAt(0), 2, false, now_ns);
  EXPECT_NEAR(Of(sketch, 1, now_ns).keys[0].hits, 1200, 12);
}

HarnessOptions Texts() {
  HarnessOptions options;
  options.engine.keep_key_texts = true;
  return options;
}

uint32_t SlotOf(const EngineHarness& harness, std::size_t rule) {
  return harness.engine.rules()->rules()[rule].rule_slot;
}

TEST(TopKeys, FewDecisionsAreAllSeen) {
  EngineHarness harness({On("user").Fixed(3, Unit::kHour)}, Texts());
  for (int i = 0; i < 5; ++i) {
    harness.clock.Advance(kSecondNs / 100);
    harness.Take({{"user", "ada"}});
  }
  harness.Take({{"user", "bob"}}, 2);
  harness.Take({{"user", "eve"}}, 9, Op::kPeek);  // charges nothing
  harness.Take({{"other", "x"}});                 // matches nothing
  const TopKeys top = harness.engine.TopKeysOf(SlotOf(harness, 0), 10);
  ASSERT_EQ(top.keys.size(), 2U);
  EXPECT_EQ(top.keys[0].text, "user=ada");
  EXPECT_NEAR(top.keys[0].hits, 5, 0.1);
  EXPECT_NEAR(top.keys[0].denied, 2, 0.1);
  EXPECT_EQ(top.keys[1].text, "user=bob");
  EXPECT_EQ(harness.engine.TopKeySlots(), std::vector<uint32_t>{SlotOf(harness, 0)});
}

TEST(TopKeys, NoValueIsKeptUnlessAskedFor) {
  EngineHarness harness({On("user").Fixed(3, Unit::kHour)});
  const Outcome outcome = harness.Take({{"user", "ada"}});
  const TopKeys top = harness.engine.TopKeysOf(SlotOf(harness, 0), 10);
  ASSERT_EQ(top.keys.size(), 1U);
  EXPECT_EQ(top.keys[0].text, "");
  EXPECT_EQ(top.keys[0].key, outcome.key);
  EXPECT_EQ(KeyDigits(top.keys[0].key).size(), 16U);
}

// Of a busy worker only samples are seen: shares and hits are still right.
TEST(TopKeys, SamplesOfAZipfStreamTellSharesAndHits) {
  constexpr std::size_t kKeys = 1000;
  constexpr int kDecisions = 400'000;
  EngineHarness harness({On("user").Fixed(1, Unit::kHour)}, Texts());
  Zipf zipf(kKeys);
  std::vector<double> exact(kKeys);
  std::vector<std::string> values;
  for (std::size_t i = 0; i < kKeys; ++i) values.push_back(std::to_string(i));
  SyncCheck check;
  check.Add({{"user", "0"}});
  for (int i = 0; i < kDecisions; ++i) {
    const std::size_t key = zipf.Next();
    ++exact[key];
    const Entry entry{"user", values[key]};
    check.descriptors[0].entries = {&entry, 1};
    harness.clock.Advance(1000);  // a million a second
    harness.Run(check);
  }
  const TopKeys top = harness.engine.TopKeysOf(SlotOf(harness, 0), 5);
  EXPECT_NEAR(top.hits, kDecisions, 0.05 * kDecisions);
  ASSERT_EQ(top.keys.size(), 5U);
  for (std::size_t rank = 0; rank < 3; ++rank) {
    EXPECT_EQ(top.keys[rank].text, "user=" + values[rank]);
    EXPECT_NEAR(top.keys[rank].hits / top.hits, exact[rank] / kDecisions, 0.02);
  }
}

TEST(TopKeys, ManyRulesAreBoundedAndIdleOnesGiveWay) {
  std::vector<DescriptorSpec> rules;
  for (std::size_t i = 0; i <= KeySampler::kRulesMax; ++i) {
    rules.push_back(On("k", std::to_string(i)).Fixed(1, Unit::kHour));
  }
  EngineHarness harness(std::move(rules));
  const auto take = [&](std::size_t i) {
    harness.clock.Advance(kSecondNs);
    harness.Take({{"k", std::to_string(i)}});
  };
  for (std::size_t i = 0; i <= KeySampler::kRulesMax; ++i) take(i);
  EXPECT_EQ(harness.engine.TopKeySlots().size(), KeySampler::kRulesMax);
  harness.clock.Advance(2 * KeySampler::kIdleNs);
  take(KeySampler::kRulesMax);
  EXPECT_EQ(harness.engine.TopKeySlots().size(), 1U);
}

TEST(TopKeys, TheTextIsTheKeysOwnAndIsCut) {
  EngineHarness harness({On("a").Child(On("b").Fixed(1, Unit::kHour))});
  const Rule& rule = harness.engine.rules()->rules()[0];
  const std::string value(500, 'v');
  const std::vector<Entry> entries = {{"a", ""}, {"b", value}};
  std::string text;
  AppendKeyText(rule, entries, text);
  EXPECT_EQ(text, ("a, b=" + value).substr(0, KeySketch::kTextBytesMax));
}

}  // namespace
}  // namespace weir
