#include "limiter/config/settings_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kSecondNs = 1'000'000'000;

TEST(SettingsValue, BooleansAreThoseOfTheReference) {
  for (const char* const text : {"1", "t", "T", "TRUE", "true", "True"}) {
    bool value = false;
    EXPECT_TRUE(ParseBool(text, value)) << text;
    EXPECT_TRUE(value) << text;
  }
  for (const char* const text : {"0", "f", "F", "FALSE", "false", "False"}) {
    bool value = true;
    EXPECT_TRUE(ParseBool(text, value)) << text;
    EXPECT_FALSE(value) << text;
  }
  for (const char* const text : {"", "yes", "on", "tRUE", " true", "2"}) {
    bool value = true;
    EXPECT_FALSE(ParseBool(text, value)) << text;
    EXPECT_TRUE(value) << text;
  }
}

TEST(SettingsValue, CountsAreDigitsOnly) {
  uint64_t value = 0;
  EXPECT_TRUE(ParseCount("18446744073709551615", value));
  EXPECT_EQ(value, std::numeric_limits<uint64_t>::max());
  for (const char* const text :
       {"", "-1", "+1", " 1", "1 ", "0x10", "1e3", "18446744073709551616"}) {
    EXPECT_FALSE(ParseCount(text, value)) << text;
  }
  EXPECT_EQ(value, std::numeric_limits<uint64_t>::max());
}

TEST(SettingsValue, RatiosLieBetweenZeroAndOne) {
  float value = 0;
  for (const auto& [text, ratio] :
       {std::pair{"0", 0.0F}, {"0.8", 0.8F}, {"1", 1.0F}, {"1e-2", 0.01F}}) {
    EXPECT_TRUE(ParseRatio(text, value)) << text;
    EXPECT_EQ(value, ratio) << text;
  }
  for (const char* const text : {"", "1.01", "-0.1", "nan", "80%", "0.8 "}) {
    EXPECT_FALSE(ParseRatio(text, value)) << text;
  }
  EXPECT_EQ(FormatRatio(0.8F), "0.8");
}

TEST(SettingsValue, SizesAreBytesOrBinaryUnits) {
  struct Case {
    const char* text;
    uint64_t bytes;
    const char* formatted;
  };
  for (const Case& c :
       {Case{"0", 0, "0"}, Case{"65536", 65536, "64KiB"}, Case{"64KiB", 65536, "64KiB"},
        Case{"1000", 1000, "1000"}, Case{"1024KiB", 1 << 20, "1MiB"},
        Case{"3GiB", uint64_t{3} << 30, "3GiB"}, Case{"1025", 1025, "1025"}}) {
    uint64_t value = 1;
    EXPECT_TRUE(ParseBytes(c.text, value)) << c.text;
    EXPECT_EQ(value, c.bytes) << c.text;
    EXPECT_EQ(FormatBytes(value), c.formatted);
  }
  uint64_t value = 7;
  for (const char* const text : {"", "KiB", "64KB", "64K", "64 KiB", "1.5MiB", "-1",
                                 "17179869184GiB", "99999999999999999999"}) {
    EXPECT_FALSE(ParseBytes(text, value)) << text;
  }
  EXPECT_EQ(value, 7u);
}

TEST(SettingsValue, DurationsAreThoseOfGo) {
  struct Case {
    const char* text;
    int64_t value_ns;
    const char* formatted;
  };
  for (const Case& c :
       {Case{"0", 0, "0"}, Case{"0s", 0, "0"}, Case{"5s", 5 * kSecondNs, "5s"},
        Case{"200ms", kSecondNs / 5, "200ms"}, Case{"24h", 86400 * kSecondNs, "24h"},
        Case{"1h30m", 5400 * kSecondNs, "1h30m"}, Case{"1.5h", 5400 * kSecondNs, "1h30m"},
        Case{"90m", 5400 * kSecondNs, "1h30m"}, Case{"0.25s", kSecondNs / 4, "250ms"},
        Case{"1m1ms", 60 * kSecondNs + 1'000'000, "1m1ms"}, Case{"7us", 7000, "7us"},
        Case{"7\xC2\xB5s", 7000, "7us"}, Case{"7\xCE\xBCs", 7000, "7us"}, Case{"3ns", 3, "3ns"},
        Case{"9223372036854775807ns", std::numeric_limits<int64_t>::max(),
             "2562047h47m16s854ms775us807ns"}}) {
    int64_t value_ns = -1;
    EXPECT_TRUE(ParseDuration(c.text, value_ns)) << c.text;
    EXPECT_EQ(value_ns, c.value_ns) << c.text;
    EXPECT_EQ(FormatDuration(value_ns), c.formatted);
  }
}

