#include "limiter/config/settings_environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "limiter/config/settings_load.h"
#include "limiter/config/settings_table.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

struct Result {
  std::vector<std::string> errors;  // lines
  std::vector<std::string> warnings;
  std::vector<std::string> changes;  // "name=value" of settings that are not their defaults
};

Result Start(const Environment& environment, const std::string& program = "weir") {
  Result result;
  const absl::StatusOr<LoadedSettings> loaded = LoadSettings(
      program, {}, environment, [](const std::string& path) -> absl::StatusOr<std::string> {
        return absl::NotFoundError("no file " + path);
      });
  if (!loaded.ok()) {
    std::string text(loaded.status().message());
    text += '\n';
    for (size_t end; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
      result.errors.push_back(text.substr(0, end));
    }
    return result;
  }
  result.warnings = loaded->warnings;
  const Settings defaults = DefaultSettings(loaded->settings.compat);
  for (const Setting& setting : AllSettings()) {
    const std::vector<std::string> texts = setting.value.print(loaded->settings);
    if (texts == setting.value.print(defaults)) continue;
    result.changes.push_back(std::string(setting.name) + "=" + Displayed(setting, texts));
  }
  return result;
}

// What becomes of a variable that is set alone.
enum What { kChanges, kWarns, kRefuses, kNothing };

struct Row {
  std::string_view variable;
  std::string_view value;
  What what;
  std::string_view text;  // kChanges: "name=value"; kWarns and kRefuses: part of the line
};

constexpr std::string_view kWithoutTls = "no effect without GRPC_SERVER_USE_TLS=true";
constexpr std::string_view kWithoutXds = "no effect without CONFIG_TYPE=GRPC_XDS_SOTW";

