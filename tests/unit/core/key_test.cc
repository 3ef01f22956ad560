#include "limiter/core/key.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using test::EngineHarness;
using test::Entries;
using test::kSecondNs;
using test::On;

constexpr Secret kSecret = {1, 2};

Limit LimitOf(const LimitSpec& spec) {
  Limit limit;
  EXPECT_TRUE(MakeLimit(spec, &limit).empty());
  return limit;
}

Limit FixedWindow(uint32_t hits, int64_t window_ns) {
  return LimitOf({.hits = hits, .window_ns = window_ns});
}

Key PrefixKey(std::string_view prefix, std::string_view domain, std::string_view path,
              const Limit& limit) {
  return KeyOf(KeyPrefix(kSecret, prefix, domain, path, limit));
}

Key EngineKey(EngineHarness& harness, Entries entries) {
  return harness.Take(std::move(entries), 1, Op::kPeek).key;
}

TEST(Key, EachPartOfThePrefixSeparatesKeys) {
  const Limit minute = FixedWindow(5, 60 * kSecondNs);
  const Key key = PrefixKey("p", "d", "a.b", minute);
  EXPECT_EQ(PrefixKey("p", "d", "a.b", minute), key);
  EXPECT_NE(PrefixKey("q", "d", "a.b", minute), key);
  EXPECT_NE(PrefixKey("p", "e", "a.b", minute), key);
  EXPECT_NE(PrefixKey("p", "d", "a.c", minute), key);
  EXPECT_NE(PrefixKey("p", "da", ".b", minute), key);
  EXPECT_NE(PrefixKey("pd", "", "a.b", minute), key);
  EXPECT_NE(KeyOf(KeyPrefix({1, 3}, "p", "d", "a.b", minute)), key);
}

TEST(Key, TheWindowSeparatesKeysOfEveryAlgorithm) {
  for (const Algorithm algorithm :
       {Algorithm::kFixedWindow, Algorithm::kSlidingWindow, Algorithm::kTokenBucket}) {
    const Limit minute = LimitOf({.algorithm = algorithm, .hits = 5, .window_ns = 60 * kSecondNs});
    const Limit hour = LimitOf({.algorithm = algorithm, .hits = 5, .window_ns = 3600 * kSecondNs});
    EXPECT_NE(PrefixKey("", "d", "a", minute), PrefixKey("", "d", "a", hour))
        << AlgorithmName(algorithm);
  }
}

TEST(Key, TheAlgorithmSeparatesKeys) {
  LimitSpec spec = {.hits = 5, .window_ns = 60 * kSecondNs};
  std::vector<Key> keys;
  for (const Algorithm algorithm :
       {Algorithm::kFixedWindow, Algorithm::kSlidingWindow, Algorithm::kTokenBucket}) {
    spec.algorithm = algorithm;
    keys.push_back(PrefixKey("", "d", "a", LimitOf(spec)));
  }
  EXPECT_NE(keys[0], keys[1]);
  EXPECT_NE(keys[0], keys[2]);
  EXPECT_NE(keys[1], keys[2]);
}

TEST(Key, TheNumberOfHitsIsNoPartOfAWindowsKey) {
  EXPECT_EQ(PrefixKey("", "d", "a", FixedWindow(5, kSecondNs)),
            PrefixKey("", "d", "a", FixedWindow(6, kSecondNs)));
  LimitSpec sliding = {.algorithm = Algorithm::kSlidingWindow, .hits = 5, .window_ns = kSecondNs};
  const Key five = PrefixKey("", "d", "a", LimitOf(sliding));
  sliding.hits = 6;
  EXPECT_EQ(PrefixKey("", "d", "a", LimitOf(sliding)), five);
}

TEST(Key, RateAndBurstSeparateKeysOfATokenBucket) {
  LimitSpec spec = {.algorithm = Algorithm::kTokenBucket, .hits = 5, .window_ns = kSecondNs};
  const Key key = PrefixKey("", "d", "a", LimitOf(spec));
  spec.burst = 5;  // what it is by default
  EXPECT_EQ(PrefixKey("", "d", "a", LimitOf(spec)), key);
  spec.burst = 6;
  EXPECT_NE(PrefixKey("", "d", "a", LimitOf(spec)), key);
  spec.burst = 5;
  spec.hits = 6;
  EXPECT_NE(PrefixKey("", "d", "a", LimitOf(spec)), key);
}

TEST(Key, ThePrecisionSeparatesKeysOfASlidingWindow) {
  LimitSpec spec = {.algorithm = Algorithm::kSlidingWindow, .hits = 5, .window_ns = kSecondNs};
  const Key key = PrefixKey("", "d", "a", LimitOf(spec));
  spec.precision = kPrecisionDefault + 1;
  EXPECT_NE(PrefixKey("", "d", "a", LimitOf(spec)), key);
}

