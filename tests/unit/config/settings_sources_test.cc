#include "limiter/config/settings_sources.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "name=text|text" of each flag.
template <typename Reading>
std::vector<std::string> Values(const Reading& reading) {
  std::vector<std::string> out;
  for (const auto& value : reading.values) {
    std::string line = std::string(value.setting->name) + "=";
    for (size_t i = 0; i < value.texts.size(); ++i) line += (i > 0 ? "|" : "") + value.texts[i];
    out.push_back(line);
  }
  return out;
}

FlagReading Flags(const std::vector<std::string>& arguments) {
  return ReadSettingsFlags(arguments);
}

TEST(SettingsFlags, ValuesFollowAnEqualsSignOrASpace) {
  const FlagReading reading = Flags({"--threads=2", "--rules-dir", "rules", "--log-level=a=b"});
  EXPECT_THAT(Values(reading), ElementsAre("threads=2", "rules-dir=rules", "log-level=a=b"));
  EXPECT_THAT(reading.errors, IsEmpty());
}

TEST(SettingsFlags, ASwitchAloneIsTrue) {
  EXPECT_THAT(Values(Flags({"--shadow-mode", "--threads", "2"})),
              ElementsAre("shadow-mode=true", "threads=2"));
  EXPECT_THAT(Values(Flags({"--shadow-mode"})), ElementsAre("shadow-mode=true"));
  EXPECT_THAT(Values(Flags({"--reflection", "false", "--shadow-mode=0"})),
              ElementsAre("reflection=false", "shadow-mode=0"));
}

TEST(SettingsFlags, ListsGrowAndOthersKeepTheLast) {
  EXPECT_THAT(Values(Flags({"--threads=1", "--grpc-listen=:1", "--threads=2", "--grpc-listen=:2"})),
              ElementsAre("threads=2", "grpc-listen=:1|:2"));
}

TEST(SettingsFlags, MisspeltOnesAreSuggested) {
  const FlagReading reading = Flags({"--grpc_listen", ":1", "--xyzzy", "--thread=2", "serve"});
  EXPECT_THAT(reading.errors,
              ElementsAre("unknown flag --grpc_listen (did you mean --grpc-listen?)",
                          "unknown flag --xyzzy (weir serve --help lists all)",
                          "unknown flag --thread (did you mean --threads?)",
                          "unexpected argument 'serve' (settings are written --NAME=VALUE)"));
  EXPECT_THAT(reading.values, IsEmpty());
}

TEST(SettingsFlags, AMissingValueIsAnError) {
  EXPECT_THAT(Flags({"--threads"}).errors,
              ElementsAre("flag --threads needs a value: a number from 0 to 256"));
  EXPECT_THAT(Flags({"--rules-dir", "--shadow-mode"}).errors,
              ElementsAre("flag --rules-dir needs a value: a path"));
}

TEST(SettingsFlags, KnowsTheQuestions) {
  EXPECT_TRUE(Flags({"--help"}).help);
  EXPECT_TRUE(Flags({"--threads=1", "-h"}).help);
  EXPECT_TRUE(Flags({"--print-config"}).print_config);
  EXPECT_FALSE(Flags({"--threads=1"}).help);
}

TEST(SettingsYaml, AKeyIsASetting) {
  const FileReading reading = ReadSettingsYaml("weir.yaml",
                                               "# comment\n"
                                               "threads: 2\n"
                                               "grpc-listen: [\":1\", 'unix:/a,b']\n"
                                               "cache-key-prefix: \"\"\n"
                                               "rules-poll: 1m\n"
                                               "extra-tags: []\n");
  EXPECT_THAT(reading.errors, IsEmpty());
  EXPECT_THAT(Values(reading), ElementsAre("threads=2", "grpc-listen=:1|unix:/a,b",
                                           "cache-key-prefix=", "rules-poll=1m", "extra-tags="));
  EXPECT_EQ(reading.values[1].line, 3);
}

TEST(SettingsYaml, BooleansAreThoseOfYaml) {
  const FileReading reading = ReadSettingsYaml(
      "weir.yaml", "shadow-mode: yes\nreflection: off\nmerge-domains: True\nallow-reset: maybe\n");
  EXPECT_THAT(Values(reading), ElementsAre("shadow-mode=true", "reflection=false",
                                           "merge-domains=true", "allow-reset=maybe"));
}

TEST(SettingsYaml, NothingSetsNothing) {
  for (const char* const content : {"", "# nothing\n", "---\n", "{}\n"}) {
    const FileReading reading = ReadSettingsYaml("weir.yaml", content);
    EXPECT_THAT(reading.errors, IsEmpty()) << content;
    EXPECT_THAT(Values(reading), IsEmpty()) << content;
  }
}

TEST(SettingsYaml, ErrorsNameFileAndLine) {
  struct Case {
    const char* content;
    const char* error;
  };
  for (const Case& c : {
           Case{"\nthread: 2\n", "weir.yaml:2: unknown key 'thread' (did you mean threads?)"},
           Case{"xyzzy: 2\n", "weir.yaml:1: unknown key 'xyzzy' (weir serve --help lists all)"},
           Case{"threads: 1\nthreads: 2\n", "weir.yaml:2: 'threads' is set in line 1 already"},
           Case{"threads:\n", "weir.yaml:1: 'threads' must be a number from 0 to 256"},
           Case{"threads: [1]\n", "weir.yaml:1: 'threads' must be a number from 0 to 256"},
           Case{"threads: {a: 1}\n", "weir.yaml:1: 'threads' must be a number from 0 to 256"},
           Case{"config: a.yaml\n", "weir.yaml:1: 'config' can be a flag or WEIR_CONFIG only"},
           Case{"- threads\n", "weir.yaml:1: must be a map from settings to values"},
           Case{"[a]: 1\n", "weir.yaml:1: a key must be a text"},
       }) {
    const FileReading reading = ReadSettingsYaml("weir.yaml", c.content);
    EXPECT_THAT(reading.errors, ElementsAre(c.error));
  }
  EXPECT_THAT(ReadSettingsYaml("weir.yaml", "a: [1\n").errors,
              ElementsAre(HasSubstr("weir.yaml:")));
  EXPECT_THAT(ReadSettingsYaml("weir.yaml", "extra-tags: [{a: b}]\n").errors,
              ElementsAre("weir.yaml:1: 'extra-tags' must be NAME:VALUE; several between commas"));
}

}  // namespace
}  // namespace weir
