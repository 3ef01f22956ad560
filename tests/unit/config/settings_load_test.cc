#include "limiter/config/settings_load.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "limiter/config/settings_table.h"
#include "tests/unit/config/temp_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// What is given to one start; the defaults are an empty command line and environment.
struct Start {
  std::string program = "weir";
  std::vector<std::string> arguments;
  Environment environment;
  std::string file;  // content of weir.yaml
};

absl::StatusOr<LoadedSettings> Load(const Start& start) {
  return LoadSettings(start.program, start.arguments, start.environment,
                      [&](const std::string& path) -> absl::StatusOr<std::string> {
                        if (path == "weir.yaml") return start.file;
                        return absl::NotFoundError("cannot read " + path);
                      });
}

LoadedSettings LoadOk(const Start& start) {
  absl::StatusOr<LoadedSettings> loaded = Load(start);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? *loaded : LoadedSettings();
}

std::string Errors(const Start& start) {
  const absl::StatusOr<LoadedSettings> loaded = Load(start);
  EXPECT_FALSE(loaded.ok());
  if (loaded.ok()) return {};
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(loaded.status().message());
}

std::string OriginOf(const LoadedSettings& loaded, std::string_view name) {
  return FormatOrigin(loaded.origins.find(name)->second);
}

TEST(LoadSettings, NothingGivenIsTheDefaults) {
  const LoadedSettings loaded = LoadOk({});
  EXPECT_EQ(loaded.settings, DefaultSettings(Compat::kNone));
  EXPECT_EQ(loaded.settings, Settings());
  EXPECT_THAT(loaded.warnings, IsEmpty());
  EXPECT_EQ(loaded.origins.size(), AllSettings().size());
  EXPECT_EQ(OriginOf(loaded, "threads"), "default");
}

TEST(LoadSettings, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  Start start;
  start.arguments = {"--config=weir.yaml"};
  EXPECT_EQ(LoadOk(start).settings.threads, 0);
  start.file = "\nthreads: 1\n";
  LoadedSettings loaded = LoadOk(start);
  EXPECT_EQ(loaded.settings.threads, 1);
  EXPECT_EQ(OriginOf(loaded, "threads"), "file weir.yaml:2");
  start.environment = {{"WEIR_THREADS", "2"}};
  loaded = LoadOk(start);
  EXPECT_EQ(loaded.settings.threads, 2);
  EXPECT_EQ(OriginOf(loaded, "threads"), "environment WEIR_THREADS");
  start.arguments.emplace_back("--threads=3");
  loaded = LoadOk(start);
  EXPECT_EQ(loaded.settings.threads, 3);
  EXPECT_EQ(OriginOf(loaded, "threads"), "flag");
}

TEST(LoadSettings, TheFileIsNamedByFlagOrEnvironment) {
  Start start;
  start.file = "threads: 1\n";
  start.environment = {{"WEIR_CONFIG", "weir.yaml"}};
  EXPECT_EQ(LoadOk(start).settings.threads, 1);
  EXPECT_EQ(LoadOk(start).settings.config, "weir.yaml");
  start.arguments = {"--config="};
  EXPECT_EQ(LoadOk(start).settings.threads, 0);
  start.arguments = {"--config=other.yaml"};
  EXPECT_EQ(Errors(start), "flag --config: cannot read other.yaml");
  EXPECT_EQ(Errors({"weir", {}, {{"WEIR_CONFIG", "other.yaml"}}, ""}),
            "environment variable WEIR_CONFIG: cannot read other.yaml");
}

TEST(LoadSettings, AllErrorsAreReportedAtOnce) {
  const std::string errors =
      Errors({"weir",
              {"--config=weir.yaml", "--threads=999", "--overflow=maybe", "--thread=1"},
              {{"GRPC_PORT", "http"}, {"WEIR_DRAIN_DELAY", "5"}, {"LOG_FORMAT", "xml"}},
              "keys-max: many\nwindow: 1\n"});
  EXPECT_EQ(errors,
            "unknown flag --thread (did you mean --threads?)\n"
            "weir.yaml:2: unknown key 'window' (weir serve --help lists all)\n"
            "environment variable GRPC_PORT: 'http' is not accepted, it must be a port from 0 to "
            "65535\n"
            "weir.yaml:1: keys-max: 'many' is not accepted, it must be a number from 64 to "
            "2147483647\n"
            "environment variable LOG_FORMAT: 'xml' is not accepted, it must be text or json\n"
            "environment variable WEIR_DRAIN_DELAY: '5' is not accepted, it must be a duration "
            "such as 5s, 200ms or 1h30m\n"
            "flag --threads: '999' is not accepted, it must be a number from 0 to 256\n"
            "flag --overflow: 'maybe' is not accepted, it must be allow or deny");
}

