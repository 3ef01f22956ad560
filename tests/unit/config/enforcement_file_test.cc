#include "limiter/config/enforcement_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> ProblemsOf(std::string_view content) {
  std::vector<std::string> texts;
  for (const Problem& problem : ParseEnforcementFile(content, "off.yaml").problems) {
    texts.push_back(FormatText(problem));
  }
  return texts;
}

EnforcementOff OffOf(std::string_view content) {
  EXPECT_THAT(ProblemsOf(content), IsEmpty()) << content;
  return ParseEnforcementFile(content, "off.yaml").off;
}

TEST(EnforcementFile, SaysWhatIsOff) {
  EXPECT_EQ(OffOf("shadow: true\n"), (EnforcementOff{true, {}}));
  EXPECT_EQ(OffOf("shadow: yes\nshadow_domains: []\n"), (EnforcementOff{true, {}}));
  EXPECT_EQ(OffOf("shadow: false\nshadow_domains: [b, a, b]\n"),
            (EnforcementOff{false, {"a", "b"}}));
  EXPECT_EQ(OffOf("shadow_domains: &x [a]\n"), (EnforcementOff{false, {"a"}}));
}

TEST(EnforcementFile, OfNothingSwitchesNothingOff) {
  for (const char* text : {"", "# a comment\n", "{}", "shadow:\nshadow_domains:\n"}) {
    EXPECT_EQ(OffOf(text), EnforcementOff()) << text;
  }
}

TEST(EnforcementFile, ErrorsNameThePlaceAndTheRemedy) {
  EXPECT_THAT(ProblemsOf("shadow: maybe\n"),
              ElementsAre("off.yaml: shadow must be true or false (1:9)"));
  EXPECT_THAT(ProblemsOf("shadow: \"true\"\n"),
              ElementsAre("off.yaml: shadow must be true or false (1:9)"));
  EXPECT_THAT(ProblemsOf("\nshadow_domain: [a]\n"),
              ElementsAre("off.yaml: unknown key 'shadow_domain' (2:1): did you mean "
                          "'shadow_domains'?"));
  EXPECT_THAT(ProblemsOf("shadow_domains: shop\n"),
              ElementsAre("off.yaml: shadow_domains must be a list (1:17): write [name] for one "
                          "domain"));
  EXPECT_THAT(ProblemsOf("shadow_domains: [a, [b], \"\"]\n"),
              ElementsAre("off.yaml: a domain of shadow_domains must be text (1:21)",
                          "off.yaml: a domain of shadow_domains must be text (1:26)"));
  EXPECT_THAT(ProblemsOf("shadow: true\nshadow: false\n"),
              ElementsAre("off.yaml: key 'shadow' stands twice (2:1)"));
  EXPECT_THAT(ProblemsOf("[true]"), ElementsAre("off.yaml: the file must be a map of shadow and "
                                                "shadow_domains (1:1)"));
  EXPECT_EQ(ProblemsOf("shadow: [").size(), 1U);
}

TEST(EnforcementFile, ANameCannotForgeALine) {
  const std::vector<std::string> texts = ProblemsOf("\"x\\n2026 error forged\": 1\n");
  ASSERT_EQ(texts.size(), 1U);
  EXPECT_EQ(texts[0].find('\n'), std::string::npos);
}

}  // namespace
}  // namespace weir
