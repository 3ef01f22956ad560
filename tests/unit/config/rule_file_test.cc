#include "limiter/config/rule_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "limiter/config/problem.h"
#include "limiter/config/rule_node.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kSecondNs = 1'000'000'000;

std::filesystem::path Fixtures() {
  return std::filesystem::path(WEIR_SOURCE_DIR) / "tests/unit/config/fixtures";
}

std::string ReadText(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream) << path;
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

RuleFile File(std::string name, std::string content) {
  return {std::move(name), std::move(content), "", ""};
}

RuleSet Parse(std::string content, const RuleFileOptions& options = {}) {
  const std::vector<RuleFile> files = {File("f", std::move(content))};
  return ParseRuleFiles(files, options);
}

std::vector<std::string> Texts(const RuleSet& rules) {
  std::vector<std::string> texts;
  for (const Problem& problem : rules.problems) texts.push_back(FormatText(problem));
  return texts;
}

// The one descriptor of a file with `fields` in it.
DescriptorSpec ParseDescriptor(const std::string& fields) {
  const RuleSet rules = Parse("domain: d\ndescriptors:\n  - {key: k, " + fields + "}\n");
  EXPECT_THAT(Texts(rules), IsEmpty()) << fields;
  if (rules.domains.size() != 1 || rules.domains[0].descriptors.size() != 1) return {};
  return rules.domains[0].descriptors[0];
}

RuleSpec ParseRule(const std::string& fields) {
  return ParseDescriptor("rate_limit: {" + fields + "}").rate_limit.value_or(RuleSpec{});
}

// ---- Fixtures: each file ends with the texts it must cause, "# expect: <text>".

struct Fixture {
  std::string name;
  std::string content;
  std::vector<std::string> expected;
};

std::vector<Fixture> ReadFixtures(const std::string& folder) {
  constexpr std::string_view kMark = "# expect: ";
  std::vector<Fixture> fixtures;
  for (const auto& entry : std::filesystem::directory_iterator(Fixtures() / folder)) {
    Fixture fixture{entry.path().stem(), ReadText(entry.path()), {}};
    std::istringstream lines(fixture.content);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(kMark)) {
        fixture.expected.push_back(fixture.name + ": " + line.substr(kMark.size()));
      }
    }
    fixtures.push_back(std::move(fixture));
  }
  std::sort(fixtures.begin(), fixtures.end(),
            [](const Fixture& a, const Fixture& b) { return a.name < b.name; });
  return fixtures;
}

class FixtureTest : public ::testing::TestWithParam<Fixture> {};

TEST_P(FixtureTest, ReportsExactlyTheExpectedProblems) {
  const Fixture& fixture = GetParam();
  const std::vector<RuleFile> files = {File(fixture.name, fixture.content)};
  const RuleSet rules = ParseRuleFiles(files, {});
  EXPECT_FALSE(fixture.expected.empty());
  EXPECT_EQ(Texts(rules), fixture.expected);
}

std::string FixtureName(const ::testing::TestParamInfo<Fixture>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Errors, FixtureTest, ::testing::ValuesIn(ReadFixtures("errors")),
                         FixtureName);
INSTANTIATE_TEST_SUITE_P(Warnings, FixtureTest, ::testing::ValuesIn(ReadFixtures("warnings")),
                         FixtureName);

TEST(Fixtures, ErrorsRejectTheFileAndWarningsDoNot) {
  for (const Fixture& fixture : ReadFixtures("errors")) {
    EXPECT_FALSE(Parse(fixture.content).ok()) << fixture.name;
  }
  for (const Fixture& fixture : ReadFixtures("warnings")) {
    EXPECT_TRUE(Parse(fixture.content).ok()) << fixture.name;
  }
}

TEST(Fixtures, CoverEveryErrorText) {
  std::string all;
  for (const Fixture& fixture : ReadFixtures("errors")) {
    for (const std::string& text : fixture.expected) all += text + "\n";
  }
  for (const char* text :
       {": config file cannot have empty domain (",
        ": descriptor has empty key (",
        ": duplicate descriptor composite key 'd.a' (",
        ": invalid rate limit unit 'foo' (",
        ": invalid rate limit unit '' (",
        ": should not specify rate limit unit when unlimited (",
        ": should not have an empty replaces entry (",
        ": replaces should not contain name of same descriptor (",
        ": share_threshold can only be used with wildcard values (containing '*'), but found key "
        "'a_b' (",
        ": error parsing metadata: ",
        ": error loading config file: ",
        ": config error, unknown key 'ratelimit' (",
        ": config error, key is not of type string: 0.25 (",
        ": config error, key is not of type string: <nil> (",
        ": config error, yaml file contains list of type other than map: a (",
        ": error checking config (",
        ": invalid rate limit algorithm 'tokenbucket' (",
        ": invalid rate limit consistency 'eventual' (",
        ": invalid rate limit on_store_failure 'open' (",
        ": burst can only be used with algorithm 'token_bucket', but found algorithm "
        "'fixed_window' (",
        ": precision can only be used with algorithm 'sliding_window', but found algorithm "
        "'token_bucket' (",
        ": burst should not be zero (",
        ": unit_multiplier should not be zero (",
        ": precision should be between 1 and 100, but found 101 (",
        ": rate limit window is too long: 2333664000 seconds (maximum 2305843009) (",
        ": should not specify 'burst' when unlimited (",
        ": algorithm 'sliding_window' needs requests_per_unit ("}) {
    EXPECT_THAT(all, HasSubstr(text));
  }
}

