#include "limiter/config/settings_environment_redis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_split.h"
#include "limiter/config/settings_load.h"
#include "limiter/config/settings_table.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAreArray;

struct Result {
  std::vector<std::string> errors;  // lines
  std::vector<std::string> warnings;
  std::vector<std::string> changes;  // "name=value" of settings that are not their defaults
};

Result Start(const Environment& environment, const std::vector<std::string>& arguments = {}) {
  Result result;
  const absl::StatusOr<LoadedSettings> loaded = LoadSettings(
      "weir", arguments, environment, [](const std::string& path) -> absl::StatusOr<std::string> {
        return absl::NotFoundError("no file " + path);
      });
  if (!loaded.ok()) {
    result.errors = absl::StrSplit(std::string(loaded.status().message()), '\n');
    return result;
  }
  result.warnings = loaded->warnings;
  const Settings defaults;
  for (const Setting& setting : AllSettings()) {
    const std::vector<std::string> texts = setting.value.print(loaded->settings);
    if (texts == setting.value.print(defaults)) continue;
    result.changes.push_back(std::string(setting.name) + "=" + texts.front());
  }
  return result;
}

enum What { kChanges, kWarns, kRefuses, kNothing };

// A variable beside the addresses of both stores.
struct Row {
  std::string_view variable;
  std::string_view value;
  What what;
  std::string_view text;         // kChanges: "name=value" between spaces; else part of the line
  std::string_view beside = "";  // another variable: "NAME=value"
};

constexpr std::string_view kPool = "is ignored: there is no pool";
constexpr std::string_view kBatches = "is ignored: Weir batches";
constexpr std::string_view kNotUnix =
    "it must be the path of a Unix socket that begins with /, because ";
constexpr std::string_view kNotTcp = "it must be HOST:PORT or redis://…, because ";
constexpr std::string_view kNotUrl = "it must be HOST:PORT, /PATH, redis://";
constexpr std::string_view kType = "it must be SINGLE, SENTINEL or CLUSTER";