constexpr Row kRows[] = {
    {"HOST", "::", kChanges, "http-listen=[::]:8080"},
    {"HOST", "", kChanges, "http-listen=0.0.0.0:8080"},
    {"HOST", "a b", kRefuses, "'a b' is not accepted, it must be a host name or an IP address"},
    {"PORT", "18080", kChanges, "http-listen=127.0.0.1:18080"},
    {"PORT", "65536", kRefuses, "'65536' is not accepted, it must be a port from 0 to 65535"},
    {"GRPC_HOST", "10.0.0.1", kChanges, "grpc-listen=10.0.0.1:8081"},
    {"GRPC_PORT", "0", kChanges, "grpc-listen=127.0.0.1:0"},
    {"GRPC_PORT", "tcp://10.0.0.1:80", kRefuses, "Kubernetes"},
    {"GRPC_UDS", "/run/weir.sock", kChanges, "grpc-listen=unix:/run/weir.sock"},
    {"GRPC_UDS", "", kNothing, ""},
    {"DEBUG_HOST", "0.0.0.0", kChanges, "admin-listen=0.0.0.0:6070"},
    {"DEBUG_PORT", "16070", kChanges, "admin-listen=127.0.0.1:16070"},
    {"GRPC_MAX_CONNECTION_AGE", "30m", kChanges, "grpc-max-connection-age=30m"},
    {"GRPC_MAX_CONNECTION_AGE", "30", kRefuses, "it must be a duration"},
    {"GRPC_MAX_CONNECTION_AGE_GRACE", "10s", kChanges, "grpc-max-connection-age-grace=10s"},

    {"GRPC_SERVER_USE_TLS", "true", kRefuses, "true needs GRPC_SERVER_TLS_CERT"},
    {"GRPC_SERVER_USE_TLS", "false", kNothing, ""},
    {"GRPC_SERVER_USE_TLS", "perhaps", kRefuses, "it must be true or false"},
    {"GRPC_SERVER_TLS_CERT", "/certs/tls.crt", kWarns, kWithoutTls},
    {"GRPC_SERVER_TLS_KEY", "/certs/tls.key", kWarns, kWithoutTls},
    {"GRPC_CLIENT_TLS_CACERT", "/certs/ca.crt", kWarns, kWithoutTls},
    {"GRPC_CLIENT_TLS_SAN", "client", kWarns, kWithoutTls},
    {"GRPC_SERVER_TLS_CA_CERT", "/certs/ca.crt", kWarns, "is ignored: "},

    {"LOG_LEVEL", "DEBUG", kChanges, "log-level=debug"},
    {"LOG_LEVEL", "loud", kRefuses, "it must be trace, debug, info, warn or error"},
    {"LOG_FORMAT", "json", kChanges, "log-format=json"},
    {"LOG_FORMAT", "JSON", kChanges, "log-format=json"},
    {"LOG_FORMAT", "xml", kRefuses, "it must be text or json"},

    {"CONFIG_TYPE", "FILE", kNothing, ""},
    {"CONFIG_TYPE", "GRPC_XDS_SOTW", kRefuses, "from an xDS server are not in this build yet"},
    {"CONFIG_TYPE", "ETCD", kRefuses, "'ETCD' is not accepted, it must be FILE"},
    {"FORCE_START_WITHOUT_INITIAL_CONFIG", "true", kChanges, "force-start-without-rules=true"},
    {"MERGE_DOMAIN_CONFIG", "true", kChanges, "merge-domains=true"},
    {"MERGE_DOMAIN_CONFIG", "", kRefuses, "'' is not accepted, it must be true or false"},
    {"RUNTIME_ROOT", "/data", kChanges, "rules-dir=/data/config"},
    {"RUNTIME_SUBDIRECTORY", "ratelimit", kChanges,
     "rules-dir=/srv/runtime_data/current/ratelimit/config"},
    {"RUNTIME_APPDIRECTORY", "rules", kChanges, "rules-dir=/srv/runtime_data/current/rules"},
    {"RUNTIME_APPDIRECTORY", "", kChanges, "rules-dir=/srv/runtime_data/current"},
    {"RUNTIME_IGNOREDOTFILES", "true", kNothing, ""},
    {"RUNTIME_IGNOREDOTFILES", "false", kWarns, "is ignored: dotfiles"},
    {"RUNTIME_WATCH_ROOT", "true", kNothing, ""},
    {"RUNTIME_WATCH_ROOT", "false", kNothing, ""},

    {"CONFIG_GRPC_XDS_NODE_ID", "a", kWarns, kWithoutXds},
    {"CONFIG_GRPC_XDS_NODE_METADATA", "a=b", kWarns, kWithoutXds},
    {"CONFIG_GRPC_XDS_SERVER_URL", "xds:18000", kWarns, kWithoutXds},
    {"CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL", "3s", kWarns, kWithoutXds},
    {"CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS", "a=b", kWarns, kWithoutXds},
    {"CONFIG_GRPC_XDS_SERVER_USE_TLS", "true", kWarns, kWithoutXds},
    {"CONFIG_GRPC_XDS_CLIENT_TLS_CERT", "a", kWarns, kWithoutXds},
    {"CONFIG_GRPC_XDS_CLIENT_TLS_KEY", "a", kWarns, kWithoutXds},
    {"CONFIG_GRPC_XDS_SERVER_TLS_CACERT", "a", kWarns, kWithoutXds},
    {"CONFIG_GRPC_XDS_SERVER_TLS_SAN", "a", kWarns, kWithoutXds},
    {"XDS_CLIENT_BACKOFF_INITIAL_INTERVAL", "10s", kWarns, kWithoutXds},
    {"XDS_CLIENT_BACKOFF_MAX_INTERVAL", "60s", kWarns, kWithoutXds},
    {"XDS_CLIENT_BACKOFF_JITTER", "true", kWarns, kWithoutXds},
    {"XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES", "1", kWarns, kWithoutXds},
    {"XDS_CLIENT_BACKOFF_RANDOM_FACTOR", "0.5", kWarns, kWithoutXds},

    {"BACKEND_TYPE", "memory", kNothing, ""},
    {"BACKEND_TYPE", "", kNothing, ""},
    {"BACKEND_TYPE", "redis", kChanges, "store=redis"},
    {"BACKEND_TYPE", "memcache", kRefuses,
     "'memcache' is not accepted, it must be memory or redis"},
    {"BACKEND_TYPE", "etcd", kRefuses, "'etcd' is not accepted, it must be memory or redis"},
    {"NEAR_LIMIT_RATIO", "0.5", kChanges, "near-limit-ratio=0.5"},
    {"NEAR_LIMIT_RATIO", "80", kRefuses, "it must be a fraction from 0 to 1"},
    {"CACHE_KEY_PREFIX", "blue_", kChanges, "cache-key-prefix=blue_"},
    {"EXPIRATION_JITTER_MAX_SECONDS", "300", kWarns, "is ignored: Weir's own keys are kept"},
    {"EXPIRATION_JITTER_MAX_SECONDS", "", kNothing, ""},
    {"LOCAL_CACHE_SIZE_IN_BYTES", "1000", kWarns, "is ignored: keys over their limit"},
    {"STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", "true", kChanges, "charge-denied=over-only"},
    {"STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", "false", kNothing, ""},
    {"STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", "no", kRefuses, "it must be true or false"},
    {"SHADOW_MODE", "true", kChanges, "shadow-mode=true"},
    {"QUOTA_MODE", "true", kChanges, "quota-mode=true"},
    {"RESPONSE_DYNAMIC_METADATA", "true", kChanges, "response-dynamic-metadata=true"},

    {"HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED", "true", kChanges,
     "healthy-with-at-least-one-config=true"},

    {"LIMIT_RESPONSE_HEADERS_ENABLED", "true", kChanges, "response-headers-enabled=true"},
    {"LIMIT_LIMIT_HEADER", "X-Limit", kChanges, "limit-header=X-Limit"},
    {"LIMIT_REMAINING_HEADER", "X-Left", kChanges, "remaining-header=X-Left"},
    {"LIMIT_RESET_HEADER", "X-Reset", kChanges, "reset-header=X-Reset"},
    {"LIMIT_RESET_HEADER", "X Reset", kRefuses, "it must be the name of an HTTP header"},

    {"MEMCACHE_HOST_PORT", "m:11211", kWarns, "is ignored: there is no memcache store"},
    {"MEMCACHE_SRV", "m", kWarns, "is ignored: there is no memcache store"},
    {"MEMCACHE_SRV_REFRESH", "1s", kWarns, "is ignored: there is no memcache store"},
    {"MEMCACHE_MAX_IDLE_CONNS", "2", kWarns, "is ignored: there is no memcache store"},
    {"MEMCACHE_TLS", "true", kWarns, "is ignored: there is no memcache store"},
    {"MEMCACHE_TLS_CLIENT_CERT", "a", kWarns, "is ignored: there is no memcache store"},
    {"MEMCACHE_TLS_CLIENT_KEY", "a", kWarns, "is ignored: there is no memcache store"},
    {"MEMCACHE_TLS_CACERT", "a", kWarns, "is ignored: there is no memcache store"},
    {"MEMCACHE_TLS_SKIP_HOSTNAME_VERIFICATION", "true", kWarns,
     "is ignored: there is no memcache store"},

    {"USE_PROMETHEUS", "true", kChanges, "prometheus-listen=0.0.0.0:9090"},
    {"USE_PROMETHEUS", "false", kNothing, ""},
    {"USE_PROMETHEUS", "no", kRefuses, "it must be true or false"},
    {"PROMETHEUS_ADDR", ":19001", kWarns, "no effect without USE_PROMETHEUS=true"},
    {"PROMETHEUS_PATH", "/m", kChanges, "prometheus-path=/m"},
    {"PROMETHEUS_PATH", "m", kRefuses, "it must be a path that begins with /"},
    {"PROMETHEUS_MAPPER_YAML", "/m.yaml", kWarns, "is ignored: "},
    {"PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS", "true", kWarns, "is ignored: "},
    {"USE_STATSD", "true", kWarns, "let Prometheus read /metrics"},
    {"STATSD_HOST", "statsd", kWarns, "let Prometheus read /metrics"},
    {"STATSD_PORT", "8125", kWarns, "let Prometheus read /metrics"},
    {"USE_DOG_STATSD", "true", kWarns, "let Prometheus read /metrics"},
    {"USE_DOG_STATSD_MOGRIFIERS", "A", kWarns, "let Prometheus read /metrics"},
    {"DOG_STATSD_MOGRIFIER_A_PATTERN", "a", kWarns, "let Prometheus read /metrics"},
    {"DOG_STATSD_MOGRIFIER_A_NAME", "a", kWarns, "let Prometheus read /metrics"},
    {"DOG_STATSD_MOGRIFIER_A_TAGS", "a", kWarns, "let Prometheus read /metrics"},
    {"EXTRA_TAGS", "env:prod,region:eu", kChanges, "extra-tags=env:prod,region:eu"},
    {"EXTRA_TAGS", "env", kRefuses, "it must be NAME:VALUE; several between commas"},
    {"EXTRA_TAGS", "", kNothing, ""},
    {"STATS_FLUSH_INTERVAL", "10s", kNothing, ""},
    {"DISABLE_STATS", "true", kChanges, "disable-stats=true"},

    {"TRACING_ENABLED", "true", kWarns, "is ignored: this build has no tracing"},
    {"TRACING_EXPORTER_PROTOCOL", "grpc", kWarns, "is ignored: this build has no tracing"},
    {"TRACING_SERVICE_NAME", "a", kWarns, "is ignored: this build has no tracing"},
    {"TRACING_SERVICE_NAMESPACE", "a", kWarns, "is ignored: this build has no tracing"},
    {"TRACING_SERVICE_INSTANCE_ID", "a", kWarns, "is ignored: this build has no tracing"},
    {"TRACING_SAMPLING_RATE", "1", kWarns, "is ignored: this build has no tracing"},
    {"OTEL_EXPORTER_OTLP_ENDPOINT", "a", kWarns, "is ignored: this build has no tracing"},

    {"ENABLE_NEGATIVE_HITS", "false", kChanges, "negative-hits=false"},
    {"ENABLE_NEGATIVE_HITS", "true", kNothing, ""},
    {"USE_CALENDAR_MONTH_RATE_LIMIT", "true", kRefuses, "calendar months are not in this build"},
    {"USE_CALENDAR_MONTH_RATE_LIMIT", "false", kNothing, ""},
    {"LOCAL_CACHE_INVALIDATION_RESUBSCRIBE_INTERVAL", "5m", kWarns, "is ignored: "},
    {"LIMIT_REQUEST_HEADERS_ENABLED", "true", kWarns, "is ignored: "},
    {"LIMIT_REQUEST_LIMIT_HEADER", "a", kWarns, "is ignored: "},
    {"LIMIT_REQUEST_REMAINING_HEADER", "a", kWarns, "is ignored: "},
    {"LIMIT_REQUEST_RESET_HEADER", "a", kWarns, "is ignored: "},
    {"SANITIZE_DESCRIPTOR_METRIC_DOTS", "true", kNothing, ""},
};

