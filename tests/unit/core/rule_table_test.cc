#include "limiter/core/rule_table.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/rule_builder.h"

namespace weir {
namespace {

using test::Domain;
using test::On;

// Entries as views of string literals.
using Entries = std::vector<Entry>;

class Table {
 public:
  explicit Table(std::vector<DescriptorSpec> rules, RuleTableOptions options = {})
      : table_(RuleTable::Build(Domain("d", std::move(rules)), options, series)) {}

  const RuleTable& operator*() const { return *table_; }

  const Rule* Find(const Entries& entries, std::vector<RuleTable::Step>* steps = nullptr) const {
    std::string scratch;
    return table_->Find(*table_->FindDomain("d"), entries, scratch, steps);
  }
  // The path of the rule found, "" if none.
  std::string PathOf(const Entries& entries) const {
    const Rule* rule = Find(entries);
    return rule == nullptr ? "" : rule->path;
  }

  SeriesRegistry series{1000};

 private:
  std::shared_ptr<const RuleTable> table_;
};

On Rule5(std::string key, std::string value = "") {
  return On(std::move(key), std::move(value)).Fixed(5, Unit::kMinute);
}

TEST(RuleTable, KnowsItsDomainsByExactName) {
  SeriesRegistry series(1000);
  DomainSpec a;
  a.domain = "a";
  DomainSpec b;
  b.domain = "b.*";
  const auto table = RuleTable::Build({a, b}, {}, series);
  ASSERT_NE(table->FindDomain("a"), nullptr);
  ASSERT_NE(table->FindDomain("b.*"), nullptr);
  EXPECT_EQ(RuleTable::NameOf(*table->FindDomain("b.*")), "b.*");
  EXPECT_EQ(table->FindDomain("b.c"), nullptr);
  EXPECT_EQ(table->FindDomain("A"), nullptr);
  EXPECT_EQ(table->FindDomain(""), nullptr);
  EXPECT_NE(RuleTable::DomainSlot(*table->FindDomain("a")),
            RuleTable::DomainSlot(*table->FindDomain("b.*")));
}

TEST(RuleTable, FindsTheSameEntriesInEachDomainOnItsOwn) {
  SeriesRegistry series(1000);
  std::vector<DomainSpec> domains = Domain("a", {Rule5("k")});
  domains.push_back(Domain("b", {Rule5("other")})[0]);
  const auto table = RuleTable::Build(domains, {}, series);
  std::string scratch;
  const Entries entries = {{"k", "v"}};
  const Rule* rule = table->Find(*table->FindDomain("a"), entries, scratch);
  ASSERT_NE(rule, nullptr);
  EXPECT_EQ(rule->domain, "a");
  EXPECT_EQ(table->Find(*table->FindDomain("b"), entries, scratch), nullptr);
}

TEST(RuleTable, AnExactValueBeatsWildcardAndBareKey) {
  const Table table({Rule5("k"), Rule5("k", "*"), Rule5("k", "v*"), Rule5("k", "v")});
  EXPECT_EQ(table.PathOf({{"k", "v"}}), "k_v");
}

TEST(RuleTable, TheFirstWildcardInFileOrderWins) {
  const Table wide_first({Rule5("k"), Rule5("k", "*"), Rule5("k", "ab*")});
  EXPECT_EQ(wide_first.PathOf({{"k", "abc"}}), "k_*");
  const Table narrow_first({Rule5("k"), Rule5("k", "ab*"), Rule5("k", "*")});
  EXPECT_EQ(narrow_first.PathOf({{"k", "abc"}}), "k_ab*");
  EXPECT_EQ(narrow_first.PathOf({{"k", "xyz"}}), "k_*");
}

TEST(RuleTable, AWildcardBeatsTheBareKeyWhateverTheOrder) {
  const Table table({Rule5("k"), Rule5("k", "v*")});
  EXPECT_EQ(table.PathOf({{"k", "v1"}}), "k_v*");
  EXPECT_EQ(table.PathOf({{"k", "w"}}), "k");
}

TEST(RuleTable, ABareKeyMatchesAnyValue) {
  const Table table({Rule5("k")});
  EXPECT_EQ(table.PathOf({{"k", "v"}}), "k");
  EXPECT_EQ(table.PathOf({{"k", ""}}), "k");
  EXPECT_EQ(table.PathOf({{"k2", "v"}}), "");
}

TEST(RuleTable, MatchingIsCaseSensitiveAndMindsTheOrderOfEntries) {
  const Table table({On("a").Child(Rule5("b"))});
  EXPECT_EQ(table.PathOf({{"a", "1"}, {"b", "2"}}), "a.b");
  EXPECT_EQ(table.PathOf({{"A", "1"}, {"b", "2"}}), "");
  EXPECT_EQ(table.PathOf({{"b", "2"}, {"a", "1"}}), "");
}

TEST(RuleTable, ThereIsNoWayBackFromAMatchedLevel) {
  const Table table({On("k", "v").Child(Rule5("x")), On("k").Child(Rule5("y"))});
  EXPECT_EQ(table.PathOf({{"k", "v"}, {"x", "1"}}), "k_v.x");
  EXPECT_EQ(table.PathOf({{"k", "v"}, {"y", "1"}}), "");
  EXPECT_EQ(table.PathOf({{"k", "w"}, {"y", "1"}}), "k.y");
  const Table wildcard({On("k", "v*").Child(Rule5("x")), On("k", "*").Child(Rule5("y"))});
  EXPECT_EQ(wildcard.PathOf({{"k", "v1"}, {"y", "1"}}), "");
}

TEST(RuleTable, ARuleCountsOnlyOnTheLastEntry) {
  const Table table({Rule5("a").Child(Rule5("b"))});
  EXPECT_EQ(table.PathOf({{"a", "1"}}), "a");
  EXPECT_EQ(table.PathOf({{"a", "1"}, {"b", "1"}}), "a.b");
  EXPECT_EQ(table.PathOf({{"a", "1"}, {"c", "1"}}), "");
}

TEST(RuleTable, MoreEntriesThanLevelsAreUnmatched) {
  const Table table({Rule5("a").Child(Rule5("b"))});
  EXPECT_EQ(table.PathOf({{"a", "1"}, {"b", "1"}, {"c", "1"}}), "");
  EXPECT_EQ(Table({Rule5("a")}).PathOf({{"a", "1"}, {"a", "1"}}), "");
}

TEST(RuleTable, FewerEntriesThanLevelsUseTheRuleAtTheirDepth) {
  const Table table({On("a").Child(Rule5("b"))});
  EXPECT_EQ(table.PathOf({{"a", "1"}}), "");
}

TEST(RuleTable, NoEntriesAreUnmatched) { EXPECT_EQ(Table({Rule5("a")}).PathOf({}), ""); }

TEST(RuleTable, ANodeWithoutLimitAndChildrenIsAWhitelistEntry) {
  const Table table({On("ip", "10.0.0.1"), Rule5("ip")});
  EXPECT_EQ(table.PathOf({{"ip", "10.0.0.1"}}), "");
  EXPECT_EQ(table.PathOf({{"ip", "10.0.0.2"}}), "ip");
}

TEST(RuleTable, AnEmptyValueIsKeyAndUnderscore) {
  const Table table({Rule5("k", "*"), Rule5("k")});
  EXPECT_EQ(table.PathOf({{"k", ""}}), "k_*");
  EXPECT_EQ(Table({Rule5("k", "v"), Rule5("k")}).PathOf({{"k", ""}}), "k");
  EXPECT_EQ(Table({Rule5("k_")}).PathOf({{"k", ""}}), "k_");
}

TEST(RuleTable, AKeyWithUnderscoreMatchesTheSplitRequest) {
  const Table table({Rule5("foo_bar")});
  EXPECT_EQ(table.PathOf({{"foo", "bar"}}), "foo_bar");
  EXPECT_EQ(table.PathOf({{"foo_bar", "baz"}}), "foo_bar");
  const Table split({Rule5("a_b", "c")});
  EXPECT_EQ(split.PathOf({{"a", "b_c"}}), "a_b_c");
}

TEST(RuleTable, AConfiguredValueIsFoundAsABareKey) {
  const Table table({Rule5("foo", "bar")});
  EXPECT_EQ(table.PathOf({{"foo_bar", "anything"}}), "foo_bar");
}

TEST(RuleTable, AStarInAKeyIsAWildcardToo) {
  const Table table({Rule5("k*", "v"), Rule5("x*")});
  EXPECT_EQ(table.PathOf({{"key", "v"}}), "k*_v");
  EXPECT_EQ(table.PathOf({{"k", "v"}}), "k*_v");
  EXPECT_EQ(table.PathOf({{"key", "w"}}), "");
  EXPECT_EQ(table.PathOf({{"x", "anything"}}), "x*");
}

TEST(RuleTable, AValueMayHoldSeveralStars) {
  const Table table({Rule5("path", "/v*/users/*/items")});
  EXPECT_EQ(table.PathOf({{"path", "/v1/users/7/items"}}), "path_/v*/users/*/items");
  EXPECT_EQ(table.PathOf({{"path", "/v/users//items"}}), "path_/v*/users/*/items");
  EXPECT_EQ(table.PathOf({{"path", "/v1/users/7/items/3"}}), "");
  EXPECT_EQ(table.PathOf({{"path", "/v1/user/7/items"}}), "");
}

TEST(RuleTable, APatternIsFoundByItsOwnTextBeforeEarlierWildcards) {
  const Table table({Rule5("k", "*"), Rule5("k", "a*")});
  EXPECT_EQ(table.PathOf({{"k", "a*"}}), "k_a*");
}

TEST(RuleTable, WildcardsAreTriedOnEachLevel) {
  const Table table({On("a", "x*").Child(On("b", "*").Child(Rule5("c", "*z")))});
  EXPECT_EQ(table.PathOf({{"a", "x1"}, {"b", ""}, {"c", "yz"}}), "a_x*.b_*.c_*z");
}

TEST(RuleTable, AnUnlimitedRuleIsFound) {
  const Table table({On("k").Unlimited()});
  ASSERT_NE(table.Find({{"k", "v"}}), nullptr);
  EXPECT_TRUE(table.Find({{"k", "v"}})->unlimited);
}

TEST(RuleTable, ALabelIsTheNameElseThePath) {
  const Table table({On("k", "v").Child(Rule5("x")), Rule5("n").Named("by name")});
  EXPECT_EQ(table.Find({{"k", "v"}, {"x", "1"}})->label, "k_v.x");
  EXPECT_EQ(table.Find({{"n", "1"}})->label, "by name");
}

TEST(RuleTable, LevelsSayHowEachEntryEntersKeysAndStatistics) {
  const Table table({On("a", "x*").ShareThreshold().Child(Rule5("b").ValueToMetric())});
  const Rule* rule = table.Find({{"a", "x1"}, {"b", "1"}});
  ASSERT_NE(rule, nullptr);
  ASSERT_EQ(rule->levels.size(), 2U);
  EXPECT_EQ(rule->levels[0].composite, "a_x*");
  EXPECT_EQ(rule->levels[0].pattern, "x*");
  EXPECT_TRUE(rule->levels[0].shared);
  EXPECT_TRUE(rule->levels[0].wildcard);
  EXPECT_FALSE(rule->levels[0].value_to_metric);
  EXPECT_EQ(rule->levels[1].key, "b");
  EXPECT_FALSE(rule->levels[1].wildcard);
  EXPECT_TRUE(rule->levels[1].value_to_metric);
  EXPECT_TRUE(rule->any_shared);
  EXPECT_TRUE(rule->dynamic_stats);
}

TEST(RuleTable, RulesHaveSlotsUnderTheirLabels) {
  Table table({On("a", "10.0.0.1").Child(On("b").Child(Rule5("c"))), Rule5("a:b")});
  const Rule* deep = table.Find({{"a", "10.0.0.1"}, {"b", ""}, {"c", ""}});
  ASSERT_NE(deep, nullptr);
  EXPECT_EQ(table.series.rules()[deep->rule_slot].rule, "a_10.0.0.1.b.c");
  EXPECT_EQ(table.series.stats()[deep->stat_slot].key1, "a_10_0_0_1");
  EXPECT_EQ(table.series.stats()[deep->stat_slot].key2, "b");
  const Rule* flat = table.Find({{"a:b", "x"}});
  ASSERT_NE(flat, nullptr);
  EXPECT_EQ(table.series.stats()[flat->stat_slot].key1, "a_b");
  EXPECT_EQ(table.series.stats()[flat->stat_slot].key2, "");
}

TEST(RuleTable, RulesThatDifferBelowTheSecondLevelAddUpInOneStatistic) {
  const Table table({On("a").Child(On("b").Child(Rule5("c")).Child(Rule5("e")))});
  const Rule* c = table.Find({{"a", ""}, {"b", ""}, {"c", ""}});
  const Rule* e = table.Find({{"a", ""}, {"b", ""}, {"e", ""}});
  EXPECT_EQ(c->stat_slot, e->stat_slot);
  EXPECT_NE(c->rule_slot, e->rule_slot);
}

TEST(RuleTable, RebuildingKeepsTheSlotsOfRules) {
  SeriesRegistry series(1000);
  const auto first = RuleTable::Build(Domain("d", {Rule5("a")}), {}, series);
  const auto second = RuleTable::Build(Domain("d", {Rule5("new"), Rule5("a")}), {}, series);
  EXPECT_EQ(first->rules()[0].rule_slot, second->rules()[1].rule_slot);
  EXPECT_EQ(first->rules()[0].stat_slot, second->rules()[1].stat_slot);
}

TEST(RuleTable, RulesStandInFileOrder) {
  const Table table({Rule5("b").Child(Rule5("z")), Rule5("a"), On("c").Child(Rule5("y"))});
  std::vector<std::string> paths;
  for (const Rule& rule : (*table).rules()) paths.push_back(rule.path);
  EXPECT_EQ(paths, (std::vector<std::string>{"b", "b.z", "a", "c.y"}));
}

TEST(RuleTable, SaysWhetherAnyRuleReplacesOthers) {
  EXPECT_FALSE((*Table({Rule5("a")})).any_replaces());
  EXPECT_TRUE((*Table({Rule5("a"), On("b").Unlimited().Replaces({"x"})})).any_replaces());
}

TEST(RuleTable, RulesTakeTheDefaultsThatTheyDoNotSet) {
  RuleTableOptions options;
  options.consistency = Consistency::kExact;
  options.on_store_failure = OnStoreFailure::kError;
  DescriptorSpec own = Rule5("own");
  own.rate_limit->consistency = Consistency::kLeased;
  own.rate_limit->on_store_failure = OnStoreFailure::kAllow;
  const Table table({Rule5("plain"), own}, options);
  EXPECT_EQ(table.Find({{"plain", ""}})->consistency, Consistency::kExact);
  EXPECT_EQ(table.Find({{"plain", ""}})->on_store_failure, OnStoreFailure::kError);
  EXPECT_EQ(table.Find({{"own", ""}})->consistency, Consistency::kLeased);
  EXPECT_EQ(table.Find({{"own", ""}})->on_store_failure, OnStoreFailure::kAllow);
}

TEST(RuleTable, ExplainsEachStepOfAWalk) {
  const Table table({On("a").Child(On("b", "x*").Child(Rule5("c", "v")))});
  std::vector<RuleTable::Step> steps;
  ASSERT_NE(table.Find({{"a", "1"}, {"b", "x1"}, {"c", "v"}}, &steps), nullptr);
  ASSERT_EQ(steps.size(), 3U);
  EXPECT_EQ(steps[0].matched, "a");
  EXPECT_EQ(steps[0].match, RuleTable::Match::kKey);
  EXPECT_FALSE(steps[0].has_rule);
  EXPECT_TRUE(steps[0].has_children);
  EXPECT_EQ(steps[1].matched, "b_x*");
  EXPECT_EQ(steps[1].match, RuleTable::Match::kWildcard);
  EXPECT_EQ(steps[2].matched, "c_v");
  EXPECT_EQ(steps[2].match, RuleTable::Match::kExact);
  EXPECT_TRUE(steps[2].has_rule);
  EXPECT_FALSE(steps[2].has_children);
}

TEST(RuleTable, TheLastStepShowsWhereAWalkEnded) {
  const Table table({On("a").Child(Rule5("b"))});
  std::vector<RuleTable::Step> steps;
  EXPECT_EQ(table.Find({{"a", "1"}, {"x", "1"}, {"b", "1"}}, &steps), nullptr);
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[1].match, RuleTable::Match::kNone);
  EXPECT_EQ(steps[1].matched, "");
  steps.clear();
  EXPECT_EQ(table.Find({{"a", "1"}, {"b", "1"}, {"c", "1"}}, &steps), nullptr);
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_TRUE(steps[1].has_rule);
  EXPECT_FALSE(steps[1].has_children);
}

TEST(NearLimit, IsTheFloorIn32BitFloatingPoint) {
  EXPECT_EQ(NearLimit(0, 0.8F), 0U);
  EXPECT_EQ(NearLimit(1, 0.8F), 0U);
  EXPECT_EQ(NearLimit(5, 0.8F), 4U);
  EXPECT_EQ(NearLimit(10, 0.8F), 8U);
  EXPECT_EQ(NearLimit(9, 0.8F), 7U);
  EXPECT_EQ(NearLimit(20, 0.5F), 10U);
  EXPECT_EQ(NearLimit(16'777'219, 0.5F), 8'388'610U);  // not 8'388'609: 32-bit rounding
}

TEST(NearLimit, IsNeverAboveTheLimit) {
  EXPECT_EQ(NearLimit(16'777'219, 1.0F), 16'777'219U);
  EXPECT_EQ(NearLimit(0xffffffff, 1.0F), 0xffffffffU);
  EXPECT_EQ(NearLimit(10, 1.5F), 10U);
}

// An independent matcher: plain recursion over the definition.
bool Matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    return Matches(pattern.substr(1), text) || (!text.empty() && Matches(pattern, text.substr(1)));
  }
  return !text.empty() && pattern[0] == text[0] && Matches(pattern.substr(1), text.substr(1));
}