// ---- The whole of a file.

constexpr const char* kAllKeys = R"(
domain: shop
descriptors:
  - key: user
    value: a*
    share_threshold: true
    value_to_metric: true
    descriptors:
      - key: op
        value: read
        shadow_mode: true
        quota_mode: yes
        detailed_metric: on
        metadata: {team: search, tier: 2, tags: [x, 1.5, ~, true], since: 2024-01-01}
        rate_limit:
          name: reads
          unit: MINUTE
          requests_per_unit: 0x10
          replaces: [{name: other}, {name: more}]
  - key: other
    rate_limit: {unlimited: true, name: other}
  - key: more
    rate_limit:
      name: more
      unit: hour
      unit_multiplier: 6
      requests_per_unit: 1_000
      algorithm: Token_Bucket
      burst: 010
      consistency: EXACT
      on_store_failure: deny
)";

TEST(RuleFile, ReadsDescriptorKeys) {
  const RuleSet rules = Parse(kAllKeys);
  EXPECT_THAT(Texts(rules), IsEmpty());
  ASSERT_EQ(rules.domains.size(), 1u);
  EXPECT_EQ(rules.domains[0].domain, "shop");
  EXPECT_EQ(rules.domains[0].position.line, 2);
  ASSERT_EQ(rules.domains[0].descriptors.size(), 3u);
  const DescriptorSpec& user = rules.domains[0].descriptors[0];
  EXPECT_EQ(user.key, "user");
  EXPECT_EQ(user.value, "a*");
  EXPECT_TRUE(user.share_threshold);
  EXPECT_TRUE(user.value_to_metric);
  EXPECT_FALSE(user.shadow_mode);
  EXPECT_FALSE(user.rate_limit);
  EXPECT_EQ(user.position.file, "f");
  EXPECT_EQ(user.position.line, 4);
  EXPECT_EQ(user.position.column, 5);
  ASSERT_EQ(user.descriptors.size(), 1u);
  const DescriptorSpec& op = user.descriptors[0];
  EXPECT_TRUE(op.shadow_mode);
  EXPECT_TRUE(op.quota_mode);
  EXPECT_TRUE(op.detailed_metric);
  EXPECT_FALSE(op.value_to_metric);
}

TEST(RuleFile, ReadsRateLimits) {
  const RuleSet rules = Parse(kAllKeys);
  ASSERT_EQ(rules.domains.size(), 1u);
  const DescriptorSpec& op = rules.domains[0].descriptors[0].descriptors[0];
  ASSERT_TRUE(op.rate_limit);
  EXPECT_EQ(op.rate_limit->name, "reads");
  EXPECT_EQ(op.rate_limit->unit, Unit::kMinute);
  EXPECT_EQ(op.rate_limit->limit.hits, 16u);
  EXPECT_EQ(op.rate_limit->limit.window_ns, 60 * kSecondNs);
  EXPECT_EQ(op.rate_limit->limit.algorithm, Algorithm::kFixedWindow);
  EXPECT_THAT(op.rate_limit->replaces, ElementsAre("other", "more"));
  EXPECT_FALSE(op.rate_limit->consistency);
  EXPECT_FALSE(op.rate_limit->on_store_failure);

  const RuleSpec& other = *rules.domains[0].descriptors[1].rate_limit;
  EXPECT_TRUE(other.unlimited);
  EXPECT_EQ(other.unit, Unit::kUnknown);
  EXPECT_EQ(other.limit.window_ns, 0);

  const RuleSpec& more = *rules.domains[0].descriptors[2].rate_limit;
  EXPECT_EQ(more.limit.algorithm, Algorithm::kTokenBucket);
  EXPECT_EQ(more.limit.hits, 1000u);
  EXPECT_EQ(more.limit.burst, 8u);
  EXPECT_EQ(more.unit, Unit::kHour);
  EXPECT_EQ(more.unit_multiplier, 6u);
  EXPECT_EQ(more.limit.window_ns, 6 * 3600 * kSecondNs);
  EXPECT_EQ(more.consistency, Consistency::kExact);
  EXPECT_EQ(more.on_store_failure, OnStoreFailure::kDeny);
}