class ReferenceVariables : public ::testing::TestWithParam<Row> {};

TEST_P(ReferenceVariables, AreTreatedAsDocumented) {
  const Row& row = GetParam();
  const std::string variable(row.variable);
  const std::string text(row.text);
  const Result result = Start({{variable, std::string(row.value)}});
  if (row.what == kRefuses) {
    ASSERT_EQ(result.errors.size(), 1u);
    EXPECT_THAT(result.errors.front(), ::testing::StartsWith("environment variable " + variable));
    EXPECT_THAT(result.errors.front(), HasSubstr(text));
    return;
  }
  EXPECT_THAT(result.errors, IsEmpty());
  if (row.what == kWarns) {
    ASSERT_EQ(result.warnings.size(), 1u);
    EXPECT_THAT(result.warnings.front(),
                ::testing::StartsWith("environment variable " + variable + " "));
    EXPECT_THAT(result.warnings.front(), HasSubstr(text));
  } else {
    EXPECT_THAT(result.warnings, IsEmpty());
  }
  if (row.what == kChanges) {
    EXPECT_THAT(result.changes, ElementsAre(text));
  } else {
    EXPECT_THAT(result.changes, IsEmpty());
  }
}

INSTANTIATE_TEST_SUITE_P(Each, ReferenceVariables, ::testing::ValuesIn(kRows),
                         [](const ::testing::TestParamInfo<Row>& each) {
                           return std::string(each.param.variable) + "_" +
                                  std::to_string(each.index);
                         });

