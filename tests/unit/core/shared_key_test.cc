#include "limiter/core/shared_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "limiter/core/engine.h"
#include "tests/support/executors.h"
#include "tests/support/fake_clock.h"
#include "tests/support/rule_builder.h"
#include "tests/support/sync_check.h"

namespace weir {
namespace {

using test::Entries;
using test::FakeClock;
using test::kSecondNs;
using test::kWallStartNs;
using test::On;
using test::SyncCheck;
using ::testing::ElementsAre;

// Keeps what it is asked and allows it.
class RecordingStore final : public Store {
 public:
  void Acquire(std::span<Ask> asks, const AcquireOptions& /*options*/,
               Answered& answered) override {
    counters.clear();
    keys.clear();
    for (Ask& ask : asks) {
      ask.grant.decision.allowed = true;
      counters.emplace_back(ask.counter.key);
      window_end_ns = ask.counter.window_end_ns;
      keys.push_back(ask.key);
    }
    answered.OnAnswered();
  }

  std::vector<std::string> counters;
  std::vector<Key> keys;
  int64_t window_end_ns = 0;
};

class SharedKeys {
 public:
  explicit SharedKeys(std::vector<DescriptorSpec> rules, const std::string& prefix = "",
                      bool shared = true)
      : engine({.shared_counters = shared}, clock, store, executor, series),
        worker(engine.AddWorker()) {
    RuleTableOptions options;
    options.key_prefix = prefix;
    engine.SetRules(RuleTable::Build(test::Domain("domain", std::move(rules)), options, series));
  }

  const std::vector<std::string>& Run(SyncCheck& check) {
    engine.Run(worker, check);
    return store.counters;
  }
  std::string Of(Entries entries) {
    SyncCheck check("domain");
    check.Add(std::move(entries));
    store.counters.clear();
    const std::vector<std::string>& counters = Run(check);
    return counters.empty() ? "(not asked)" : counters.front();
  }