TEST(RuleFile, ReadsMetadataByType) {
  const RuleSet rules = Parse(kAllKeys);
  ASSERT_EQ(rules.domains.size(), 1u);
  const MetadataMap& map = rules.domains[0].descriptors[0].descriptors[0].metadata;
  ASSERT_EQ(map.size(), 4u);
  EXPECT_EQ(map[0].name, "team");
  EXPECT_EQ(std::get<std::string>(map[0].value.value), "search");
  EXPECT_EQ(std::get<double>(map[1].value.value), 2);
  const auto& tags = std::get<MetadataList>(map[2].value.value);
  ASSERT_EQ(tags.size(), 4u);
  EXPECT_EQ(std::get<std::string>(tags[0].value), "x");
  EXPECT_EQ(std::get<double>(tags[1].value), 1.5);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(tags[2].value));
  EXPECT_TRUE(std::get<bool>(tags[3].value));
  EXPECT_EQ(std::get<std::string>(map[3].value.value), "2024-01-01");
}

TEST(RuleFile, MetadataKeysAreFreeAndTheLastOfRepeatedOnesCounts) {
  const MetadataMap map = ParseDescriptor("metadata: {unti: 1, 7: {x: {}}, unti: 2}").metadata;
  ASSERT_EQ(map.size(), 2u);
  EXPECT_EQ(map[0].name, "unti");
  EXPECT_EQ(std::get<double>(map[0].value.value), 2);
  EXPECT_EQ(map[1].name, "7");
  EXPECT_EQ(std::get<MetadataMap>(map[1].value.value).size(), 1u);
}

TEST(RuleFile, ReadsEveryUnitInAnyCase) {
  const std::vector<std::pair<std::string, int64_t>> units = {
      {"second", 1},    {"Minute", 60},     {"HOUR", 3600},    {"day", 86400},
      {"wEEk", 604800}, {"month", 2592000}, {"year", 31536000}};
  for (const auto& [name, seconds] : units) {
    EXPECT_EQ(ParseRule("unit: " + name + ", requests_per_unit: 1").limit.window_ns,
              seconds * kSecondNs)
        << name;
  }
}

TEST(RuleFile, ReadsEveryAlgorithmWithItsDefaults) {
  const std::string base = "unit: second, requests_per_unit: 5, algorithm: ";
  EXPECT_EQ(ParseRule(base + "fixed_window").limit.algorithm, Algorithm::kFixedWindow);
  EXPECT_EQ(ParseRule(base + "sliding_window").limit.algorithm, Algorithm::kSlidingWindow);
  EXPECT_EQ(ParseRule(base + "sliding_window").limit.precision, kPrecisionDefault);
  EXPECT_EQ(ParseRule(base + "sliding_window, precision: 100").limit.precision, 100u);
  EXPECT_EQ(ParseRule(base + "token_bucket").limit.algorithm, Algorithm::kTokenBucket);
  EXPECT_EQ(ParseRule(base + "token_bucket").limit.burst, 0u);
  EXPECT_EQ(ParseRule(base + "token_bucket, burst: 1").limit.burst, 1u);
}

TEST(RuleFile, ReadsEveryPolicy) {
  const std::string base = "unit: second, requests_per_unit: 5, ";
  EXPECT_EQ(ParseRule(base + "consistency: exact").consistency, Consistency::kExact);
  EXPECT_EQ(ParseRule(base + "consistency: leased").consistency, Consistency::kLeased);
  EXPECT_EQ(ParseRule(base + "on_store_failure: allow").on_store_failure, OnStoreFailure::kAllow);
  EXPECT_EQ(ParseRule(base + "on_store_failure: deny").on_store_failure, OnStoreFailure::kDeny);
  EXPECT_EQ(ParseRule(base + "on_store_failure: error").on_store_failure, OnStoreFailure::kError);
  EXPECT_EQ(ParseRule(base + "on_store_failure: local_share").on_store_failure,
            OnStoreFailure::kLocalShare);
}

TEST(RuleFile, AWrittenZeroIsABanWithoutWarning) {
  for (const char* algorithm : {"fixed_window", "sliding_window", "token_bucket"}) {
    const RuleSpec rule =
        ParseRule(std::string("unit: second, requests_per_unit: 0, algorithm: ") + algorithm);
    EXPECT_EQ(rule.limit.hits, 0u);
  }
}