constexpr Row kRows[] = {
    {"REDIS_HEALTH_CHECK_ACTIVE_CONNECTION", "true", kChanges,
     "redis-health-check-active-connection=true"},
    {"REDIS_HEALTH_CHECK_ACTIVE_CONNECTION", "maybe", kRefuses, "it must be true or false"},
    {"REDIS_PERSECOND", "true", kNothing, ""},
    {"REDIS_PERSECOND", "maybe", kRefuses, "it must be true or false"},

    {"REDIS_SOCKET_TYPE", "tcp", kNothing, ""},
    {"REDIS_SOCKET_TYPE", "udp", kRefuses, "'udp' is not accepted, it must be tcp or unix"},
    {"REDIS_PERSECOND_SOCKET_TYPE", "tcp", kNothing, ""},
    {"REDIS_PERSECOND_SOCKET_TYPE", "UNIX", kRefuses, "'UNIX' is not accepted"},
    {"REDIS_TYPE", "SINGLE", kNothing, ""},
    {"REDIS_TYPE", "CLUSTER", kChanges, "redis-type=cluster"},
    {"REDIS_TYPE", "cluster", kChanges, "redis-type=cluster"},
    {"REDIS_TYPE", "SENTINEL", kChanges, "redis-type=sentinel redis-url=m,s:1", "REDIS_URL=m,s:1"},
    {"REDIS_TYPE", "RING", kRefuses, kType},
    {"REDIS_PERSECOND_TYPE", "CLUSTER", kChanges, "redis-per-second-type=cluster"},
    {"REDIS_PERSECOND_TYPE", "RING", kRefuses, kType},

    {"REDIS_URL", "redis://u:p@h:1/2", kChanges, "redis-url=redis://u:p@h:1/2"},
    {"REDIS_URL", "rediss://h", kChanges, "redis-url=rediss://h"},
    {"REDIS_URL", "h", kChanges, "redis-url=h", "REDIS_SOCKET_TYPE=tcp"},
    {"REDIS_URL", "/run/redis.sock", kChanges, "redis-url=/run/redis.sock"},
    {"REDIS_URL", "/run/redis.sock", kChanges, "redis-url=/run/redis.sock",
     "REDIS_SOCKET_TYPE=unix"},
    {"REDIS_URL", "h:1", kRefuses, kNotUnix, "REDIS_SOCKET_TYPE=unix"},
    {"REDIS_URL", "redis://h:1", kRefuses, kNotUnix, "REDIS_SOCKET_TYPE=unix"},
    {"REDIS_URL", "/run/redis.sock", kRefuses, kNotTcp, "REDIS_SOCKET_TYPE=tcp"},
    {"REDIS_URL", "a:1,b:2", kChanges, "redis-type=cluster redis-url=a:1,b:2",
     "REDIS_TYPE=CLUSTER"},
    {"REDIS_URL", "a:1,b:2", kRefuses, "one Redis has one address, a list needs another type"},
    {"REDIS_URL", "http://h:1", kRefuses, kNotUrl},
    {"REDIS_PERSECOND_URL", "h:1", kChanges, "redis-per-second-url=h:1"},
    {"REDIS_PERSECOND_URL", "h:1", kRefuses, kNotUnix, "REDIS_PERSECOND_SOCKET_TYPE=unix"},
    {"REDIS_PERSECOND_URL", "/s", kRefuses, kNotTcp, "REDIS_PERSECOND_SOCKET_TYPE=tcp"},
    {"REDIS_PERSECOND_URL", "h:x", kRefuses, kNotUrl},

    {"REDIS_AUTH", "pw", kChanges, "redis-password=pw"},
    {"REDIS_AUTH", "u:p:w", kChanges, "redis-user=u redis-password=p:w"},
    {"REDIS_AUTH", "", kNothing, ""},
    {"REDIS_AUTH", "p\nw", kRefuses, "'(masked)' is not accepted, it must be a text without"},
    {"REDIS_PERSECOND_AUTH", "u:pw", kChanges,
     "redis-per-second-user=u redis-per-second-password=pw"},
    {"REDIS_SENTINEL_AUTH", "u:pw", kChanges,
     "redis-type=sentinel redis-url=m,s redis-sentinel-user=u redis-sentinel-password=pw",
     "REDIS_TYPE=SENTINEL"},
    {"REDIS_SENTINEL_AUTH", "pw", kWarns, "no effect without sentinels"},
    {"REDIS_PERSECOND_SENTINEL_AUTH", "pw", kWarns, "no effect without sentinels"},

    {"REDIS_TLS", "true", kChanges, "redis-tls=true"},
    {"REDIS_TLS", "", kRefuses, "'' is not accepted, it must be true or false"},
    {"REDIS_PERSECOND_TLS", "true", kChanges, "redis-per-second-tls=true"},
    {"REDIS_TLS_CLIENT_CERT", "/c", kChanges, "redis-tls=true redis-tls-cert=/c", "REDIS_TLS=true"},
    {"REDIS_TLS_CLIENT_CERT", "/c", kWarns, "no effect, connections to Redis are not TLS"},
    {"REDIS_TLS_CLIENT_KEY", "/k", kRefuses, "it needs redis-tls-cert"},
    {"REDIS_TLS_CLIENT_KEY", "", kNothing, ""},
    {"REDIS_TLS_CACERT", "/ca", kChanges, "redis-tls=true redis-tls-ca=/ca", "REDIS_TLS=true"},
    {"REDIS_TLS_CACERT", "/ca", kWarns, "no effect, connections to Redis are not TLS"},
    {"REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", "true", kWarns,
     "whoever holds any certificate of the authority can pose as Redis", "REDIS_TLS=true"},
    {"REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", "no", kRefuses, "it must be true or false"},

    {"REDIS_POOL_SIZE", "10", kNothing, ""},
    {"REDIS_PERSECOND_POOL_SIZE", "10", kNothing, ""},
    {"REDIS_TIMEOUT", "1s", kChanges, "redis-connect-timeout=1s"},
    {"REDIS_TIMEOUT", "1001ms", kWarns, "1001ms to connect is long"},
    {"REDIS_TIMEOUT", "1", kRefuses, "'1' is not accepted, it must be a duration such as 5s"},
    {"REDIS_TIMEOUT", "0", kRefuses, "'0' is not accepted, it must be a duration such as 5s"},
    {"REDIS_PERSECOND_TIMEOUT", "200ms", kChanges, "redis-connect-timeout=200ms"},
    {"REDIS_PERSECOND_TIMEOUT", "200ms", kChanges, "redis-connect-timeout=300ms",
     "REDIS_TIMEOUT=300ms"},
    {"REDIS_PERSECOND_TIMEOUT", "400ms", kChanges, "redis-connect-timeout=400ms",
     "REDIS_TIMEOUT=300ms"},
    {"REDIS_PERSECOND_TIMEOUT", "10s", kWarns, "10s to connect is long"},
    {"REDIS_PERSECOND_TIMEOUT", "soon", kRefuses, "it must be a duration such as 5s"},
    {"REDIS_STARTUP_INITIAL_INTERVAL", "100ms", kChanges, "redis-backoff-min=100ms"},
    {"REDIS_STARTUP_INITIAL_INTERVAL", "1s", kChanges, "redis-backoff-min=1s redis-backoff-max=1s"},
    {"REDIS_STARTUP_INITIAL_INTERVAL", "2s", kRefuses,
     "longer than redis-backoff-max (environment variable REDIS_STARTUP_MAX_INTERVAL)",
     "REDIS_STARTUP_MAX_INTERVAL=1s"},
    {"REDIS_STARTUP_MAX_INTERVAL", "30s", kChanges, "redis-backoff-max=30s"},
    {"REDIS_STARTUP_MAX_INTERVAL", "9ms", kChanges, "redis-backoff-min=9ms redis-backoff-max=9ms"},
    {"REDIS_STARTUP_MAX_ELAPSED_TIME", "5m", kChanges, "redis-start-max=5m"},
    {"REDIS_STARTUP_MAX_ELAPSED_TIME", "0", kNothing, ""},
    {"REDIS_STARTUP_MAX_ELAPSED_TIME", "5", kRefuses, "it must be a duration"},

    {"REDIS_PIPELINE_WINDOW", "150us", kNothing, ""},
    {"REDIS_PERSECOND_PIPELINE_WINDOW", "150us", kNothing, ""},
    {"REDIS_CLUSTER_PIPELINE_PARALLELISM", "4", kNothing, ""},
    {"REDIS_PERSECOND_CLUSTER_PIPELINE_PARALLELISM", "4", kNothing, ""},
    {"REDIS_PIPELINE_LIMIT", "8", kWarns, kBatches},
    {"REDIS_PERSECOND_PIPELINE_LIMIT", "8", kWarns, kBatches},
    {"REDIS_POOL_ON_EMPTY_BEHAVIOR", "CREATE", kWarns, kPool},
    {"REDIS_PERSECOND_POOL_ON_EMPTY_BEHAVIOR", "ERROR", kWarns, kPool},
    {"REDIS_POOL_ON_EMPTY_WAIT_DURATION", "1s", kWarns, kPool},
    {"REDIS_PERSECOND_POOL_ON_EMPTY_WAIT_DURATION", "1s", kWarns, kPool},
    {"REDIS_CLOSE_CONNECTION_ON_READONLY_ERROR", "true", kNothing, ""},
};