  FakeClock clock;
  test::ManualExecutor executor;
  SeriesRegistry series{100};
  RecordingStore store;
  Engine engine;
  Worker& worker;
};

// 1700000040 is the clock's time.
TEST(SharedKey, TheWindowIsTheSecondInWhichItBegan) {
  const std::vector<std::pair<Unit, std::string>> cases = {
      {Unit::kSecond, "1700000040"}, {Unit::kMinute, "1700000040"}, {Unit::kHour, "1699999200"},
      {Unit::kDay, "1699920000"},    {Unit::kWeek, "1699488000"},   {Unit::kMonth, "1697760000"},
      {Unit::kYear, "1671408000"},
  };
  for (const auto& [unit, window] : cases) {
    SharedKeys keys({On("key", "value").Fixed(10, unit)});
    EXPECT_EQ(keys.Of({{"key", "value"}}), "domain_key_value_" + window);
    EXPECT_EQ(keys.store.window_end_ns, (std::stoll(window) + UnitSeconds(unit)) * kSecondNs);
  }
}

TEST(SharedKey, FractionsOfASecondAreCutOff) {
  SharedKeys keys({On("k").Fixed(10, Unit::kSecond)});
  keys.clock.Advance(kSecondNs - 1);
  EXPECT_EQ(keys.Of({{"k", "v"}}), "domain_k_v_1700000040");
  keys.clock.Advance(1);
  EXPECT_EQ(keys.Of({{"k", "v"}}), "domain_k_v_1700000041");
}

TEST(SharedKey, TheValueIsAlwaysTheRequests) {
  SharedKeys keys({On("bare").Fixed(1, Unit::kSecond), On("wild", "a*").Fixed(1, Unit::kSecond),
                   On("deep").Child(On("op", "read").Fixed(1, Unit::kSecond))});
  EXPECT_EQ(keys.Of({{"bare", "any thing"}}), "domain_bare_any thing_1700000040");
  EXPECT_EQ(keys.Of({{"bare", ""}}), "domain_bare__1700000040");
  EXPECT_EQ(keys.Of({{"wild", "abc"}}), "domain_wild_abc_1700000040");
  EXPECT_EQ(keys.Of({{"deep", "x"}, {"op", "read"}}), "domain_deep_x_op_read_1700000040");
  EXPECT_EQ(keys.Of({{"none", "x"}}), "(not asked)");
}

TEST(SharedKey, WhereTheThresholdIsSharedThePatternStandsForTheValue) {
  SharedKeys keys(
      {On("files", "files/*").ShareThreshold().Fixed(10, Unit::kSecond),
       On("parent").Child(On("files", "nested/*").ShareThreshold().Fixed(10, Unit::kSecond)),
       On("top", "t*")
           .ShareThreshold()
           .Child(On("files", "n/*.pdf").ShareThreshold().Fixed(10, Unit::kSecond)),
       On("low", "l*").ShareThreshold().Child(On("leaf").Fixed(10, Unit::kSecond))});
  EXPECT_EQ(keys.Of({{"files", "files/a.pdf"}}), "domain_files_files/*_1700000040");
  EXPECT_EQ(keys.Of({{"files", "files/*"}}), "domain_files_files/*_1700000040");
  EXPECT_EQ(keys.Of({{"parent", "value1"}, {"files", "nested/file1.txt"}}),
            "domain_parent_value1_files_nested/*_1700000040");
  EXPECT_EQ(keys.Of({{"top", "t1"}, {"files", "n/a.pdf"}}),
            "domain_top_t*_files_n/*.pdf_1700000040");
  EXPECT_EQ(keys.Of({{"low", "l1"}, {"leaf", "x"}}), "domain_low_l*_leaf_x_1700000040");
}

// The pattern is matched against key and value joined by '_', and so may begin within the key.
TEST(SharedKey, APatternInTheKeyStaysWhole) {
  SharedKeys keys({On("foo*").ShareThreshold().Fixed(10, Unit::kSecond),
                   On("ab_c*").ShareThreshold().Fixed(10, Unit::kSecond)});
  EXPECT_EQ(keys.Of({{"foobar", "x"}}), "domain_foobar_foo*_1700000040");
  EXPECT_EQ(keys.Of({{"ab", "cde"}}), "domain_ab_c*_1700000040");
}

TEST(SharedKey, ThePrefixComesFirst) {
  SharedKeys keys({On("k").Fixed(10, Unit::kSecond)}, "team:");
  EXPECT_EQ(keys.Of({{"k", "v"}}), "team:domain_k_v_1700000040");
}

TEST(SharedKey, AnOverrideCountsUnderTheRequestsOwnValuesInItsOwnWindow) {
  SharedKeys keys({On("files", "f*").ShareThreshold().Fixed(10, Unit::kSecond)});
  SyncCheck check("domain");
  check.Add({{"files", "f1"}}).Override(5, Unit::kHour);
  EXPECT_THAT(keys.Run(check), ElementsAre("domain_files_f1_1699999200"));
}

TEST(SharedKey, EachDescriptorOfARequestHasItsOwn) {
  SharedKeys keys({On("k").Fixed(10, Unit::kSecond), On("u").Unlimited()});
  SyncCheck check("domain");
  const std::string longer(100, 'x');
  check.Add({{"k", "1"}}).Add({{"u", "1"}}).Add({{"none", "1"}}).Add({{"k", longer}});
  check.Add({{"k", "2"}});
  EXPECT_THAT(keys.Run(check),
              ElementsAre("domain_k_1_1700000040", "domain_k_" + longer + "_1700000040",
                          "domain_k_2_1700000040"));
  // And when the check is used again for more.
  check.Add({{"k", "3"}}).Add({{"k", "4"}});
  EXPECT_THAT(
      keys.Run(check),
      ElementsAre("domain_k_1_1700000040", "domain_k_" + longer + "_1700000040",
                  "domain_k_2_1700000040", "domain_k_3_1700000040", "domain_k_4_1700000040"));
}

// What is remembered of a key must not outlive its window.
TEST(SharedKey, TheHashedKeyIsThatOfTheCounter) {
  SharedKeys keys({On("a").Child(On("b").Fixed(1, Unit::kMinute)),
                   On("a_1").Child(On("b").Fixed(1, Unit::kMinute)), On("k").Fixed(1, Unit::kDay)});
  SyncCheck check("domain");
  check.Add({{"a", "1_b_2"}, {"b", "3"}}).Add({{"a", "1"}, {"b", "2_b_3"}}).Add({{"k", "1"}});
  const std::vector<std::string> counters = keys.Run(check);
  // Ambiguous, as in the reference: both count on one counter there.
  EXPECT_EQ(counters[0], "domain_a_1_b_2_b_3_1700000040");
  EXPECT_EQ(counters[1], counters[0]);
  const std::vector<Key> first = keys.store.keys;
  EXPECT_EQ(first[1], first[0]);
  EXPECT_NE(first[2], first[0]);
  keys.clock.Advance(60 * kSecondNs);
  keys.Run(check);
  EXPECT_NE(keys.store.keys[0], first[0]);
  EXPECT_EQ(keys.store.keys[2], first[2]);
}

TEST(SharedKey, NobodyIsToldUnlessAskedTo) {
  SharedKeys keys({On("k").Fixed(10, Unit::kSecond)}, "", false);
  EXPECT_EQ(keys.Of({{"k", "v"}}), "");
  EXPECT_EQ(keys.store.window_end_ns, 0);
}

TEST(SharedKey, AnExplanationNamesTheCounter) {
  const Entries entries = {{"k", "v"}};
  const auto counter_key = [&](bool shared) {
    SharedKeys keys({On("k").Fixed(10, Unit::kMinute)}, "p:", shared);
    return keys.engine.Explain(keys.worker, "domain", {.entries = entries, .limit = std::nullopt})
        .counter_key;
  };
  EXPECT_EQ(counter_key(true), "p:domain_k_v_1700000040");
  EXPECT_EQ(counter_key(false), "");
}

}  // namespace
}  // namespace weir