TEST(ReferenceVariablesTable, HasNoRowWithoutATest) {
  for (const ReferenceVariable& variable : AllReferenceVariables()) {
    std::string_view name = variable.name;
    if (name.starts_with("REDIS_")) continue;  // settings_environment_redis_test.cc
    const bool is_prefix = name.ends_with('*');
    if (is_prefix) name.remove_suffix(1);
    const bool tested = std::any_of(std::begin(kRows), std::end(kRows), [&](const Row& row) {
      return is_prefix ? row.variable.starts_with(name) : row.variable == name;
    });
    EXPECT_TRUE(tested) << variable.name;
  }
}

TEST(ReferenceVariablesTable, NamesSettingsThatExist) {
  std::set<std::string_view> names;
  for (const ReferenceVariable& variable : AllReferenceVariables()) {
    EXPECT_TRUE(names.insert(variable.name).second) << variable.name;
    const bool plain = variable.treatment == Treatment::kSets ||  // as the setting's own
                       variable.treatment == Treatment::kNeedsTls;
    EXPECT_EQ(FindSetting(variable.setting) != nullptr,
              plain || variable.treatment == Treatment::kMaps)
        << variable.name;
    EXPECT_EQ(variable.reason.empty(), plain) << variable.name;
    EXPECT_FALSE(TreatmentText(variable).empty()) << variable.name;
  }
}