// The reference joins with '_' unescaped: both requests below count on one of its keys.
TEST(Key, UnderscoresDoNotMixEntries) {
  EngineHarness bare({On("a").Fixed(5, Unit::kMinute), On("a_b").Fixed(5, Unit::kMinute)});
  const Key first = EngineKey(bare, {{"a", "b_c"}});
  const Key second = EngineKey(bare, {{"a_b", "c"}});
  EXPECT_NE(first, second);
}

TEST(Key, TheSameRuleSeparatesValuesAndEntryBoundaries) {
  // The pattern matches all four, so that only the entries differ.
  EngineHarness harness({On("*").Fixed(5, Unit::kMinute)});
  std::vector<Key> keys;
  for (const Entry& entry : std::vector<Entry>{
           {"a", "b_c"}, {"a_b", "c"}, {"", "a_b_c"}, {"a_b_c", ""}, {"a", "b"}, {"ab", ""}}) {
    const Key key = EngineKey(harness, {entry});
    EXPECT_EQ(std::count(keys.begin(), keys.end(), key), 0) << entry.key << " " << entry.value;
    keys.push_back(key);
  }
}

TEST(Key, SharedThresholdsShareOneKeyAndOthersDoNot) {
  EngineHarness harness(
      {On("shared", "x*").Fixed(5, Unit::kMinute).ShareThreshold(),
       On("plain", "x*").Fixed(5, Unit::kMinute),
       On("deep", "x*").ShareThreshold().Child(On("op").Fixed(5, Unit::kMinute))});
  EXPECT_EQ(EngineKey(harness, {{"shared", "x1"}}), EngineKey(harness, {{"shared", "x2"}}));
  EXPECT_NE(EngineKey(harness, {{"plain", "x1"}}), EngineKey(harness, {{"plain", "x2"}}));
  EXPECT_EQ(EngineKey(harness, {{"deep", "x1"}, {"op", "r"}}),
            EngineKey(harness, {{"deep", "x2"}, {"op", "r"}}));
  EXPECT_NE(EngineKey(harness, {{"deep", "x1"}, {"op", "r"}}),
            EngineKey(harness, {{"deep", "x1"}, {"op", "w"}}));
}

TEST(Key, RandomIdentitiesNeverShareAKey) {
  using Identity = std::tuple<std::string, std::string, std::vector<std::string>, int, int64_t>;
  constexpr uint32_t kSeed = 20'240'501;
  std::mt19937 random(kSeed);
  // Few letters, the separators among them, so that joined texts coincide often.
  const auto text = [&random] {
    std::string made(random() % 4, ' ');
    for (char& letter : made) letter = "a_.\0"[random() % 4];
    return made;
  };
  std::map<std::pair<uint64_t, uint64_t>, Identity> seen;
  for (int round = 0; round < 50'000; ++round) {
    Identity identity{text(),
                      text(),
                      {},
                      static_cast<int>(random() % 3),
                      (1 + static_cast<int64_t>(random() % 3)) * kSecondNs};
    auto& [domain, path, entries, algorithm, window_ns] = identity;
    entries.resize(2 * (random() % 3));
    for (std::string& entry : entries) entry = text();
    SipHasher hasher = KeyPrefix(
        kSecret, "", domain, path,
        LimitOf(
            {.algorithm = static_cast<Algorithm>(algorithm), .hits = 5, .window_ns = window_ns}));
    hasher.Word(entries.size() / 2);
    for (const std::string& entry : entries) hasher.String(entry);
    const Key key = KeyOf(hasher);
    const auto [found, inserted] = seen.try_emplace({key.hi, key.lo}, identity);
    ASSERT_TRUE(inserted || found->second == identity) << "round " << round;
  }
  EXPECT_GT(seen.size(), 10'000U);
}

TEST(StoreKey, HasTheFormatTheShardTagAndTwentyTwoCharacters) {
  EXPECT_EQ(StoreKey("", {0, 0}), "weir1:{s000}:AAAAAAAAAAAAAAAAAAAAAA");
  EXPECT_EQ(StoreKey("", {~uint64_t{0}, ~uint64_t{0}}), "weir1:{s255}:_____________________w");
  EXPECT_EQ(StoreKey("team:", {0x0001020304050607, 0x08090a0b0c0d0e2a}),
            "team:weir1:{s042}:AAECAwQFBgcICQoLDA0OKg");
}

TEST(StoreKey, TheTagIsTheKeyModulo256) {
  for (uint64_t lo = 0; lo < 1000; lo += 37) {
    const std::string text = StoreKey("", {7, lo});
    const std::string tag = std::to_string(1000 + lo % 256).substr(1);
    EXPECT_EQ(text.substr(0, 13), "weir1:{s" + tag + "}:");
    EXPECT_EQ(text.size(), 13U + 22U);
  }
}

TEST(StoreKey, EveryBitOfTheKeyShows) {
  const std::string plain = StoreKey("", {0, 0}).substr(13);
  for (int bit = 0; bit < 128; ++bit) {
    Key key;
    (bit < 64 ? key.hi : key.lo) = uint64_t{1} << (bit % 64);
    EXPECT_NE(StoreKey("", key).substr(13), plain) << "bit " << bit;
  }
}

}  // namespace
}  // namespace weir
