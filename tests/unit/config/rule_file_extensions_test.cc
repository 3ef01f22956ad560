// Where another program counts the same limits, what it would refuse is refused.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "limiter/config/rule_file.h"

namespace weir {
namespace {

using ::testing::ElementsAre;

RuleFile File(std::string name, std::string content) {
  return {std::move(name), std::move(content), "", ""};
}

std::vector<std::string> Texts(const std::vector<RuleFile>& files) {
  std::vector<std::string> texts;
  for (const Problem& problem : ParseRuleFiles(files, {.extensions = false}).problems) {
    texts.push_back(FormatText(problem));
  }
  return texts;
}

std::string Refusal(const std::string& file, const std::string& key, const std::string& place) {
  return file + ": key '" + key +
         "' is not one of envoyproxy/ratelimit, which counts these limits too (redis-key-format is "
         "ratelimit) (" +
         place + "): remove it until only Weir counts, then set redis-key-format to weir";
}

TEST(NoExtensions, EachIsAnErrorAtItsPlaceAllAtOnce) {
  const std::string first = R"(domain: d
descriptors:
- key: k
  rate_limit:
    unit: minute
    requests_per_unit: 5
    algorithm: fixed_window
    consistency: exact
    on_store_failure: deny
- key: l
  rate_limit: {unit: minute, requests_per_unit: 5, unit_multiplier: 1}
)";
  const std::string second = R"(domain: e
descriptors:
- key: k
  rate_limit: &limit {unit: second, requests_per_unit: 1,
                      algorithm: token_bucket, burst: 7}
- key: l
  rate_limit: {unit: second, requests_per_unit: 1, algorithm: sliding_window,
               precision: 9}
)";
  EXPECT_THAT(
      Texts({File("a.yaml", first), File("b.yaml", second)}),
      ElementsAre(Refusal("a.yaml", "algorithm", "7:5"), Refusal("a.yaml", "consistency", "8:5"),
                  Refusal("a.yaml", "on_store_failure", "9:5"),
                  Refusal("a.yaml", "unit_multiplier", "11:52"),
                  Refusal("b.yaml", "algorithm", "5:23"), Refusal("b.yaml", "burst", "5:48"),
                  Refusal("b.yaml", "algorithm", "7:52"), Refusal("b.yaml", "precision", "8:16")));
}

// The reference refuses it there too.
TEST(NoExtensions, AMisplacedOneIsAnErrorToo) {
  const std::vector<std::string> texts =
      Texts({File("f", "domain: d\ndescriptors:\n- {key: k, burst: 5}\n")});
  EXPECT_THAT(texts, ::testing::Contains(Refusal("f", "burst", "3:12")));
}

TEST(NoExtensions, AllKeysOfTheReferenceStay) {
  EXPECT_THAT(Texts({File("f", R"(domain: d
descriptors:
- key: k
  value: "v*"
  share_threshold: true
  value_to_metric: true
  detailed_metric: true
  shadow_mode: true
  metadata: {algorithm: free, burst: text}
  rate_limit: {unit: month, requests_per_unit: 0, name: n, replaces: [{name: o}]}
- key: o
  rate_limit: {unit: week, requests_per_unit: 1, name: o}
- key: q
  quota_mode: true
  rate_limit: {unlimited: true}
)")}),
              ElementsAre());
}

}  // namespace
}  // namespace weir