// All strings over `letters` of at most `length` characters.
std::vector<std::string> AllStrings(std::string_view letters, std::size_t length) {
  std::vector<std::string> strings = {""};
  for (std::size_t i = 0; i < strings.size(); ++i) {
    if (strings[i].size() == length) continue;
    for (const char letter : letters) strings.push_back(strings[i] + letter);
  }
  return strings;
}

TEST(WildcardMatches, EqualsPlainRecursionOnAllSmallStrings) {
  const std::vector<std::string> texts = AllStrings("ab", 6);
  for (const std::string& pattern : AllStrings("ab*", 5)) {
    for (const std::string& text : texts) {
      ASSERT_EQ(WildcardMatches(pattern, text), Matches(pattern, text))
          << "pattern '" << pattern << "', text '" << text << "'";
    }
  }
}

TEST(WildcardMatches, PrefixAndSuffixDoNotOverlap) {
  EXPECT_FALSE(WildcardMatches("aa*aa", "aaa"));
  EXPECT_TRUE(WildcardMatches("aa*aa", "aaaa"));
}

TEST(WildcardMatches, TakesLinearTimeOnManyStars) {
  std::string pattern;
  for (int i = 0; i < 1000; ++i) pattern += "a*";
  pattern += 'b';
  EXPECT_FALSE(WildcardMatches(pattern, std::string(100'000, 'a')));
}

}  // namespace
}  // namespace weir