TEST(SettingsEnvironment, HostAndPortMakeOneAddress) {
  EXPECT_THAT(Start({{"HOST", "10.0.0.1"}, {"PORT", "80"}}).changes,
              ElementsAre("http-listen=10.0.0.1:80"));
  EXPECT_THAT(Start({{"GRPC_HOST", "[::1]"}, {"GRPC_PORT", "0"}}).changes,
              ElementsAre("grpc-listen=[::1]:0"));
}

TEST(SettingsEnvironment, CompatModeGivesTheOtherHalf) {
  const Result result =
      Start({{"GRPC_PORT", "1"}, {"PORT", "2"}, {"DEBUG_PORT", "3"}}, "/bin/ratelimit");
  EXPECT_THAT(result.changes, ElementsAre("grpc-listen=0.0.0.0:1", "http-listen=0.0.0.0:2",
                                          "admin-listen=127.0.0.1:3"));
}

TEST(SettingsEnvironment, AUnixSocketReplacesTheAddress) {
  EXPECT_THAT(Start({{"GRPC_UDS", "/run/a"}, {"GRPC_PORT", "1"}}).changes,
              ElementsAre("grpc-listen=unix:/run/a"));
}

TEST(SettingsEnvironment, TheRuntimeFolderIsJoined) {
  EXPECT_THAT(Start({{"RUNTIME_ROOT", "/data/"},
                     {"RUNTIME_SUBDIRECTORY", "/ratelimit/"},
                     {"RUNTIME_APPDIRECTORY", "rules"}})
                  .changes,
              ElementsAre("rules-dir=/data/ratelimit/rules"));
  EXPECT_THAT(Start({{"RUNTIME_ROOT", ""}, {"RUNTIME_APPDIRECTORY", "rules"}}).changes,
              ElementsAre("rules-dir=rules"));
}

TEST(SettingsEnvironment, PrometheusTakesItsAddress) {
  EXPECT_THAT(Start({{"USE_PROMETHEUS", "true"}, {"PROMETHEUS_ADDR", ":19001"}}).changes,
              ElementsAre("prometheus-listen=0.0.0.0:19001"));
  EXPECT_THAT(Start({{"USE_PROMETHEUS", "true"}, {"PROMETHEUS_ADDR", "nine"}}).errors,
              ElementsAre(HasSubstr("PROMETHEUS_ADDR: 'nine' is not accepted, it must be "
                                    "HOST:PORT")));
}

TEST(SettingsEnvironment, TlsIsSetByItsFilesWhereItIsUsed) {
  Environment variables = {{"GRPC_SERVER_USE_TLS", "true"},
                           {"GRPC_SERVER_TLS_CERT", "/certs/tls.crt"},
                           {"GRPC_SERVER_TLS_KEY", "/certs/tls.key"},
                           {"GRPC_CLIENT_TLS_CACERT", "/certs/ca.crt"},
                           {"GRPC_CLIENT_TLS_SAN", "envoy"}};
  const Result started = Start(variables);
  EXPECT_THAT(started.errors, IsEmpty());
  EXPECT_THAT(started.warnings, IsEmpty());
  EXPECT_THAT(
      started.changes,
      UnorderedElementsAre("grpc-tls-cert=/certs/tls.crt", "grpc-tls-key=/certs/tls.key",
                           "grpc-tls-client-ca=/certs/ca.crt", "grpc-tls-client-sans=envoy"));
  variables["GRPC_SERVER_TLS_CERT"] = "";
  EXPECT_THAT(Start(variables).errors, ElementsAre(HasSubstr("true needs GRPC_SERVER_TLS_CERT")));
  variables["WEIR_GRPC_TLS_CERT"] = "/other.crt";
  EXPECT_THAT(Start(variables).errors, IsEmpty());
  variables["GRPC_SERVER_USE_TLS"] = "false";
  EXPECT_THAT(Start(variables).changes, ElementsAre("grpc-tls-cert=/other.crt"));
}

TEST(SettingsEnvironment, WhatTlsAndXdsNeedMakesNoErrorsOfItsOwn) {
  EXPECT_THAT(Start({{"CONFIG_TYPE", "GRPC_XDS_SOTW"},
                     {"CONFIG_GRPC_XDS_SERVER_URL", "xds:18001"},
                     {"GRPC_SERVER_USE_TLS", "true"},
                     {"GRPC_SERVER_TLS_KEY", "/certs/tls.key"}})
                  .errors,
              UnorderedElementsAre(HasSubstr("GRPC_SERVER_USE_TLS"), HasSubstr("CONFIG_TYPE")));
}