Environment EnvironmentOf(const Row& row) {
  Environment environment = {
      {"REDIS_URL", "r:1"}, {"REDIS_PERSECOND", "true"}, {"REDIS_PERSECOND_URL", "p:1"}};
  const std::string_view other = row.beside;
  if (!other.empty()) {
    const size_t equals = other.find('=');
    environment[std::string(other.substr(0, equals))] = other.substr(equals + 1);
    if (other == "REDIS_TYPE=SENTINEL") environment["REDIS_URL"] = "m,s";
  }
  environment[std::string(row.variable)] = row.value;
  return environment;
}

class RedisVariables : public ::testing::TestWithParam<Row> {};

TEST_P(RedisVariables, AreTreatedAsDocumented) {
  const Row& row = GetParam();
  const Result result = Start(EnvironmentOf(row));
  const std::string place = "environment variable " + std::string(row.variable);
  if (row.what == kRefuses) {
    ASSERT_EQ(result.errors.size(), 1u);
    EXPECT_THAT(result.errors.front(), StartsWith(place + ": "));
    EXPECT_THAT(result.errors.front(), HasSubstr(std::string(row.text)));
    return;
  }
  EXPECT_THAT(result.errors, IsEmpty());
  if (row.what == kWarns) {
    ASSERT_EQ(result.warnings.size(), 1u);
    EXPECT_THAT(result.warnings.front(), StartsWith(place));
    EXPECT_THAT(result.warnings.front(), HasSubstr(std::string(row.text)));
    return;
  }
  EXPECT_THAT(result.warnings, IsEmpty());
  std::vector<std::string> expected = {"store=redis", "redis-per-second=true"};
  if (row.what == kChanges) {
    const std::vector<std::string> changes = absl::StrSplit(std::string(row.text), ' ');
    expected.insert(expected.end(), changes.begin(), changes.end());
  }
  for (const std::string given : {"redis-url=r:1", "redis-per-second-url=p:1"}) {
    const std::string name = given.substr(0, given.find('=') + 1);
    const bool changed = std::any_of(expected.begin(), expected.end(),
                                     [&](const std::string& one) { return one.starts_with(name); });
    if (!changed) expected.push_back(given);
  }
  EXPECT_THAT(result.changes, UnorderedElementsAreArray(expected));
}