TEST(RuleFile, NullCountsAsNotWritten) {
  const DescriptorSpec descriptor = ParseDescriptor(
      "value: ~, descriptors: null, shadow_mode: , metadata: ~, "
      "rate_limit: {unit: second, requests_per_unit: 1, burst: ~, replaces: , name: Null}");
  EXPECT_EQ(descriptor.value, "");
  EXPECT_FALSE(descriptor.shadow_mode);
  EXPECT_EQ(descriptor.rate_limit->name, "");
}

// ---- Scalars.

TEST(RuleFile, KeysAndValuesAreTheTextAsWritten) {
  for (const char* text : {"5", "0x10", "010", "1_000", "true", "yes", "-7", "2024-01-01", "1.2.3",
                           "12:30:00", "0b", "+", "1e", "_1", "9223372036854775807", "é"}) {
    EXPECT_EQ(ParseDescriptor(std::string("value: ") + text).value, text);
  }
  EXPECT_EQ(ParseDescriptor("value: \"1.5\"").value, "1.5");
  EXPECT_EQ(ParseDescriptor("value: '1e3'").value, "1e3");
  EXPECT_EQ(ParseDescriptor("value: !!str 1.5").value, "1.5");
  EXPECT_EQ(ParseDescriptor("value: \"null\"").value, "null");
}

YamlNode ScalarNode(const char* text, bool plain) {
  YamlNode node;
  node.kind = NodeKind::kScalar;
  node.plain = plain;
  node.text = text;
  return node;
}

TEST(ResolveScalar, FollowsYaml11) {
  for (const char* text :
       {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}) {
    EXPECT_EQ(ResolveScalar(ScalarNode(text, true)).type, ScalarType::kBool) << text;
    EXPECT_TRUE(ResolveScalar(ScalarNode(text, true)).boolean) << text;
    EXPECT_EQ(ResolveScalar(ScalarNode(text, false)).type, ScalarType::kText) << text;
  }
  for (const char* text : {"n", "no", "False", "FALSE", "off", "OFF"}) {
    EXPECT_EQ(ResolveScalar(ScalarNode(text, true)).type, ScalarType::kBool) << text;
    EXPECT_FALSE(ResolveScalar(ScalarNode(text, true)).boolean) << text;
  }
  const std::vector<std::pair<const char*, int64_t>> integers = {
      {"0", 0},
      {"12", 12},
      {"+12", 12},
      {"-12", -12},
      {"0x10", 16},
      {"0XfF", 255},
      {"010", 8},
      {"0o17", 15},
      {"0b101", 5},
      {"1_000", 1000},
      {"-0x10", -16},
      {"0x_1_0", 16},
      {"-0", 0},
      {"00", 0},
      {"9223372036854775807", INT64_MAX},
      {"-9223372036854775808", INT64_MIN}};
  for (const auto& [text, value] : integers) {
    EXPECT_EQ(ResolveScalar(ScalarNode(text, true)).type, ScalarType::kInt) << text;
    EXPECT_EQ(ResolveScalar(ScalarNode(text, true)).integer, value) << text;
  }
  const std::vector<std::pair<const char*, double>> floats = {
      {"1.5", 1.5},
      {"1.", 1},
      {".5", .5},
      {"-.5", -.5},
      {"1e3", 1000},
      {"09", 9},
      {"08.5", 8.5},
      {"1E-1", 0.1},
      {"1_0.5", 10.5},
      {"9223372036854775808", 9223372036854775808.0},
      {"18446744073709551616", 18446744073709551616.0}};
  for (const auto& [text, value] : floats) {
    EXPECT_EQ(ResolveScalar(ScalarNode(text, true)).type, ScalarType::kFloat) << text;
    EXPECT_DOUBLE_EQ(ResolveScalar(ScalarNode(text, true)).number, value) << text;
  }
  for (const char* text : {".inf", "-.INF", "+.Inf", ".nan"}) {
    EXPECT_EQ(ResolveScalar(ScalarNode(text, true)).type, ScalarType::kFloat) << text;
  }
  for (const char* text : {"tRUE", "yEs", "0x", "0b2", "1e", "1.2.3", "2024-01-01", "10:30", "-",
                           "+", ".", "-.", "0xg", "nan", "inf", "1 2", "--1", "<<"}) {
    EXPECT_EQ(ResolveScalar(ScalarNode(text, true)).type, ScalarType::kText) << text;
  }
}

// ---- Anchors, merges, repeats, documents.