TEST(SettingsEnvironment, VariablesIgnoredForOneReasonMakeOneWarning) {
  EXPECT_THAT(Start({{"OTEL_B", "1"}, {"OTEL_A", "1"}, {"TRACING_ENABLED", "1"}}).warnings,
              ElementsAre("environment variables TRACING_ENABLED, OTEL_A, OTEL_B are ignored: this "
                          "build has no tracing"));
}

TEST(SettingsEnvironment, WeirsVariablesWin) {
  const Result result =
      Start({{"WEIR_GRPC_LISTEN", ":1,:2"}, {"GRPC_PORT", "3"}, {"GRPC_HOST", "a"}});
  EXPECT_THAT(result.changes, ElementsAre("grpc-listen=0.0.0.0:1,0.0.0.0:2"));
  EXPECT_THAT(result.warnings,
              ElementsAre("GRPC_HOST, GRPC_PORT: no effect, because WEIR_GRPC_LISTEN is set"));
}

TEST(SettingsEnvironment, AMisspeltVariableIsWarnedOf) {
  EXPECT_THAT(Start({{"WEIR_GRPC_LISTN", ":1"}}).warnings,
              ElementsAre("environment variable WEIR_GRPC_LISTN is not a setting (did you mean "
                          "WEIR_GRPC_LISTEN?)"));
}

TEST(SettingsEnvironment, WhatKubernetesSetsForAServiceNamedWeirIsNoMistake) {
  const Result result = Start({{"WEIR_SERVICE_HOST", "10.0.0.1"},
                               {"WEIR_SERVICE_PORT", "8081"},
                               {"WEIR_SERVICE_PORT_GRPC", "8081"},
                               {"WEIR_PORT", "tcp://10.0.0.1:8081"},
                               {"WEIR_PORT_8081_TCP", "tcp://10.0.0.1:8081"},
                               {"WEIR_PORT_8081_TCP_ADDR", "10.0.0.1"},
                               {"WEIR_PORT_8081_TCP_PORT", "8081"},
                               {"WEIR_PORT_8081_TCP_PROTO", "tcp"}});
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.warnings, IsEmpty());
  EXPECT_THAT(result.changes, IsEmpty());
}

TEST(SettingsEnvironment, WhatKubernetesSetsForAServiceNamedWeirRedisIsNoMistake) {
  const Result result = Start({{"WEIR_REDIS_SERVICE_HOST", "10.0.0.1"},
                               {"WEIR_REDIS_SERVICE_PORT", "6379"},
                               {"WEIR_REDIS_PORT", "tcp://10.0.0.1:6379"},
                               {"WEIR_REDIS_PORT_6379_TCP", "tcp://10.0.0.1:6379"},
                               {"WEIR_REDIS_PORT_6379_TCP_ADDR", "10.0.0.1"},
                               {"WEIR_REDIS_PORT_6379_TCP_PORT", "6379"},
                               {"WEIR_REDIS_PORT_6379_TCP_PROTO", "tcp"}});
  EXPECT_THAT(result.errors, IsEmpty());
  EXPECT_THAT(result.warnings, IsEmpty());
  EXPECT_THAT(result.changes, IsEmpty());
}

TEST(SettingsEnvironment, TheJitterOfExpiryIsForSharedKeys) {
  Environment environment = {{"EXPIRATION_JITTER_MAX_SECONDS", "20"},
                             {"WEIR_REDIS_KEY_FORMAT", "ratelimit"},
                             {"WEIR_REPLICAS", "2"},
                             {"REDIS_URL", "r"}};
  const Result result = Start(environment);
  EXPECT_THAT(result.warnings, IsEmpty());
  EXPECT_THAT(result.changes, ::testing::Contains("expiration-jitter-max=20s"));
  environment["EXPIRATION_JITTER_MAX_SECONDS"] = "20s";
  EXPECT_THAT(Start(environment).errors,
              ElementsAre("environment variable EXPIRATION_JITTER_MAX_SECONDS: '20s' is not "
                          "accepted, it must be a number of seconds"));
  environment["BACKEND_TYPE"] = "memory";
  EXPECT_THAT(Start(environment).warnings, ElementsAre(HasSubstr("is ignored: ")));
}

}  // namespace
}  // namespace weir
