#include "limiter/config/settings_redis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_join.h"
#include "limiter/config/redis_target.h"
#include "limiter/config/settings_load.h"
#include "limiter/config/settings_print.h"
#include "limiter/config/settings_table.h"

namespace weir {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// One start: flags, variables, and the content of weir.yaml.
struct Start {
  std::vector<std::string> arguments;
  Environment environment;
  std::string file;
};

absl::StatusOr<LoadedSettings> Load(const Start& start) {
  std::vector<std::string> arguments = start.arguments;
  if (!start.file.empty()) arguments.emplace_back("--config=weir.yaml");
  return LoadSettings(
      "weir", arguments, start.environment,
      [&](const std::string&) -> absl::StatusOr<std::string> { return start.file; });
}

LoadedSettings LoadOk(const Start& start) {
  absl::StatusOr<LoadedSettings> loaded = Load(start);
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return loaded.ok() ? *loaded : LoadedSettings();
}

std::string Errors(const Start& start) {
  const absl::StatusOr<LoadedSettings> loaded = Load(start);
  EXPECT_FALSE(loaded.ok());
  return loaded.ok() ? "" : std::string(loaded.status().message());
}

std::string OriginOf(const LoadedSettings& loaded, std::string_view name) {
  return FormatOrigin(loaded.origins.find(name)->second);
}

TEST(RedisSettings, AnAddressChoosesTheStore) {
  for (const Start& start : {Start{{"--redis-url=h"}, {}, ""}, Start{{}, {{"REDIS_URL", "h"}}, ""},
                             Start{{}, {}, "redis-url: h\n"}}) {
    const LoadedSettings loaded = LoadOk(start);
    EXPECT_EQ(loaded.settings.store, StoreKind::kRedis);
    EXPECT_EQ(OriginOf(loaded, "store"), "default because redis-url is set");
  }
  EXPECT_EQ(LoadOk({}).settings.store, StoreKind::kMemory);
  EXPECT_EQ(OriginOf(LoadOk({}), "store"), "default");
  EXPECT_EQ(LoadOk({{"--redis-url="}, {{"REDIS_URL", "h"}}, ""}).settings.store,
            StoreKind::kMemory);
}

TEST(RedisSettings, AChoiceOfTheStoreWins) {
  const Start memory{{"--redis-url=a,b", "--redis-user=u", "--store=memory"}, {}, ""};
  EXPECT_EQ(LoadOk(memory).settings.store, StoreKind::kMemory);
  EXPECT_THAT(LoadOk(memory).warnings, IsEmpty());
  const LoadedSettings redis = LoadOk({{"--store=redis"}, {}, ""});
  EXPECT_EQ(OriginOf(redis, "store"), "flag");
  EXPECT_EQ(RedisTargetText(MainRedisTarget(redis.settings)), "single 127.0.0.1:6379");
}

// What is wrong with settings that are fine one by one.
struct BadCase {
  std::vector<std::string> arguments;
  const char* error;
};

TEST(RedisSettings, MustFitEachOther) {
  const BadCase cases[] = {
      {{"--redis-url=a,b"},
       "flag --redis-url: one Redis has one address, a list needs another "
       "type"},
      {{"--redis-url=h", "--redis-type=sentinel"},
       "flag --redis-url: sentinels are written MASTER,HOST:PORT,…: the name of the master, then "
       "each of them"},
      {{"--store=redis", "--redis-type=sentinel"},
       "flag --redis-type: sentinels are written MASTER,HOST:PORT,…: the name of the master, then "
       "each of them"},
      {{"--redis-url=s:1,s:2", "--redis-type=sentinel"},
       "flag --redis-url: the first of the list is the name of the master, without a port"},
      {{"--redis-url=/s", "--redis-type=cluster"},
       "flag --redis-url: a cluster is reached by HOST:PORT,…, not by a Unix socket"},
      {{"--redis-url=a,b", "--redis-type=cluster", "--redis-db=1"},
       "flag --redis-db: a cluster has the database 0 only"},
      {{"--redis-url=redis://a/1", "--redis-type=cluster"},
       "flag --redis-url: a cluster has the database 0 only"},
      {{"--redis-url=redis://a/1", "--redis-db=0"},
       "flag --redis-db: another database than in flag --redis-url; keep one"},
      {{"--redis-url=redis://u:p@h", "--redis-user=v"},
       "flag --redis-user: another user than in flag --redis-url; keep one"},
      {{"--redis-url=redis://u:p@h", "--redis-password=q"},
       "flag --redis-password: another password than in flag --redis-url; keep one"},
      {{"--redis-url=redis://u:p@h", "--redis-password-file=/f"},
       "flag --redis-password-file: a password is in flag --redis-url too; keep one"},
      {{"--redis-url=h", "--redis-password=p", "--redis-password-file=/f"},
       "flag --redis-password-file: a password is in flag --redis-password too; keep one"},
      {{"--redis-url=h", "--redis-user=u"}, "flag --redis-user: a user without a password"},
      {{"--redis-url=redis://u@h"}, "flag --redis-url: a user without a password"},
      {{"--redis-url=m,s", "--redis-type=sentinel", "--redis-sentinel-user=u"},
       "flag --redis-sentinel-user: a user without a password"},
      {{"--redis-url=m,s", "--redis-type=sentinel", "--redis-sentinel-password=p",
        "--redis-sentinel-password-file=/f"},
       "flag --redis-sentinel-password-file: a password is in flag --redis-sentinel-password too; "
       "keep one"},
      {{"--redis-url=/s", "--redis-tls"},
       "flag --redis-tls: Redis offers no TLS on the Unix socket of flag --redis-url"},
      {{"--redis-url=h", "--redis-tls", "--redis-tls-key=/k"},
       "flag --redis-tls-key: it needs redis-tls-cert, the certificate that the key is for"},
      {{"--redis-url=h", "--redis-backoff-min=2s", "--redis-backoff-max=1s"},
       "flag --redis-backoff-min: longer than redis-backoff-max (flag --redis-backoff-max)"},
      {{"--redis-url=h", "--redis-key-format=ratelimit", "--consistency-default=leased"},
       "flag --consistency-default: it must be exact, because redis-key-format is ratelimit"},
      {{"--redis-url=h", "--redis-per-second"},
       "flag --redis-per-second: it needs redis-per-second-url, which is not set"},
      {{"--redis-url=h", "--redis-per-second", "--redis-per-second-url=redis://u@h"},
       "flag --redis-per-second-url: a user without a password"},
      {{"--redis-url=h", "--redis-per-second", "--redis-per-second-url=/s",
        "--redis-per-second-tls"},
       "flag --redis-per-second-tls: Redis offers no TLS on the Unix socket of flag "
       "--redis-per-second-url"},
  };
  for (const BadCase& c : cases) {
    EXPECT_EQ(Errors({c.arguments, {}, ""}), c.error);
    // The memory store asks none of this.
    std::vector<std::string> arguments = c.arguments;
    arguments.emplace_back("--store=memory");
    EXPECT_THAT(LoadOk({arguments, {}, ""}).warnings, IsEmpty());
  }
}

TEST(RedisSettings, WhatIsSaidTwiceAlikeIsFine) {
  const LoadedSettings loaded =
      LoadOk({{"--redis-url=redis://u:p@h/1", "--redis-user=u", "--redis-password=p",
               "--redis-db=1", "--redis-tls-cert=/c", "--redis-tls"},
              {},
              ""});
  EXPECT_THAT(loaded.warnings, IsEmpty());
  const RedisTarget target = MainRedisTarget(loaded.settings);
  EXPECT_EQ(target.user + target.password, "up");
}

TEST(RedisSettings, AUserOfTheUrlMayHaveItsPasswordElsewhere) {
  const LoadedSettings loaded =
      LoadOk({{"--redis-url=redis://u@h", "--redis-password-file=/f"}, {}, ""});
  EXPECT_EQ(MainRedisTarget(loaded.settings).user, "u");
  EXPECT_EQ(MainRedisTarget(loaded.settings).password_file, "/f");
}

TEST(RedisSettings, OneBoundOfTheBackoffMovesTheDefaultOfTheOther) {
  LoadedSettings loaded = LoadOk({{"--redis-url=h", "--redis-backoff-min=2s"}, {}, ""});
  EXPECT_EQ(loaded.settings.redis_backoff_max_ns, 2'000'000'000);
  EXPECT_EQ(OriginOf(loaded, "redis-backoff-max"), "default because redis-backoff-min is longer");
  loaded = LoadOk({{"--redis-url=h", "--redis-backoff-max=10ms"}, {}, ""});
  EXPECT_EQ(loaded.settings.redis_backoff_min_ns, 10'000'000);
  EXPECT_EQ(OriginOf(loaded, "redis-backoff-min"), "default because redis-backoff-max is shorter");
}

TEST(RedisSettings, SharedKeysAreExact) {
  const LoadedSettings loaded = LoadOk({{"--redis-url=h", "--redis-key-format=ratelimit"}, {}, ""});
  EXPECT_EQ(loaded.settings.consistency_default, Consistency::kExact);
  EXPECT_EQ(OriginOf(loaded, "consistency-default"),
            "default because redis-key-format is ratelimit");
  EXPECT_EQ(LoadOk({{"--redis-url=h"}, {}, ""}).settings.consistency_default, Consistency::kLeased);
}

TEST(RedisSettings, CountersAreSharedOverRedisOnly) {
  const auto shares = [](std::vector<std::string> arguments) {
    return SharesCounters(LoadOk({std::move(arguments), {}, ""}).settings);
  };
  EXPECT_TRUE(shares({"--redis-url=h", "--redis-key-format=ratelimit"}));
  EXPECT_FALSE(shares({"--redis-url=h"}));
  EXPECT_FALSE(shares({"--store=memory", "--redis-url=h", "--redis-key-format=ratelimit"}));
}

// Nodes on shared keys do not hear of each other.
TEST(RedisSettings, ASharedKeysNodeWarnsOfAShareOfUnknownMany) {
  const std::vector<std::string> shared = {"--redis-url=h", "--redis-key-format=ratelimit"};
  const auto warnings = [&](const std::string& more) {
    std::vector<std::string> arguments = shared;
    if (!more.empty()) arguments.push_back(more);
    return LoadOk({arguments, {}, ""}).warnings;
  };
  EXPECT_THAT(warnings(""),
              ElementsAre("flag --redis-key-format: while Redis is out of reach nothing passes, "
                          "because a share of unknown many is nothing; set replicas, or another "
                          "store-failure-default"));
  EXPECT_THAT(warnings("--replicas=2"), IsEmpty());
  EXPECT_THAT(warnings("--store-failure-default=allow"), IsEmpty());
  EXPECT_THAT(LoadOk({{"--redis-url=h"}, {}, ""}).warnings, IsEmpty());
}

TEST(RedisSettings, WarnsOfWhatHasNoEffect) {
  const std::map<std::string, std::vector<std::string>> cases = {
      {"flag --redis-sentinel-user: no effect without sentinels",
       {"--redis-url=h", "--redis-sentinel-user=u"}},
      {"flag --redis-tls-ca: no effect, connections to Redis are not TLS: neither redis-tls nor "
       "rediss://",
       {"--redis-url=h", "--redis-tls-ca=/ca"}},
      {"flag --redis-per-second-url, flag --redis-per-second-db: no effect without "
       "redis-per-second",
       {"--redis-url=h", "--redis-per-second-url=h", "--redis-per-second-db=1"}},
      {"flag --redis-tls: no effect, because limits hold in this process only: there is no "
       "redis-url",
       {"--redis-tls", "--redis-url="}},
      {"flag --redis-tls-skip-hostname-verification: whoever holds any certificate of the "
       "authority can pose as Redis",
       {"--redis-url=rediss://h", "--redis-tls-skip-hostname-verification"}},
  };
  for (const auto& [warning, arguments] : cases) {
    EXPECT_EQ(absl::StrJoin(LoadOk({arguments, {}, ""}).warnings, "\n"), warning);
  }
}

TEST(RedisSettings, TlsOfTheSecondStoreIsTlsToo) {
  for (const char* const with_tls :
       {"--redis-per-second-url=rediss://h", "--redis-per-second-tls"}) {
    const LoadedSettings loaded =
        LoadOk({{"--redis-url=h", "--redis-per-second", "--redis-per-second-url=h", with_tls,
                 "--redis-tls-ca=/ca"},
                {},
                ""});
    EXPECT_THAT(loaded.warnings, IsEmpty());
  }
}

// Secrets.

constexpr std::string_view kSecret = "hunter2";

// All that people are shown about a start.
std::string Shown(const Start& start) {
  const absl::StatusOr<LoadedSettings> loaded = Load(start);
  if (!loaded.ok()) return std::string(loaded.status().message());
  std::string text = PrintSettings(*loaded) + absl::StrJoin(loaded->warnings, "\n");
  if (loaded->settings.store == StoreKind::kMemory) return text;
  text += RedisTargetText(MainRedisTarget(loaded->settings));
  if (const auto target = PerSecondRedisTarget(loaded->settings)) text += RedisTargetText(*target);
  return text;
}

bool ShowsSecret(const Start& start) { return Shown(start).find(kSecret) != std::string::npos; }

TEST(RedisSecrets, WouldBeSeen) {
  EXPECT_TRUE(ShowsSecret({{"--cache-key-prefix=hunter2"}, {}, ""}));
  EXPECT_TRUE(ShowsSecret({{"--overflow=hunter2"}, {}, ""}));
}

// Good and bad values of all settings and variables that may hold a password.
TEST(RedisSecrets, AreInNoText) {
  const std::vector<std::string> values = {"hunter2",
                                           "u:hunter2",
                                           "hunter2\n",
                                           "redis://u:hunter2@h",
                                           "redis://hunter2@h",
                                           "rediss://:hunter2@h/1",
                                           "redis://u:hunter2@h:x",
                                           "u:hunter2@h",
                                           "redis://u:hunter2",
                                           "redis://u:hunter2@a,b",
                                           "unix://u:hunter2@h"};
  const std::vector<Environment> contexts = {
      {{"REDIS_URL", "h"}},
      {{"REDIS_URL", "redis://v:other@h/1"}, {"REDIS_SOCKET_TYPE", "tcp"}},
      {{"REDIS_URL", "/s"}, {"REDIS_SOCKET_TYPE", "unix"}, {"REDIS_TLS", "true"}},
      {{"REDIS_URL", "m,s"}, {"REDIS_TYPE", "SENTINEL"}, {"WEIR_REDIS_PASSWORD_FILE", "/f"}},
      {{"REDIS_URL", "h"}, {"REDIS_PERSECOND", "true"}, {"REDIS_PERSECOND_URL", "h"}},
      {{"BACKEND_TYPE", "memory"}},
      {}};
  std::vector<std::string> variables = {"REDIS_AUTH", "REDIS_SENTINEL_AUTH", "REDIS_PERSECOND_AUTH",
                                        "REDIS_PERSECOND_SENTINEL_AUTH"};
  std::vector<std::string> urls = {"REDIS_URL", "REDIS_PERSECOND_URL"};
  std::vector<std::string> flags;
  for (const Setting& setting : AllSettings()) {
    if (setting.secrecy == Secrecy::kNone) continue;
    const bool is_url = setting.secrecy == Secrecy::kLoginOfUrl;
    (is_url ? urls : variables).push_back(NativeVariable(setting.name));
    flags.emplace_back(setting.name);
  }
  ASSERT_EQ(flags.size(), 6u);
  for (const Environment& context : contexts) {
    for (const std::string& value : values) {
      for (const std::string& variable : variables) {
        Environment environment = context;
        environment[variable] = value;
        EXPECT_FALSE(ShowsSecret({{}, environment, ""})) << variable << value;
      }
      if (value.find("//") == std::string::npos && value.find('@') == std::string::npos) continue;
      for (const std::string& variable : urls) {
        Environment environment = context;
        environment[variable] = value;
        EXPECT_FALSE(ShowsSecret({{}, environment, ""})) << variable << value;
      }
      for (const std::string& flag : flags) {
        const std::string text = "--" + flag + "=" + value;
        EXPECT_FALSE(ShowsSecret({{text}, context, ""})) << text;
        EXPECT_FALSE(ShowsSecret({{}, context, flag + ": \"" + value + "\"\n"})) << text;
        EXPECT_FALSE(ShowsSecret({{}, context, flag + ": [\"" + value + "\"]\n"})) << text;
      }
    }
  }
}

TEST(RedisSecrets, ASlipOfTheKeyboardShowsNone) {
  for (const char* const argument :
       {"redis-password=hunter2", "-redis-password=hunter2", "--redis-pasword=hunter2"}) {
    EXPECT_THAT(Errors({{argument}, {}, ""}),
                AllOf(HasSubstr("redis-pas"), Not(HasSubstr(kSecret))));
  }
  EXPECT_THAT(Errors({{}, {}, "redis-pasword: hunter2\n"}), Not(HasSubstr(kSecret)));
  EXPECT_THAT(LoadOk({{}, {{"WEIR_REDIS_PASWORD", "hunter2"}}, ""}).warnings,
              ::testing::ElementsAre(Not(HasSubstr(kSecret))));
}

TEST(RedisSecrets, ArePrintedMasked) {
  const std::string text =
      PrintSettings(LoadOk({{"--redis-url=redis://u:p@h", "--redis-password=p"}, {}, ""}));
  EXPECT_THAT(text, HasSubstr("\nredis-url: \"redis://(masked)@h\"  # flag\n"));
  EXPECT_THAT(text, HasSubstr("\nredis-password: \"(masked)\"  # flag\n"));
  EXPECT_THAT(text, HasSubstr("\nredis-sentinel-password: \"\"  # default\n"));
  // What was printed is no server file with another password.
  EXPECT_THAT(Errors({{}, {}, text}), AllOf(HasSubstr("redis-url: 'redis://(masked)' is not"),
                                            HasSubstr("redis-password: '(masked)' is not")));
}

}  // namespace
}  // namespace weir