TEST(SettingsValue, DurationsNeedAUnitAndFit) {
  int64_t value_ns = 7;
  for (const char* const text :
       {"", "5", "s", "-5s", "5 s", "5x", "1h30", ".5s", "1d", "9223372036854775808ns", "2562048h",
        "2562047h2562047h", "9223372036s2s", "99999999999999999999s"}) {
    EXPECT_FALSE(ParseDuration(text, value_ns)) << text;
  }
  EXPECT_EQ(value_ns, 7);
}

TEST(SettingsValue, AddressesAreHostAndPort) {
  for (const auto& [text, address] : {std::pair{"127.0.0.1:8081", "127.0.0.1:8081"},
                                      {"localhost:0", "localhost:0"},
                                      {":9090", "0.0.0.0:9090"},
                                      {"[::1]:65535", "[::1]:65535"},
                                      {"[fe80::1%eth0]:1", "[fe80::1%eth0]:1"}}) {
    std::string value;
    EXPECT_TRUE(ParseTcpAddress(text, value)) << text;
    EXPECT_EQ(value, address);
  }
  std::string value = "before";
  for (const char* const text : {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "a:b", "::1:80",
                                 "[]:80", "[::1]", "tcp://10.0.0.1:80", "a b:80", "a:-1"}) {
    EXPECT_FALSE(ParseTcpAddress(text, value)) << text;
  }
  EXPECT_EQ(value, "before");
}

TEST(SettingsValue, UnixSocketsNeedAPathThatFits) {
  std::string value;
  EXPECT_TRUE(ParseAddress("unix:/run/weir.sock", value));
  EXPECT_EQ(value, "unix:/run/weir.sock");
  EXPECT_TRUE(ParseAddress("unix:" + std::string(107, 'x'), value));
  EXPECT_FALSE(ParseAddress("unix:" + std::string(108, 'x'), value));
  EXPECT_FALSE(ParseAddress("unix:", value));
  EXPECT_TRUE(ParseAddress(":1", value));
}

TEST(SettingsValue, HeadersAreTokens) {
  std::string value;
  EXPECT_TRUE(ParseHeaderName("X-RateLimit_Limit", value));
  EXPECT_EQ(value, "X-RateLimit_Limit");
  for (const char* const text : {"", "a b", "a:b", "a\nb", "\xC3\xA4"}) {
    EXPECT_FALSE(ParseHeaderName(text, value)) << text;
  }
}

TEST(SettingsValue, LogLevelsTakeTheReferencesNames) {
  for (const auto& [text, level] : {std::pair{"WARN", "warn"},
                                    {"Warning", "warn"},
                                    {"trace", "trace"},
                                    {"panic", "error"},
                                    {"FATAL", "error"}}) {
    std::string value;
    EXPECT_TRUE(ParseLogLevel(text, value)) << text;
    EXPECT_EQ(value, level);
  }
  std::string value;
  EXPECT_FALSE(ParseLogLevel("verbose", value));
  EXPECT_FALSE(ParseLogLevel("", value));
}

TEST(SettingsValue, ListsAreSplitAtCommas) {
  EXPECT_THAT(SplitList("a:1, b:2,,c"), ElementsAre("a:1", "b:2", "c"));
  EXPECT_THAT(SplitList(""), IsEmpty());
  EXPECT_THAT(SplitList(" , "), IsEmpty());
}

TEST(SettingsValue, TagsNeedAName) {
  std::pair<std::string, std::string> tag;
  EXPECT_TRUE(ParseTag("env:prod:eu", tag));
  EXPECT_EQ(tag, std::pair(std::string("env"), std::string("prod:eu")));
  EXPECT_TRUE(ParseTag("env:", tag));
  EXPECT_FALSE(ParseTag("env", tag));
  EXPECT_FALSE(ParseTag(":prod", tag));
}

}  // namespace
}  // namespace weir