TEST(RuleFile, AliasesAndMergeKeysWork) {
  const RuleSet rules = Parse(R"(
domain: d
descriptors:
  - &base
    key: a
    rate_limit: &limit {unit: day, requests_per_unit: 7, name: daily}
  - <<: *base
    key: b
  - key: c
    rate_limit: *limit
  - key: d
    rate_limit: {<<: *limit, name: mine, unit: hour}
  - key: e
    rate_limit: {<<: [{unit: minute}, *limit], name: ~}
)");
  EXPECT_THAT(Texts(rules), IsEmpty());
  ASSERT_EQ(rules.domains[0].descriptors.size(), 5u);
  const auto& descriptors = rules.domains[0].descriptors;
  EXPECT_EQ(descriptors[1].key, "b");
  EXPECT_EQ(descriptors[1].rate_limit->name, "daily");
  EXPECT_EQ(descriptors[2].rate_limit->limit.hits, 7u);
  EXPECT_EQ(descriptors[3].rate_limit->name, "mine");
  EXPECT_EQ(descriptors[3].rate_limit->unit, Unit::kHour);
  EXPECT_EQ(descriptors[3].rate_limit->limit.hits, 7u);
  EXPECT_EQ(descriptors[4].rate_limit->unit, Unit::kMinute);  // the first of a list has precedence
  EXPECT_EQ(descriptors[4].rate_limit->name, "");
}

TEST(RuleFile, TheLastOfRepeatedKeysCounts) {
  const RuleSet rules = Parse("domain: a\ndomain: b\n");
  ASSERT_EQ(rules.domains.size(), 1u);
  EXPECT_EQ(rules.domains[0].domain, "b");
  EXPECT_THAT(Texts(rules), ElementsAre("f: warning: key 'domain' is repeated: the last one counts "
                                        "(2:1): the first is in line 1"));
}

TEST(RuleFile, OnlyTheFirstDocumentIsRead) {
  for (const char* rest : {"---\ndomain: other\n", "...\n[garbage\n", "--- [garbage\n",
                           "...\n# note\n%TAG ! x\n---\nx\n", "# the end\n", ""}) {
    const RuleSet rules = Parse(std::string("domain: first\n") + rest);
    EXPECT_THAT(Texts(rules), IsEmpty()) << rest;
    ASSERT_EQ(rules.domains.size(), 1u) << rest;
    EXPECT_EQ(rules.domains[0].domain, "first");
  }
}

TEST(RuleFile, AByteOrderMarkAndCarriageReturnsAreFine) {
  const RuleSet rules = Parse(
      "\xEF\xBB\xBF"
      "domain: d\r\ndescriptors:\r\n  - key: a\r\n");
  EXPECT_THAT(Texts(rules), IsEmpty());
  EXPECT_EQ(rules.domains[0].descriptors[0].key, "a");
}

// ---- Several files.

TEST(RuleFiles, NoFilesAreAValidConfiguration) {
  const RuleSet rules = ParseRuleFiles({}, {});
  EXPECT_TRUE(rules.ok());
  EXPECT_THAT(rules.domains, IsEmpty());
  EXPECT_THAT(rules.problems, IsEmpty());
}

TEST(RuleFiles, AreReadInTheOrderOfTheirNames) {
  const std::vector<RuleFile> files = {File("b.yaml", "domain: b"), File("a.yaml", "domain: a")};
  const RuleSet rules = ParseRuleFiles(files, {});
  ASSERT_EQ(rules.domains.size(), 2u);
  EXPECT_EQ(rules.domains[0].domain, "a");
}

TEST(RuleFiles, ASecondFileOfADomainIsAnError) {
  const std::vector<RuleFile> files = {File("b", "descriptors: []\ndomain: x"),
                                       File("a", "domain: x")};
  EXPECT_THAT(Texts(ParseRuleFiles(files, {})),
              ElementsAre("b: duplicate domain 'x' in config file (2:9): it is in a too; "
                          "MERGE_DOMAIN_CONFIG=true merges them"));
}

TEST(RuleFiles, MergeTheirDomainsAtTheTopLevel) {
  const std::vector<RuleFile> files = {File("b", "domain: x\ndescriptors: [{key: b}]"),
                                       File("c", "domain: other"),
                                       File("a", "domain: x\ndescriptors: [{key: a}]")};
  const RuleSet rules = ParseRuleFiles(files, {.merge_domains = true});
  EXPECT_TRUE(rules.ok());
  ASSERT_EQ(rules.domains.size(), 2u);
  EXPECT_EQ(rules.domains[0].domain, "x");
  ASSERT_EQ(rules.domains[0].descriptors.size(), 2u);
  EXPECT_EQ(rules.domains[0].descriptors[0].key, "a");
  EXPECT_EQ(rules.domains[0].descriptors[1].key, "b");
  EXPECT_EQ(rules.domains[0].descriptors[1].position.file, "b");
}