TEST(LoadSettings, ABadValueIsAnErrorEvenIfOverridden) {
  EXPECT_THAT(Errors({"weir", {"--threads=1"}, {{"WEIR_THREADS", "one"}}, ""}),
              HasSubstr("WEIR_THREADS"));
}

TEST(LoadSettings, HelpIsAnsweredWhateverElseIsWrong) {
  const LoadedSettings loaded = LoadOk({"weir", {"--help", "--nonsense"}, {{"PORT", "x"}}, ""});
  EXPECT_TRUE(loaded.help);
  EXPECT_TRUE(LoadOk({"weir", {"--print-config"}, {}, ""}).print_config);
}

TEST(LoadSettings, EverySettingIsAFlagAVariableAndAKey) {
  // Values other than the defaults, so that each source shows.
  const Settings defaults = DefaultSettings(Compat::kNone);
  const std::vector<std::string> candidates = {
      "true",      "false",   "7",    "99",    "300",   "4KiB",    "2s",
      "deny",      "error",   "json", "never", "exact", "x.y:1",   "/other",
      "ratelimit", "x-other", "0.5",  "redis", "1.3",   "cluster", "group"};
  for (const Setting& setting : AllSettings()) {
    Settings changed = defaults;
    std::string text;
    for (const std::string& candidate : candidates) {
      Settings trial = defaults;
      if (!setting.value.assign({&candidate, 1}, trial) || trial == defaults) continue;
      text = candidate;
      changed = trial;
      break;
    }
    if (setting.name == "config") continue;  // the server file cannot name itself
    ASSERT_FALSE(text.empty()) << setting.name;
    const std::string name(setting.name);
    const std::vector<std::string> expected = setting.value.print(changed);
    // What some mean nothing without.
    std::map<std::string, std::string> others = {
        {"grpc-tls-cert", "a"}, {"grpc-tls-client-ca", "a"}, {"http-tls-cert", "a"}};
    others.erase(name);
    Environment given;
    if (name.find("tls") != std::string::npos) {
      for (const auto& [other, value] : others) given[NativeVariable(other)] = value;
    }
    const Start flag{"weir", {"--" + name + "=" + text}, given, ""};
    EXPECT_EQ(setting.value.print(LoadOk(flag).settings), expected) << name;
    Environment with = given;
    with[NativeVariable(name)] = text;
    const Start variable{"weir", {}, with, ""};
    EXPECT_EQ(setting.value.print(LoadOk(variable).settings), expected) << name;
    const Start key{"weir", {"--config=weir.yaml"}, given, name + ": \"" + text + "\"\n"};
    EXPECT_EQ(setting.value.print(LoadOk(key).settings), expected) << name;
  }
}

TEST(LoadSettings, EverySettingRefusesWhatItCannotBe) {
  for (const Setting& setting : AllSettings()) {
    const std::string text = setting.value.form() == "a text" ? "" : "\x01";
    if (text.empty() || setting.value.form().starts_with("a path")) continue;
    const std::string errors =
        Errors({"weir", {"--" + std::string(setting.name) + "=" + text}, {}, ""});
    EXPECT_EQ(errors, "flag --" + std::string(setting.name) + ": '" +
                          Displayed(setting, {&text, 1}) + "' is not accepted, it must be " +
                          setting.value.form());
  }
}

TEST(LoadSettings, EachDefaultIsAnAcceptedValue) {
  for (const Compat compat : {Compat::kNone, Compat::kRatelimit}) {
    for (const Setting& setting : AllSettings()) {
      std::vector<std::string> texts = setting.value.print(DefaultSettings(compat));
      if (texts.empty()) texts.emplace_back();
      Settings again = DefaultSettings(compat);
      EXPECT_TRUE(setting.value.assign(texts, again)) << setting.name;
      EXPECT_EQ(again, DefaultSettings(compat)) << setting.name;
    }
  }
}