TEST_P(RedisVariables, HaveNoEffectOnTheMemoryStore) {
  Environment environment = EnvironmentOf(GetParam());
  Result result = Start(environment, {"--store=memory"});
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.warnings, IsEmpty());
  EXPECT_THAT(result.changes, IsEmpty());
  environment["BACKEND_TYPE"] = "memory";
  result = Start(environment);
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.warnings, IsEmpty());
  EXPECT_THAT(result.changes, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Each, RedisVariables, ::testing::ValuesIn(kRows),
                         [](const ::testing::TestParamInfo<Row>& each) {
                           return std::string(each.param.variable) + "_" +
                                  std::to_string(each.index);
                         });

TEST(RedisVariablesTable, HasNoRowWithoutATest) {
  for (const ReferenceVariable& variable : AllReferenceVariables()) {
    if (!variable.name.starts_with("REDIS_")) continue;
    const bool tested = std::any_of(std::begin(kRows), std::end(kRows),
                                    [&](const Row& row) { return row.variable == variable.name; });
    EXPECT_TRUE(tested) << variable.name;
  }
}

TEST(RedisEnvironment, AnAddressIsAChoiceOfRedis) {
  EXPECT_THAT(Start({{"REDIS_URL", "r:1"}}).changes, ElementsAre("store=redis", "redis-url=r:1"));
  EXPECT_THAT(Start({{"REDIS_URL", ""}}).changes, IsEmpty());
  EXPECT_THAT(Start({{"BACKEND_TYPE", "redis"}}).changes, ElementsAre("store=redis"));
}

TEST(RedisEnvironment, WithoutAnAddressTheRestIsWarnedOf) {
  const Result result =
      Start({{"REDIS_AUTH", "u:pw"}, {"REDIS_TLS", "true"}, {"REDIS_SOCKET_TYPE", "tcp"}});
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.warnings,
              ElementsAre("environment variable REDIS_AUTH, environment variable REDIS_TLS: no "
                          "effect, because limits hold in this process only: there is no "
                          "redis-url"));
}

TEST(RedisEnvironment, ThePerSecondStoreNeedsItsSwitchAndItsAddress) {
  EXPECT_THAT(Start({{"REDIS_URL", "r"}, {"REDIS_PERSECOND", "true"}}).errors,
              ElementsAre("environment variable REDIS_PERSECOND: it needs redis-per-second-url, "
                          "which is not set"));
  const Result result = Start({{"REDIS_URL", "r"},
                               {"REDIS_PERSECOND_URL", "p"},
                               {"REDIS_PERSECOND_TLS", "true"},
                               {"REDIS_PERSECOND_TIMEOUT", "9s"}});
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.warnings,
              ElementsAre("environment variable REDIS_PERSECOND_TIMEOUT has no effect without "
                          "REDIS_PERSECOND=true",
                          "environment variable REDIS_PERSECOND_URL, environment variable "
                          "REDIS_PERSECOND_TLS: no effect without redis-per-second"));
  // Who says that it is off knows.
  EXPECT_THAT(
      Start({{"REDIS_URL", "r"}, {"REDIS_PERSECOND", "false"}, {"REDIS_PERSECOND_URL", "p"}})
          .warnings,
      IsEmpty());
}

TEST(RedisEnvironment, TheTypeOfASocketIsForASingleRedis) {
  for (const char* const type : {"CLUSTER", "SENTINEL"}) {
    const Result result =
        Start({{"REDIS_URL", "a,b:2"}, {"REDIS_TYPE", type}, {"REDIS_SOCKET_TYPE", "unix"}});
    EXPECT_THAT(result.errors, IsEmpty()) << type;
    EXPECT_THAT(result.warnings, IsEmpty()) << type;
  }
}

TEST(RedisEnvironment, WeirsVariablesWin) {
  const Result result = Start({{"REDIS_URL", "r"}, {"WEIR_REDIS_URL", "w"}});
  EXPECT_THAT(result.changes, ElementsAre("store=redis", "redis-url=w"));
  EXPECT_THAT(result.warnings, ElementsAre("REDIS_URL: no effect, because WEIR_REDIS_URL is set"));
}

}  // namespace
}  // namespace weir