TEST(RuleFiles, MergedFilesMayNotRepeatAKey) {
  const std::vector<RuleFile> files = {File("a", "domain: x\ndescriptors: [{key: k, value: v}]"),
                                       File("b", "domain: x\ndescriptors:\n- {key: k, value: v}")};
  EXPECT_THAT(Texts(ParseRuleFiles(files, {.merge_domains = true})),
              ElementsAre("b: duplicate descriptor composite key 'x.k_v' (3:3)"));
}

TEST(RuleFiles, AllProblemsOfAllFilesAreReportedAtOnce) {
  const std::vector<RuleFile> files = {
      File("c", "domain: c\ndescriptors:\n- value: x\n- {key: k, rate_limit: {unit: x}}"),
      File("a", "domain: ]"), File("b", "domain: b\nfoo: 1"), File("ok", "domain: fine")};
  EXPECT_THAT(
      Texts(ParseRuleFiles(files, {})),
      ElementsAre(
          "a: error loading config file: illegal flow end (1:9)",
          "b: config error, unknown key 'foo' (2:1)", "c: descriptor has empty key (3:3)",
          "c: warning: requests_per_unit is missing: 0 is assumed, which denies every request "
          "(4:24): write requests_per_unit: 0 if this is meant",
          "c: invalid rate limit unit 'x' (4:31): use one of second, minute, hour, day, week, "
          "month, year"));
}

TEST(RuleFiles, SkippedOnesCauseAWarning) {
  const std::vector<RuleFile> files = {{"a.yaml~", "", "", "its name ends with '~'"}};
  const RuleSet rules = ParseRuleFiles(files, {});
  EXPECT_TRUE(rules.ok());
  EXPECT_THAT(Texts(rules), ElementsAre("a.yaml~: warning: skipped: its name ends with '~'"));
}

TEST(RuleFiles, StrictMakesMisplacedKeysErrors) {
  const RuleSet rules = Parse("domain: d\nunit: day", {.strict = true});
  EXPECT_FALSE(rules.ok());
  EXPECT_THAT(Texts(rules),
              ElementsAre("f: key 'unit' has no effect at the top of the file (2:1): it belongs in "
                          "rate_limit"));
}

TEST(RuleFiles, ProblemsBeyondTheMaximumAreCounted) {
  std::string content = "domain: d\ndescriptors:\n";
  for (int i = 0; i < 10; ++i) content += "- value: x\n";
  const RuleSet rules = Parse(content, {.problems_max = 3});
  EXPECT_THAT(Texts(rules),
              ElementsAre("f: descriptor has empty key (3:3)", "f: descriptor has empty key (4:3)",
                          "f: descriptor has empty key (5:3)", "7 more errors"));
}

// ---- Suggestions.

TEST(Suggestions, NameTheNearestKey) {
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"rate_limits", "rate_limit"},
      {"rateLimit", "rate_limit"},
      {"Descriptors", "descriptors"},
      {"descriptor", "descriptors"},
      {"request_per_unit", "requests_per_unit"},
      {"requests-per-unit", "requests_per_unit"},
      {"shadowmode", "shadow_mode"},
      {"vaule", "value"},
      {"burts", "burst"},
      {"algoritm", "algorithm"},
      {"on_store_failur", "on_store_failure"}};
  for (const auto& [written, meant] : cases) {
    const RuleSet rules = Parse(std::string("domain: d\n") + written + ": 1");
    ASSERT_EQ(rules.problems.size(), 1u) << written;
    EXPECT_EQ(rules.problems[0].message,
              std::string("config error, unknown key '") + written + "'");
    EXPECT_EQ(rules.problems[0].remedy, std::string("did you mean '") + meant + "'?");
  }
  for (const char* written :
       {"x", "headers", "zzzzzz", "qps", "0123456789012345678901234567890123456789x"}) {
    const RuleSet rules = Parse(std::string("domain: d\n") + written + ": 1");
    ASSERT_EQ(rules.problems.size(), 1u) << written;
    EXPECT_EQ(rules.problems[0].remedy, "") << written;
  }
}

// ---- Formats of problems.

TEST(Problem, FormatsAsGithubAnnotation) {
  const Problem problem{Problem::kError, {"a.b.yaml", 3, 7}, "100% wrong\nreally", "try, this"};
  EXPECT_EQ(FormatGithub(problem, "rules/a,b.yaml"),
            "::error file=rules/a%2Cb.yaml,line=3,col=7::100%25 wrong%0Areally: try, this");
  EXPECT_EQ(FormatGithub({Problem::kWarning, {"f", 0, 0}, "m", ""}, ""), "::warning file=f::m");
}