TEST(LoadSettings, NamesAreUniqueAndGroupsTogether) {
  std::vector<SettingGroup> groups;
  for (const Setting& setting : AllSettings()) {
    EXPECT_EQ(FindSetting(setting.name), &setting);
    EXPECT_TRUE(setting.help.ends_with('.')) << setting.name;
    if (groups.empty() || groups.back() != setting.group) groups.push_back(setting.group);
  }
  EXPECT_EQ(groups.size(), static_cast<size_t>(kSettingGroupCount));
}

TEST(LoadSettings, TheReferencesNameBringsItsDefaults) {
  const Settings reference = LoadOk({"/bin/ratelimit", {}, {}, ""}).settings;
  EXPECT_EQ(reference.compat, Compat::kRatelimit);
  EXPECT_THAT(reference.grpc_listen, ElementsAre("0.0.0.0:8081"));
  EXPECT_EQ(reference.http_listen, "0.0.0.0:8080");
  EXPECT_EQ(reference.admin_listen, "127.0.0.1:6070");
  EXPECT_EQ(reference.rules_dir, "/srv/runtime_data/current/config");
  EXPECT_EQ(reference.log_level, "warn");
  EXPECT_EQ(LoadOk({"/bin/weir-ratelimit", {}, {}, ""}).settings.compat, Compat::kNone);
}

TEST(LoadSettings, CompatIsASettingLikeOthers) {
  EXPECT_EQ(LoadOk({"ratelimit", {"--compat=none"}, {}, ""}).settings, Settings());
  const Start by_file{"weir", {"--config=weir.yaml"}, {}, "compat: ratelimit\n"};
  EXPECT_EQ(LoadOk(by_file).settings.http_listen, "0.0.0.0:8080");
  Start by_variable = by_file;
  by_variable.environment = {{"WEIR_COMPAT", "none"}};
  EXPECT_EQ(LoadOk(by_variable).settings.http_listen, "127.0.0.1:8080");
  by_variable.arguments.emplace_back("--compat=ratelimit");
  EXPECT_EQ(LoadOk(by_variable).settings.http_listen, "0.0.0.0:8080");
  EXPECT_EQ(Errors({"weir", {"--compat=envoy"}, {}, ""}),
            "flag --compat: 'envoy' is not accepted, it must be none or ratelimit");
}

TEST(LoadSettings, SecretsAreNeverShown) {
  Setting setting = *FindSetting("cache-key-prefix");
  const std::vector<std::string> texts = {"redis://u:hunter2@h"};
  EXPECT_EQ(Displayed(setting, texts), "redis://u:hunter2@h");
  setting.secrecy = Secrecy::kWhole;
  EXPECT_EQ(Displayed(setting, texts), "(masked)");
  EXPECT_EQ(Displayed(setting, {}), "");
  setting.secrecy = Secrecy::kLoginOfUrl;
  EXPECT_EQ(Displayed(setting, texts), "redis://(masked)@h");
  EXPECT_EQ(Displayed(setting, {}), "");
}

TEST(ReadServerFile, ReadsAFileUpToItsBound) {
  const TempFolder folder;
  folder.Write("weir.yaml", "threads: 1\n");
  EXPECT_EQ(*ReadServerFile(folder.At("weir.yaml")), "threads: 1\n");
  folder.Write("empty.yaml", "");
  EXPECT_EQ(*ReadServerFile(folder.At("empty.yaml")), "");
  folder.Write("full.yaml", std::string(1 << 20, '#'));
  EXPECT_EQ(ReadServerFile(folder.At("full.yaml"))->size(), size_t{1} << 20);
  folder.Write("long.yaml", std::string((1 << 20) + 1, '#'));
  EXPECT_EQ(ReadServerFile(folder.At("long.yaml")).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(ReadServerFile, SaysWhyItCannot) {
  const TempFolder folder;
  const absl::Status missing = ReadServerFile(folder.At("none.yaml")).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("No such file"));
  EXPECT_FALSE(ReadServerFile(folder.path().string()).ok());
}

TEST(ReadEnvironment, SplitsAtTheFirstEqualsSign) {
  const char* const entries[] = {"A=1", "B=x=y", "C=", "nonsense", nullptr};
  EXPECT_EQ(ReadEnvironment(entries), (Environment{{"A", "1"}, {"B", "x=y"}, {"C", ""}}));
}

}  // namespace
}  // namespace weir
