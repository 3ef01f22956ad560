#include "limiter/admin/status.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "limiter/admin/html.h"
#include "limiter/admin/http_server.h"
#include "limiter/admin/json_text.h"
#include "limiter/admin/query.h"
#include "limiter/admin/status_html.h"
#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using test::kSecondNs;
using test::On;

constexpr char kScript[] = "<script>alert(1)</script>";
// Ends an attribute, an element, a line and a string, and is not UTF-8.
const std::string kHostile =
    std::string("'\"><img src=x onerror=alert(1)>&\r\n\x1b[31m\xff") + '\0' + kScript;

TEST(EscapeHtml, ReplacesWhatMeansSomethingToHtml) {
  EXPECT_EQ(EscapeHtml("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
}

TEST(EscapeHtml, SpellsOutControlsAndReplacesWhatIsNotUtf8) {
  EXPECT_EQ(EscapeHtml(std::string("a\0b\x1b\r\x7f", 6)), "a\\x00b\\x1b\\x0d\\x7f");
  EXPECT_EQ(EscapeHtml("\xff ü"), "\xEF\xBF\xBD ü");
  EXPECT_EQ(OneLineText("a\n\xff"), "a\\x0a\xEF\xBF\xBD");
}

TEST(EscapeQuery, RoundTripsEveryByte) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ(QueryValue("x=1&rule=" + EscapeQuery(all) + "&rule=2", "rule"), all);
}

TEST(Query, ReadsParametersAndNumbers) {
  EXPECT_EQ(QueryValue("a=1+2&b", "a"), "1 2");
  EXPECT_EQ(QueryValue("a=1&b", "b"), "");
  EXPECT_EQ(QueryValue("a=1", "c"), std::nullopt);
  EXPECT_EQ(QueryValue("", ""), std::nullopt);
  EXPECT_EQ(QueryNumber("k=7", "k", 1, 100, 20), 7);
  for (const char* bad : {"k=0", "k=101", "k=", "k=x", "k=1x", ""}) {
    EXPECT_EQ(QueryNumber(bad, "k", 1, 100, 20), 20) << bad;
  }
}

TEST(Query, ProgramsAskForJson) {
  const auto wants = [](const char* query, const char* accept) {
    return WantsJson({.method = "GET", .path = "/", .query = query, .accept = accept, .body = ""});
  };
  EXPECT_TRUE(wants("format=json", ""));
  EXPECT_TRUE(wants("", "application/json"));
  EXPECT_FALSE(wants("", "*/*"));
  EXPECT_FALSE(wants("", "text/html, application/json"));
  EXPECT_FALSE(wants("format=html", "application/json"));
}

TEST(Texts, AreForPeople) {
  EXPECT_EQ(NumberText(1234567.8), "1,234,568");
  EXPECT_EQ(NumberText(0), "0");
  EXPECT_EQ(NumberText(12.34), "12.3");
  EXPECT_EQ(NumberText(999), "999");
  EXPECT_EQ(PercentText(0.1234), "12.3 %");
  EXPECT_EQ(DurationText(4'200'000'000), "4.2 s");
  EXPECT_EQ(DurationText(3723 * kSecondNs), "1 h 2 min");
  EXPECT_EQ(TimeText(0), "1970-01-01 00:00:00 UTC");
}

// Every field that takes text holds the hostile one.
Status Hostile() {
  Status status;
  status.version = kHostile;
  status.build = {{"version", kHostile}};
  status.enforcement_off_domains = {kHostile};
  status.shadow_mode = true;
  status.show_keys = true;
  status.rules_count = 1;
  RuleStatus& rule = status.rules.emplace_back();
  rule.domain = rule.label = rule.limit = rule.place = rule.exact_because = kHostile;
  rule.top.hits = 1;
  rule.top.keys = {{.key = {1, 2}, .text = kHostile, .hits = 1}};
  status.store = {.kind = kHostile,
                  .state = kHostile,
                  .nodes = 2,
                  .failovers = 1,
                  .servers = {{kHostile, kHostile}}};
  Reload& reload = status.reloads.emplace_back();
  reload.in_force = true;
  reload.added.Add(kHostile);
  reload.changed.Add(kHostile);
  reload.removed.Add(kHostile);
  reload.AddError(kHostile);
  status.settings = kHostile;
  return status;
}

std::size_t Count(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

void ExpectInert(const std::string& html) {
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("<img"), std::string::npos);
  EXPECT_EQ(html.find('\0'), std::string::npos);
  EXPECT_EQ(html.find('\r'), std::string::npos);
  EXPECT_EQ(html.find('\x1b'), std::string::npos);
  EXPECT_EQ(html.find('\xff'), std::string::npos);
  EXPECT_EQ(html.find(" onerror=alert(1)>"), std::string::npos);
}

TEST(StatusHtml, HostileTextIsInert) {
  const std::string html = StatusHtml(Hostile());
  ExpectInert(html);
  EXPECT_EQ(Count(html, "&lt;script&gt;"), 22U);
  ExpectInert(
      TopHtml({{.domain = kHostile, .label = kHostile, .top = Hostile().rules[0].top}}, true, 0));
}

TEST(StatusHtml, FetchesNothingAndRunsNothing) {
  const std::string html = StatusHtml(Hostile());
  for (const char* part : {"<link", "<iframe", "<object", "<form", "@import", "url(",
                           "javascript:", "http://", "https://", " style=", " onload"}) {
    EXPECT_EQ(html.find(part), std::string::npos) << part;
  }
}

TEST(StatusHtml, SaysLoudlyThatNothingIsEnforced) {
  Status status;
  EXPECT_EQ(StatusHtml(status).find("role=\"alert\""), std::string::npos);
  status.shadow_mode = true;
  EXPECT_NE(StatusHtml(status).find("Global shadow mode"), std::string::npos);
  status.shadow_mode = false;
  status.enforcement_off_domains = {"shop", "*"};
  const std::string html = StatusHtml(status);
  EXPECT_NE(
      html.find("role=\"alert\">Enforcement is switched off for <bdi>shop</bdi>, all domains"),
      std::string::npos);
  status.enforcement_off_domains = {};
  status.reloads.emplace_back().AddError("shop.yaml:3:7: bad");
  EXPECT_NE(StatusHtml(status).find("none are in force"), std::string::npos);
  EXPECT_NE(StatusHtml(status).find("<code>shop.yaml:3:7: bad</code>"), std::string::npos);
}

TEST(StatusHtml, LooksAgainOnlyWhenAsked) {
  Status status;
  EXPECT_EQ(StatusHtml(status).find("http-equiv"), std::string::npos);
  status.refresh_s = 5;
  EXPECT_NE(StatusHtml(status).find("<meta http-equiv=\"refresh\" content=\"5\">"),
            std::string::npos);
}

TEST(StatusHtml, ShowsKeysOnlyIfAllowed) {
  Status status = Hostile();
  status.rules[0].top.keys[0].text = "user=ada";
  EXPECT_NE(StatusHtml(status).find("user=ada"), std::string::npos);
  status.show_keys = false;
  EXPECT_EQ(StatusHtml(status).find("user=ada"), std::string::npos);
  EXPECT_NE(StatusHtml(status).find("<code>0000000000000001</code>"), std::string::npos);
}

TEST(StatusHtml, TheStylesheetIsTheOneThatThePolicyAllows) {
  const char* style = StatusStyle();
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(style, std::strlen(style), digest.data(), &size, EVP_sha256(), nullptr);
  std::array<unsigned char, 2 * EVP_MAX_MD_SIZE> text{};
  EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(size));
  EXPECT_EQ(std::string("sha256-") + reinterpret_cast<const char*>(text.data()), kStatusStyleHash);
  EXPECT_NE(StatusHtml({}).find(std::string("<style>") + style + "</style>"), std::string::npos);
}

TEST(Json, HostileTextSurvivesAsText) {
  const Status status = Hostile();
  for (const std::string& text : {StatusJson(status), ReloadsJson(status.reloads),
                                  TopJson(std::vector<TopPage>{{.domain = kHostile,
                                  .label = kHostile,
                                  .top = status.rules[0].top,
                                  .show_keys = true}})}) {
    const auto json = nlohmann::json::parse(text, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << text;
    EXPECT_NE(json.dump().find("script"), std::string::npos);
  }
}

TEST(ReloadHistory, KeepsTheLastOnesAndCutsLongLists) {
  ReloadHistory history;
  for (int i = 0; i < 30; ++i) {
    Reload reload;
    reload.wall_ns = i;
    for (int rule = 0; rule < 100; ++rule) {
      reload.added.Add("r");
      reload.AddError("e");
    }
    history.Add(std::move(reload));
  }
  const std::vector<Reload> kept = history.Get();
  ASSERT_EQ(kept.size(), ReloadHistory::kReloadsMax);
  EXPECT_EQ(kept[0].wall_ns, 29);
  EXPECT_EQ(kept[0].added.names.size(), RuleNames::kNamesMax);
  EXPECT_EQ(kept[0].added.count, 100U);
  EXPECT_EQ(kept[0].errors.size(), Reload::kErrorsMax);
}

TEST(FillRules, TellsRatesOverTheTimeSinceAnEarlierLook) {
  test::EngineHarness harness(
      {On("quiet").Fixed(1, Unit::kHour), On("busy").Fixed(3, Unit::kHour)});
  RuleRates rates(harness.engine.now().mono_ns);
  const auto look = [&] {
    Status status;
    FillRules(harness.engine, rates, status);
    return status;
  };
  for (int i = 0; i < 12; ++i) harness.Take({{"busy", "1"}});
  harness.clock.Advance(4 * kSecondNs);
  Status status = look();
  EXPECT_TRUE(status.since_start);
  EXPECT_EQ(status.interval_ns, 4 * kSecondNs);
  ASSERT_EQ(status.rules.size(), 2U);
  EXPECT_EQ(status.rules[0].label, "busy");  // the busiest first
  EXPECT_DOUBLE_EQ(status.rules[0].decisions_per_s, 3);
  EXPECT_DOUBLE_EQ(status.rules[0].denied_ratio, 0.75);
  EXPECT_EQ(status.rules[0].limit, "3 per hour, fixed window");
  harness.clock.Advance(kSecondNs);
  EXPECT_EQ(look().interval_ns, 5 * kSecondNs);  // too soon for a new interval
  harness.clock.Advance(kSecondNs);
  for (int i = 0; i < 4; ++i) harness.Take({{"quiet", "1"}});
  status = look();
  EXPECT_FALSE(status.since_start);
  EXPECT_EQ(status.interval_ns, 2 * kSecondNs);
  EXPECT_EQ(status.rules[0].label, "quiet");
  EXPECT_DOUBLE_EQ(status.rules[0].decisions_per_s, 2);
}

TEST(FillRules, ShowsTheBusiestOfManyRules) {
  std::vector<DescriptorSpec> rules;
  for (std::size_t i = 0; i < Status::kRulesShown + 5; ++i) {
    rules.push_back(On("k", std::to_string(i)).Fixed(1, Unit::kHour));
  }
  test::EngineHarness harness(std::move(rules));
  RuleRates rates(0);
  Status status;
  FillRules(harness.engine, rates, status);
  EXPECT_EQ(status.rules.size(), Status::kRulesShown);
  EXPECT_NE(StatusHtml(status).find("The 100 busiest of 105 rules"), std::string::npos);
}

}  // namespace
}  // namespace weir
