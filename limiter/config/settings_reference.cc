#include <span>
#include <string>
#include <string_view>

#include "limiter/config/settings_environment.h"

namespace weir {
namespace {

using T = Treatment;

constexpr std::string_view kNoXds = "rules from an xDS server are not in this build yet";
constexpr std::string_view kSocketType =
    "tcp wants hosts in the URL, unix a path; if unset, either; no effect unless the type is "
    "SINGLE";
constexpr std::string_view kRedisTypes = "SINGLE, SENTINEL or CLUSTER";
constexpr std::string_view kRedisUrl =
    "the same forms; /var/run/nutcracker/… is not the default, an empty one counts as unset";
constexpr std::string_view kOneConnection =
    "one connection to each Redis carries all calls, so that no pool can be too small";
constexpr std::string_view kOwnBatches =
    "Weir batches by its own rule and asks all cluster slots at once";
constexpr std::string_view kNoPool = "there is no pool of connections that could be empty";
constexpr std::string_view kNoMemcache = "there is no memcache store";
constexpr std::string_view kNoMapper =
    "metrics are exported under their own names, times in seconds";
constexpr std::string_view kNoStatsd =
    "metrics are not pushed to statsd; let Prometheus read /metrics";
constexpr std::string_view kNoTracing = "this build has no tracing";
constexpr std::string_view kNoRequestHeaders = "headers are added to responses only";

constexpr ReferenceVariable kVariables[] = {
    {"HOST", T::kMaps, "http-listen", "the host"},
    {"PORT", T::kMaps, "http-listen", "the port"},
    {"GRPC_HOST", T::kMaps, "grpc-listen", "the host"},
    {"GRPC_PORT", T::kMaps, "grpc-listen", "the port"},
    {"GRPC_UDS", T::kMaps, "grpc-listen", "a Unix socket in place of the TCP address"},
    {"DEBUG_HOST", T::kMaps, "admin-listen", "the host"},
    {"DEBUG_PORT", T::kMaps, "admin-listen", "the port"},
    {"GRPC_MAX_CONNECTION_AGE", T::kSets, "grpc-max-connection-age", ""},
    {"GRPC_MAX_CONNECTION_AGE_GRACE", T::kSets, "grpc-max-connection-age-grace", ""},

    {"GRPC_SERVER_USE_TLS", T::kMaps, "grpc-tls-cert", "true wants GRPC_SERVER_TLS_CERT"},
    {"GRPC_SERVER_TLS_CERT", T::kNeedsTls, "grpc-tls-cert", ""},
    {"GRPC_SERVER_TLS_KEY", T::kNeedsTls, "grpc-tls-key", ""},
    {"GRPC_CLIENT_TLS_CACERT", T::kNeedsTls, "grpc-tls-client-ca", ""},
    {"GRPC_CLIENT_TLS_SAN", T::kNeedsTls, "grpc-tls-client-sans", ""},
    {"GRPC_SERVER_TLS_CA_CERT", T::kIgnored, "",
     "envoyproxy/ratelimit does not read it; it must not start to require client certificates"},

    {"LOG_LEVEL", T::kSets, "log-level", ""},
    {"LOG_FORMAT", T::kSets, "log-format", ""},

    {"CONFIG_TYPE", T::kConfigType, "", kNoXds},
    {"FORCE_START_WITHOUT_INITIAL_CONFIG", T::kSets, "force-start-without-rules", ""},
    {"MERGE_DOMAIN_CONFIG", T::kSets, "merge-domains", ""},
    {"RUNTIME_ROOT", T::kMaps, "rules-dir", "the first part, /srv/runtime_data/current if unset"},
    {"RUNTIME_SUBDIRECTORY", T::kMaps, "rules-dir", "the second part, empty if unset"},
    {"RUNTIME_APPDIRECTORY", T::kMaps, "rules-dir", "the last part, config if unset"},
    {"RUNTIME_IGNOREDOTFILES", T::kIgnoredWhenFalse, "", "dotfiles are never read as rules"},
    {"RUNTIME_WATCH_ROOT", T::kNoEffect, "", "link swaps and writes are both watched"},

    {"CONFIG_GRPC_XDS_NODE_ID", T::kNeedsXds, "", kNoXds},
    {"CONFIG_GRPC_XDS_NODE_METADATA", T::kNeedsXds, "", kNoXds},
    {"CONFIG_GRPC_XDS_SERVER_URL", T::kNeedsXds, "", kNoXds},
    {"CONFIG_GRPC_XDS_SERVER_CONNECT_RETRY_INTERVAL", T::kNeedsXds, "", kNoXds},
    {"CONFIG_GRPC_XDS_CLIENT_ADDITIONAL_HEADERS", T::kNeedsXds, "", kNoXds},
    {"CONFIG_GRPC_XDS_SERVER_USE_TLS", T::kNeedsXds, "", kNoXds},
    {"CONFIG_GRPC_XDS_CLIENT_TLS_CERT", T::kNeedsXds, "", kNoXds},
    {"CONFIG_GRPC_XDS_CLIENT_TLS_KEY", T::kNeedsXds, "", kNoXds},
    {"CONFIG_GRPC_XDS_SERVER_TLS_CACERT", T::kNeedsXds, "", kNoXds},
    {"CONFIG_GRPC_XDS_SERVER_TLS_SAN", T::kNeedsXds, "", kNoXds},
    {"XDS_CLIENT_BACKOFF_INITIAL_INTERVAL", T::kNeedsXds, "", kNoXds},
    {"XDS_CLIENT_BACKOFF_MAX_INTERVAL", T::kNeedsXds, "", kNoXds},
    {"XDS_CLIENT_BACKOFF_JITTER", T::kNeedsXds, "", kNoXds},
    {"XDS_CLIENT_MAX_MSG_SIZE_IN_BYTES", T::kNeedsXds, "", kNoXds},
    {"XDS_CLIENT_BACKOFF_RANDOM_FACTOR", T::kNeedsXds, "", kNoXds},

    {"BACKEND_TYPE", T::kMaps, "store", "redis or memory; memcache is refused"},
    {"NEAR_LIMIT_RATIO", T::kSets, "near-limit-ratio", ""},
    {"CACHE_KEY_PREFIX", T::kSets, "cache-key-prefix", ""},
    {"EXPIRATION_JITTER_MAX_SECONDS", T::kMaps, "expiration-jitter-max",
     "with --redis-key-format=ratelimit; else ignored with a warning, because Weir's own keys are "
     "kept exactly as long as their limit needs them"},
    {"LOCAL_CACHE_SIZE_IN_BYTES", T::kIgnored, "",
     "keys over their limit are always answered from memory, within --keys-max"},
    {"STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", T::kMaps, "charge-denied", "true is over-only"},
    {"SHADOW_MODE", T::kSets, "shadow-mode", ""},
    {"QUOTA_MODE", T::kSets, "quota-mode", ""},
    {"RESPONSE_DYNAMIC_METADATA", T::kSets, "response-dynamic-metadata", ""},

    {"HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED", T::kSets, "healthy-with-at-least-one-config", ""},
    {"REDIS_HEALTH_CHECK_ACTIVE_CONNECTION", T::kSets, "redis-health-check-active-connection", ""},

    {"LIMIT_RESPONSE_HEADERS_ENABLED", T::kSets, "response-headers-enabled", ""},
    {"LIMIT_LIMIT_HEADER", T::kSets, "limit-header", ""},
    {"LIMIT_REMAINING_HEADER", T::kSets, "remaining-header", ""},
    {"LIMIT_RESET_HEADER", T::kSets, "reset-header", ""},

    {"REDIS_PERSECOND", T::kSets, "redis-per-second", ""},
    {"REDIS_SOCKET_TYPE", T::kMaps, "redis-url", kSocketType},
    {"REDIS_PERSECOND_SOCKET_TYPE", T::kMaps, "redis-per-second-url", kSocketType},
    {"REDIS_TYPE", T::kMaps, "redis-type", kRedisTypes},
    {"REDIS_PERSECOND_TYPE", T::kMaps, "redis-per-second-type", kRedisTypes},
    {"REDIS_URL", T::kMaps, "redis-url", kRedisUrl},
    {"REDIS_PERSECOND_URL", T::kMaps, "redis-per-second-url", kRedisUrl},
    {"REDIS_AUTH", T::kMaps, "redis-password", "PASSWORD, or USER:PASSWORD for --redis-user too"},
    {"REDIS_PERSECOND_AUTH", T::kMaps, "redis-per-second-password",
     "PASSWORD, or USER:PASSWORD for --redis-per-second-user too"},
    {"REDIS_SENTINEL_AUTH", T::kMaps, "redis-sentinel-password",
     "PASSWORD, or USER:PASSWORD for --redis-sentinel-user too"},
    {"REDIS_PERSECOND_SENTINEL_AUTH", T::kMaps, "redis-per-second-sentinel-password",
     "PASSWORD, or USER:PASSWORD for --redis-per-second-sentinel-user too"},
    {"REDIS_TLS", T::kSets, "redis-tls", ""},
    {"REDIS_PERSECOND_TLS", T::kSets, "redis-per-second-tls", ""},
    {"REDIS_TLS_CLIENT_CERT", T::kSets, "redis-tls-cert", ""},
    {"REDIS_TLS_CLIENT_KEY", T::kSets, "redis-tls-key", ""},
    {"REDIS_TLS_CACERT", T::kSets, "redis-tls-ca", ""},
    {"REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", T::kSets, "redis-tls-skip-hostname-verification", ""},
    {"REDIS_POOL_SIZE", T::kNoEffect, "", kOneConnection},
    {"REDIS_PERSECOND_POOL_SIZE", T::kNoEffect, "", kOneConnection},
    {"REDIS_TIMEOUT", T::kMaps, "redis-connect-timeout", "a warning above 1s"},
    {"REDIS_PERSECOND_TIMEOUT", T::kMaps, "redis-connect-timeout",
     "the longer of both; a warning without REDIS_PERSECOND=true"},
    {"REDIS_STARTUP_INITIAL_INTERVAL", T::kSets, "redis-backoff-min", ""},
    {"REDIS_STARTUP_MAX_INTERVAL", T::kSets, "redis-backoff-max", ""},
    {"REDIS_STARTUP_MAX_ELAPSED_TIME", T::kSets, "redis-start-max", ""},
    {"REDIS_PIPELINE_WINDOW", T::kNoEffect, "", kOwnBatches},
    {"REDIS_PERSECOND_PIPELINE_WINDOW", T::kNoEffect, "", kOwnBatches},
    {"REDIS_CLUSTER_PIPELINE_PARALLELISM", T::kNoEffect, "", kOwnBatches},
    {"REDIS_PERSECOND_CLUSTER_PIPELINE_PARALLELISM", T::kNoEffect, "", kOwnBatches},
    {"REDIS_PIPELINE_LIMIT", T::kIgnored, "", kOwnBatches},
    {"REDIS_PERSECOND_PIPELINE_LIMIT", T::kIgnored, "", kOwnBatches},
    {"REDIS_POOL_ON_EMPTY_BEHAVIOR", T::kIgnored, "", kNoPool},
    {"REDIS_PERSECOND_POOL_ON_EMPTY_BEHAVIOR", T::kIgnored, "", kNoPool},
    {"REDIS_POOL_ON_EMPTY_WAIT_DURATION", T::kIgnored, "", kNoPool},
    {"REDIS_PERSECOND_POOL_ON_EMPTY_WAIT_DURATION", T::kIgnored, "", kNoPool},

    {"MEMCACHE_HOST_PORT", T::kIgnored, "", kNoMemcache},
    {"MEMCACHE_SRV", T::kIgnored, "", kNoMemcache},
    {"MEMCACHE_SRV_REFRESH", T::kIgnored, "", kNoMemcache},
    {"MEMCACHE_MAX_IDLE_CONNS", T::kIgnored, "", kNoMemcache},
    {"MEMCACHE_TLS", T::kIgnored, "", kNoMemcache},
    {"MEMCACHE_TLS_CLIENT_CERT", T::kIgnored, "", kNoMemcache},
    {"MEMCACHE_TLS_CLIENT_KEY", T::kIgnored, "", kNoMemcache},
    {"MEMCACHE_TLS_CACERT", T::kIgnored, "", kNoMemcache},
    {"MEMCACHE_TLS_SKIP_HOSTNAME_VERIFICATION", T::kIgnored, "", kNoMemcache},

    {"USE_PROMETHEUS", T::kMaps, "prometheus-listen", "true takes PROMETHEUS_ADDR"},
    {"PROMETHEUS_ADDR", T::kMaps, "prometheus-listen",
     ":9090 if unset; a warning without USE_PROMETHEUS=true"},
    {"PROMETHEUS_PATH", T::kSets, "prometheus-path", ""},
    {"PROMETHEUS_MAPPER_YAML", T::kIgnored, "", kNoMapper},
    {"PROMETHEUS_RESPONSE_TIME_AS_MILLISECONDS", T::kIgnored, "", kNoMapper},
    {"USE_STATSD", T::kIgnored, "", kNoStatsd},
    {"STATSD_HOST", T::kIgnored, "", kNoStatsd},
    {"STATSD_PORT", T::kIgnored, "", kNoStatsd},
    {"USE_DOG_STATSD", T::kIgnored, "", kNoStatsd},
    {"USE_DOG_STATSD_MOGRIFIERS", T::kIgnored, "", kNoStatsd},
    {"DOG_STATSD_MOGRIFIER_*", T::kIgnored, "", kNoStatsd},
    {"EXTRA_TAGS", T::kSets, "extra-tags", ""},
    {"STATS_FLUSH_INTERVAL", T::kNoEffect, "", "values are current whenever they are read"},
    {"DISABLE_STATS", T::kSets, "disable-stats", ""},

    {"TRACING_ENABLED", T::kIgnored, "", kNoTracing},
    {"TRACING_EXPORTER_PROTOCOL", T::kIgnored, "", kNoTracing},
    {"TRACING_SERVICE_NAME", T::kIgnored, "", kNoTracing},
    {"TRACING_SERVICE_NAMESPACE", T::kIgnored, "", kNoTracing},
    {"TRACING_SERVICE_INSTANCE_ID", T::kIgnored, "", kNoTracing},
    {"TRACING_SAMPLING_RATE", T::kIgnored, "", kNoTracing},
    {"OTEL_*", T::kIgnored, "", kNoTracing},

    {"ENABLE_NEGATIVE_HITS", T::kSets, "negative-hits", ""},
    {"USE_CALENDAR_MONTH_RATE_LIMIT", T::kRefusedWhenTrue, "",
     "windows of calendar months are not in this build yet"},
    {"LOCAL_CACHE_INVALIDATION_RESUBSCRIBE_INTERVAL", T::kIgnored, "",
     "there is no cache that has to be told of refunds"},
    {"LIMIT_REQUEST_HEADERS_ENABLED", T::kIgnored, "", kNoRequestHeaders},
    {"LIMIT_REQUEST_LIMIT_HEADER", T::kIgnored, "", kNoRequestHeaders},
    {"LIMIT_REQUEST_REMAINING_HEADER", T::kIgnored, "", kNoRequestHeaders},
    {"LIMIT_REQUEST_RESET_HEADER", T::kIgnored, "", kNoRequestHeaders},
    {"SANITIZE_DESCRIPTOR_METRIC_DOTS", T::kNoEffect, "", "labels never split at dots"},
    {"REDIS_CLOSE_CONNECTION_ON_READONLY_ERROR", T::kNoEffect, "",
     "a connection to a replica is always closed"},
};

}  // namespace

std::span<const ReferenceVariable> AllReferenceVariables() { return kVariables; }

namespace {

// Whatever the store.
std::string TextOf(const ReferenceVariable& variable) {
  const std::string setting = "`--" + std::string(variable.setting) + "`";
  const std::string reason(variable.reason);
  switch (variable.treatment) {
    case T::kSets:
      return "sets " + setting;
    case T::kMaps:
      return "sets " + setting + ": " + reason;
    case T::kIgnored:
      return "ignored with a warning: " + reason;
    case T::kIgnoredWhenFalse:
      return "no effect; false is ignored with a warning: " + reason;
    case T::kNoEffect:
      return "no effect: " + reason;
    case T::kRefusedWhenTrue:
      return "true is refused: " + reason;
    case T::kConfigType:
      return "FILE has no effect; GRPC_XDS_SOTW is refused: " + reason;
    case T::kNeedsTls:
      return "sets " + setting + "; a warning that it has no effect without " +
             "GRPC_SERVER_USE_TLS=true";
    case T::kNeedsXds:
      return "a warning that it has no effect without CONFIG_TYPE=GRPC_XDS_SOTW";
  }
  return {};
}

}  // namespace

std::string TreatmentText(const ReferenceVariable& variable) {
  const bool is_redis =
      variable.name.starts_with("REDIS_") && variable.treatment != Treatment::kNoEffect;
  return TextOf(variable) + (is_redis ? "; no effect with BACKEND_TYPE=memory" : "");
}

}  // namespace weir