TEST(Problem, FormatsAsJson) {
  const std::vector<Problem> problems = {{Problem::kError, {"f", 1, 2}, "say \"x\" \xff", ""}};
  EXPECT_EQ(FormatJson(problems),
            "[\n  {\n    \"severity\": \"error\",\n    \"file\": \"f\",\n    \"line\": 1,\n"
            "    \"column\": 2,\n    \"message\": \"say \\\"x\\\" \xEF\xBF\xBD\",\n"
            "    \"remedy\": \"\"\n  }\n]");
  EXPECT_EQ(FormatJson({}), "[]");
}

TEST(Problem, TextCannotForgeLogLines) {
  EXPECT_EQ(FormatText({Problem::kError, {"f", 1, 1}, "x\nf: ok\x1b[0m", ""}),
            "f: x\\nf: ok\\x1b[0m (1:1)");
}

// ---- Hostile files.

// The one problem of a file, without file and position.
std::string OnlyMessage(std::string content, const RuleFileOptions& options = {}) {
  const RuleSet rules = Parse(std::move(content), options);
  EXPECT_EQ(rules.problems.size(), 1u);
  return rules.problems.empty() ? "" : rules.problems[0].message;
}

std::string Repeat(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

TEST(HostileFile, DeepNestingIsRefused) {
  constexpr const char* kText = "error loading config file: the file is nested more than 32 deep";
  EXPECT_EQ(OnlyMessage("domain: " + Repeat("[", 33) + Repeat("]", 33)), kText);
  EXPECT_EQ(OnlyMessage("domain: " + Repeat("{a: ", 100) + Repeat("}", 100)), kText);
  EXPECT_EQ(OnlyMessage(Repeat("- ", 100'000)), kText);
  EXPECT_EQ(OnlyMessage(Repeat("[", 1000)), kText);
}

// yaml-cpp would hold all of it in memory before it tells of the first node.
TEST(HostileFile, FloodsOfBracketsAndCommasAreRefusedBeforeParsing) {
  EXPECT_EQ(OnlyMessage(Repeat("[", 1001)),
            "error loading config file: more than 1000 brackets are open");
  EXPECT_EQ(OnlyMessage(Repeat("{a: 1,", 1001)),
            "error loading config file: more than 1000 brackets are open");
  EXPECT_EQ(OnlyMessage("[" + Repeat(",", 100), {.nodes_max = 50}),
            "error loading config file: the file has more than 100 commas, colons and brackets");
  EXPECT_THAT(Texts(Parse("domain: d\n# " + Repeat("]", 2000) + Repeat("[", 1000))), IsEmpty());
}

TEST(HostileFile, FifteenLevelsOfDescriptorsAreNot) {
  std::string content = "domain: d\n";
  for (int level = 0; level < 15; ++level) {
    content += std::string(static_cast<size_t>(level) * 2, ' ') + "descriptors:\n" +
               std::string(static_cast<size_t>(level) * 2, ' ') + "- key: k\n";
  }
  EXPECT_THAT(Texts(Parse(content)), IsEmpty());
}

// Each line doubles what the one before stands for: 8192 descriptors in 13 lines.
TEST(HostileFile, ABombOfAliasesIsRefused) {
  std::string content = "domain: d\ndescriptors:\n- &a0 {key: k}\n";
  for (int level = 1; level <= 12; ++level) {
    const std::string below = "*a" + std::to_string(level - 1);
    content += "- &a" + std::to_string(level) + " {key: k" + std::to_string(level) +
               ", descriptors: [{<<: " + below + ", key: x}, {<<: " + below + ", key: y}]}\n";
  }
  EXPECT_EQ(OnlyMessage(content, {.nodes_max = 20'000}),
            "error loading config file: the file has more than 20000 nodes");
  EXPECT_THAT(Texts(Parse(content)), IsEmpty());
}

TEST(HostileFile, ABombOfMetadataIsRefused) {
  std::string content = "domain: d\ndescriptors:\n- key: k\n  metadata:\n    a0: &a0 [x, x]\n";
  for (int level = 1; level < 25; ++level) {
    const std::string below = "*a" + std::to_string(level - 1);
    const std::string name = "a" + std::to_string(level);
    content += "    " + name + ": &" + name + " [" + below + ", " + below + "]\n";
  }
  EXPECT_EQ(OnlyMessage(content),
            "error loading config file: the file has more than 3000000 nodes");
}

TEST(HostileFile, AliasesNestNoDeeperThanTheBound) {
  std::string content = "domain: d\ndescriptors:\n- &a0 {key: k}\n";
  for (int level = 1; level <= 40; ++level) {
    content += "- &a" + std::to_string(level) + " {key: k" + std::to_string(level) +
               ", descriptors: [*a" + std::to_string(level - 1) + "]}\n";
  }
  EXPECT_EQ(OnlyMessage(content),
            "error loading config file: the file is nested more than 32 deep");
}

TEST(HostileFile, BoundsOnSizeAndNodesHold) {
  EXPECT_EQ(OnlyMessage("domain: d # 14", {.file_bytes_max = 13}),
            "error loading config file: the file has more than 13 bytes");
  EXPECT_THAT(Texts(Parse("domain: d # 14", {.file_bytes_max = 14})), IsEmpty());
  EXPECT_EQ(OnlyMessage("domain: d\ndescriptors: [{key: a}]", {.nodes_max = 7}),
            "error loading config file: the file has more than 7 nodes");
  EXPECT_THAT(Texts(Parse("domain: d\ndescriptors: [{key: a}]", {.nodes_max = 8})), IsEmpty());
}

TEST(HostileFile, AMessageQuotesNoMoreThanItsStart) {
  std::string unit = "x";
  for (int i = 0; i < 100'000; ++i) unit += "ü";
  const RuleSet rules =
      Parse("domain: d\ndescriptors:\n  - key: a\n    rate_limit: {unit: " + unit +
            ", requests_per_unit: 1}\n");
  ASSERT_EQ(rules.problems.size(), 1U);
  const std::string& message = rules.problems[0].message;
  EXPECT_TRUE(message.starts_with("invalid rate limit unit 'xüü")) << message;
  EXPECT_TRUE(message.ends_with("üü…")) << message;
  EXPECT_LE(message.size(), 1027U);
}

TEST(HostileFile, WhatIsNotTextIsRefused) {
  const std::string control = "error loading config file: control characters are not allowed";
  const std::string encoding = "error loading config file: the file is not UTF-8 text";
  EXPECT_EQ(OnlyMessage(std::string("domain: d\0x", 11)), control);
  EXPECT_EQ(OnlyMessage("domain: d\x04\nfoo: bar"), control);
  EXPECT_EQ(OnlyMessage("\x7f"
                        "ELF\x02\x01\x01"),
            control);
  EXPECT_EQ(OnlyMessage("domain: \xff"), encoding);
  EXPECT_EQ(OnlyMessage("domain: \xc0\xaf"), encoding);          // overlong
  EXPECT_EQ(OnlyMessage("domain: \xed\xa0\x80"), encoding);      // surrogate
  EXPECT_EQ(OnlyMessage("domain: \xf4\x90\x80\x80"), encoding);  // above U+10FFFF
  EXPECT_EQ(OnlyMessage("domain: \xe2\x82"), encoding);          // cut short
  EXPECT_EQ(OnlyMessage(std::string("\xff\xfe"
                                    "d\0:\0",
                                    6)),
            encoding);
}

TEST(HostileFile, PositionsOfBadBytesAreExact) {
  const RuleSet rules = Parse("domain: d\n# \xff");
  ASSERT_EQ(rules.problems.size(), 1u);
  EXPECT_EQ(rules.problems[0].position.line, 2);
  EXPECT_EQ(rules.problems[0].position.column, 3);
}

TEST(HostileFile, ManyWildcardsAndRepeatedKeysStayCheap) {
  std::string content = "domain: d\ndescriptors:\n";
  for (int i = 0; i < 20'000; ++i) {
    content += "- {key: k, value: \"" + std::to_string(i) + "*" + std::to_string(i) + "\"}\n";
  }
  EXPECT_TRUE(Parse(content).ok());
  std::string metadata = "domain: d\ndescriptors:\n- key: k\n  metadata:\n";
  for (int i = 0; i < 50'000; ++i) metadata += "    k" + std::to_string(i) + ": 1\n";
  const RuleSet rules = Parse(metadata);
  ASSERT_TRUE(rules.ok());
  EXPECT_EQ(rules.domains[0].descriptors[0].metadata.size(), 50'000u);
}

TEST(HostileFile, CutFilesNeverCrash) {
  const std::string content = kAllKeys;
  for (size_t size = 0; size < content.size(); ++size) {
    const RuleSet rules = Parse(content.substr(0, size));
    EXPECT_TRUE(rules.ok() ? !rules.domains.empty() : !rules.problems.empty()) << size;
  }
}

}  // namespace
}  // namespace weir
