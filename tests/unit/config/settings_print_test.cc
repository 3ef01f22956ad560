#include "limiter/config/settings_print.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <istream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "limiter/config/settings_environment.h"
#include "limiter/config/settings_load.h"
#include "limiter/config/settings_table.h"

namespace weir {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

LoadedSettings Load(const std::vector<std::string>& arguments, const Environment& environment,
                    const std::string& file) {
  const absl::StatusOr<LoadedSettings> loaded =
      LoadSettings("weir", arguments, environment,
                   [&](const std::string&) -> absl::StatusOr<std::string> { return file; });
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? *loaded : LoadedSettings();
}

TEST(PrintSettings, SaysWhereEachValueIsFrom) {
  const std::string text =
      PrintSettings(Load({"--config=weir.yaml", "--threads=2"},
                         {{"GRPC_HOST", "::1"}, {"GRPC_PORT", "1"}}, "\nrules-dir: /rules\n"));
  EXPECT_THAT(text, HasSubstr("\nthreads: 2  # flag\n"));
  EXPECT_THAT(text, HasSubstr("\nrules-dir: \"/rules\"  # file weir.yaml:2\n"));
  EXPECT_THAT(text,
              HasSubstr("\ngrpc-listen: [\"[::1]:1\"]  # environment GRPC_HOST, GRPC_PORT\n"));
  EXPECT_THAT(text, HasSubstr("\ncharge-denied: first  # default\n"));
  EXPECT_THAT(text, HasSubstr("\nkeys-max: 1048576  # default\n"));
  EXPECT_THAT(text, HasSubstr("\n# config: \"weir.yaml\"  # flag\n"));
}

TEST(PrintSettings, IsAServerFileWithTheSameSettings) {
  const LoadedSettings odd = Load(
      {
          "--compat=ratelimit",
          "--grpc-listen=unix:/a b,[::1]:0",
          "--extra-tags=a:b,c:\"d\\",
          "--cache-key-prefix=true\n# \x7F'\"\\: \xC3\xA4",
          "--rules-poll=1h1ns",
          "--near-limit-ratio=0.123456789",
          "--hits-max=18446744073709551615",
          "--keys-max=65",
          "--state-bytes-max=1000",
          "--limit-header=null",
      },
      {}, "");
  for (const LoadedSettings& loaded : {odd, Load({}, {}, "")}) {
    const std::string text = PrintSettings(loaded);
    Settings again = Load({"--config=weir.yaml"}, {}, text).settings;
    EXPECT_EQ(again.config, "weir.yaml");
    again.config = loaded.settings.config;
    EXPECT_EQ(again, loaded.settings) << text;
  }
}

TEST(PrintSettings, ShowsNoPasswords) {
  const std::string text =
      PrintSettings(Load({}, {{"BACKEND_TYPE", "memory"}, {"REDIS_AUTH", "hunter2"}}, ""));
  EXPECT_THAT(text, HasSubstr("store: memory  # environment BACKEND_TYPE"));
  EXPECT_THAT(text, Not(HasSubstr("hunter2")));
}

TEST(SettingsHelp, ShowsEverySettingWithDefaultAndVariables) {
  const std::string help = SettingsHelp();
  for (const Setting& setting : AllSettings()) {
    EXPECT_THAT(help, HasSubstr("  --" + std::string(setting.name) + "\n      " +
                                std::string(setting.help)));
    EXPECT_THAT(help, HasSubstr(NativeVariable(setting.name)));
  }
  EXPECT_THAT(help,
              HasSubstr("      default: 127.0.0.1:8081; 0.0.0.0:8081 in compat mode\n"
                        "      environment: WEIR_GRPC_LISTEN, GRPC_HOST, GRPC_PORT, GRPC_UDS\n"));
  EXPECT_THAT(help, HasSubstr("      default: 5s\n      environment: WEIR_DRAIN_DELAY\n"));
}

std::vector<std::string> LinesOf(std::istream& stream) {
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

TEST(SettingsMarkdown, IsThePageInDocs) {
  std::ifstream page(std::string(WEIR_SOURCE_DIR) + "/docs/settings.md", std::ios::binary);
  std::istringstream made(SettingsMarkdown());
  const std::vector<std::string> written = LinesOf(page);
  const std::vector<std::string> expected = LinesOf(made);
  for (size_t i = 0; i < std::min(written.size(), expected.size()); ++i) {
    ASSERT_EQ(written[i], expected[i]) << "docs/settings.md, line " << i + 1;
  }
  EXPECT_EQ(written.size(), expected.size());
}

TEST(SettingsMarkdown, TablesAreNotBrokenByTheirCells) {
  std::istringstream lines(SettingsMarkdown());
  size_t bars = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with('|')) {
      bars = 0;
      continue;
    }
    const auto found = static_cast<size_t>(std::count(line.begin(), line.end(), '|'));
    if (bars == 0) bars = found;
    EXPECT_EQ(found, bars) << line;
  }
}

}  // namespace
}  // namespace weir
