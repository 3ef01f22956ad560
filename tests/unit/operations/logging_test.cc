#include "limiter/operations/logging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// Line breaks, a terminal's escapes in both forms, a forged line, NUL, DEL and bytes of no text.
const std::string kHostile =
    std::string("a\n2026-01-01T00:00:00.000Z info forged\r\x1b[31mred\xC2\x9b") + "32m\x7f\t" +
    std::string(1, '\0') + "\"}\\ \xff end";

std::vector<std::string> LinesOf(const std::string& level, bool json,
                                 const std::function<void()>& log) {
  testing::internal::CaptureStderr();
  StartLogging(level, json);
  log();
  ExpireLogRepeats(std::numeric_limits<int64_t>::max());
  std::vector<std::string> lines;
  std::string text = testing::internal::GetCapturedStderr();
  for (std::size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
    lines.push_back(text.substr(0, end));
  }
  EXPECT_EQ(text, "") << "no line break at the end";
  return lines;
}

void ExpectPlain(const std::string& line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    EXPECT_FALSE(byte < ' ' || byte == 0x7F) << "byte " << int{byte} << " in " << line;
  }
  EXPECT_EQ(line.find("\xC2\x9b"), std::string::npos);
}

TEST(Logging, AHostileTextIsOneHarmlessLine) {
  for (const bool json : {false, true}) {
    const std::vector<std::string> lines =
        LinesOf("info", json, [] { spdlog::warn("rules: {}", kHostile); });
    ASSERT_THAT(lines, SizeIs(1));
    ExpectPlain(lines[0]);
    EXPECT_THAT(lines[0], HasSubstr("forged"));
    if (!json) continue;
    const nlohmann::json parsed = nlohmann::json::parse(lines[0]);
    EXPECT_EQ(parsed.size(), 3U);
    EXPECT_EQ(parsed["level"], "warning");
    EXPECT_THAT(parsed["message"].get<std::string>(), HasSubstr("a\n2026"));
  }
}

TEST(Logging, NothingTurnsTheOrderOfTheTextAround) {
  EXPECT_EQ(EscapedForLog("a\u202Eb\u2066c\u200Fd"),
            "a\\xe2\\x80\\xaeb\\xe2\\x81\\xa6c\\xe2\\x80\\x8fd");
  EXPECT_EQ(EscapedForLog("\u2026 \u20AC \xE2\x80"), "\u2026 \u20AC \xE2\x80");
}

TEST(Logging, OrdinaryTextStaysAsItIs) {
  EXPECT_EQ(EscapedForLog("rules: Größe \"x\" \\n"), "rules: Größe \"x\" \\n");
}

TEST(Logging, RepeatsAreCounted) {
  const std::vector<std::string> lines = LinesOf("info", false, [] {
    for (int i = 0; i < 100; ++i) spdlog::warn("redis: away");
    spdlog::info("other");
  });
  ASSERT_THAT(lines, SizeIs(5));
  EXPECT_THAT(lines[4], HasSubstr(" warning redis: away (repeated 97 times within 10 s)"));
}

Denial HostileDenial() {
  return {.domain = kHostile,
          .rule = R"(a\" source=b\)",
          .source = Source::kDeniedCache,
          .shadow = true,
          .key_hash = 0xABC,
          .suppressed = 7};
}

TEST(Logging, ADenialIsALineOfFields) {
  const std::vector<std::string> lines = LinesOf("info", false, [] {
    LogDenial({.domain = "shop", .rule = "user_*", .source = Source::kLease}, "connected");
    LogDenial(HostileDenial(), "isolated");
  });
  ASSERT_THAT(lines, SizeIs(2));
  EXPECT_THAT(lines[0], HasSubstr(" info denied domain=shop rule=user_* source=lease "
                                  "store=connected mode=enforce key=0000000000000000 "
                                  "suppressed=0"));
  ExpectPlain(lines[1]);
  EXPECT_THAT(lines[1], HasSubstr(R"( rule="a\\\" source=b\\" source=denied_cache )"));
  EXPECT_THAT(lines[1], HasSubstr(" source=denied_cache store=isolated mode=shadow "
                                  "key=0000000000000abc suppressed=7"));
}

TEST(Logging, ADenialInJsonHasItsFields) {
  const std::vector<std::string> lines =
      LinesOf("info", true, [] { LogDenial(HostileDenial(), "isolated"); });
  ASSERT_THAT(lines, SizeIs(1));
  ExpectPlain(lines[0]);
  const nlohmann::json parsed = nlohmann::json::parse(lines[0]);
  EXPECT_EQ(parsed["message"], "denied");
  EXPECT_EQ(parsed["rule"], HostileDenial().rule);
  EXPECT_EQ(parsed["source"], "denied_cache");
  EXPECT_EQ(parsed["store"], "isolated");
  EXPECT_EQ(parsed["mode"], "shadow");
  EXPECT_EQ(parsed["key"], "0000000000000abc");
  EXPECT_EQ(parsed["suppressed"], 7);
}

TEST(Logging, NothingBelowTheLevel) {
  EXPECT_THAT(LinesOf("warn", false,
                      [] {
                        spdlog::info("no");
                        LogDenial(HostileDenial(), "connected");
                        EXPECT_FALSE(LogsInfo());
                      }),
              SizeIs(0));
}

}  // namespace
}  // namespace weir
