#include <span>
#include <string>
#include <string_view>

#include "limiter/config/settings_environment.h"

namespace weir {
namespace {

using T = Treatment;

constexpr std::string_view kNoTls = "TLS is not in this build yet";
constexpr std::string_view kNoXds = "rules from an xDS server are not in this build yet";
constexpr std::string_view kNoRedis = "the Redis store is not in this build yet";
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

    {"GRPC_SERVER_USE_TLS", T::kRefusedWhenTrue, "", kNoTls},
    {"GRPC_SERVER_TLS_CERT", T::kNeedsTls, "", kNoTls},
    {"GRPC_SERVER_TLS_KEY", T::kNeedsTls, "", kNoTls},
    {"GRPC_CLIENT_TLS_CACERT", T::kNeedsTls, "", kNoTls},
    {"GRPC_CLIENT_TLS_SAN", T::kNeedsTls, "", kNoTls},
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

    {"BACKEND_TYPE", T::kSets, "store", ""},
    {"NEAR_LIMIT_RATIO", T::kSets, "near-limit-ratio", ""},
    {"CACHE_KEY_PREFIX", T::kSets, "cache-key-prefix", ""},
    {"EXPIRATION_JITTER_MAX_SECONDS", T::kIgnored, "",
     "state is kept exactly as long as its limit needs it"},
    {"LOCAL_CACHE_SIZE_IN_BYTES", T::kIgnored, "",
     "keys over their limit are always answered from memory, within --keys-max"},
    {"STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT", T::kMaps, "charge-denied", "true is over-only"},
    {"SHADOW_MODE", T::kSets, "shadow-mode", ""},
    {"QUOTA_MODE", T::kSets, "quota-mode", ""},
    {"RESPONSE_DYNAMIC_METADATA", T::kSets, "response-dynamic-metadata", ""},

    {"HEALTHY_WITH_AT_LEAST_ONE_CONFIG_LOADED", T::kSets, "healthy-with-at-least-one-config", ""},
    {"REDIS_HEALTH_CHECK_ACTIVE_CONNECTION", T::kNeedsRedis, "", kNoRedis},

    {"LIMIT_RESPONSE_HEADERS_ENABLED", T::kSets, "response-headers-enabled", ""},
    {"LIMIT_LIMIT_HEADER", T::kSets, "limit-header", ""},
    {"LIMIT_REMAINING_HEADER", T::kSets, "remaining-header", ""},
    {"LIMIT_RESET_HEADER", T::kSets, "reset-header", ""},

    {"REDIS_PERSECOND", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_SOCKET_TYPE", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_PERSECOND_SOCKET_TYPE", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_TYPE", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_PERSECOND_TYPE", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_URL", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_PERSECOND_URL", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_AUTH", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_PERSECOND_AUTH", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_SENTINEL_AUTH", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_PERSECOND_SENTINEL_AUTH", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_TLS", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_PERSECOND_TLS", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_TLS_CLIENT_CERT", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_TLS_CLIENT_KEY", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_TLS_CACERT", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_TLS_SKIP_HOSTNAME_VERIFICATION", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_POOL_SIZE", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_PERSECOND_POOL_SIZE", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_TIMEOUT", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_PERSECOND_TIMEOUT", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_STARTUP_INITIAL_INTERVAL", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_STARTUP_MAX_INTERVAL", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_STARTUP_MAX_ELAPSED_TIME", T::kNeedsRedis, "", kNoRedis},
    {"REDIS_PIPELINE_WINDOW", T::kNoEffect, "", kOwnBatches},
    {"REDIS_PERSECOND_PIPELINE_WINDOW", T::kNoEffect, "", kOwnBatches},
    {"REDIS_CLUSTER_PIPELINE_PARALLELISM", T::kNoEffect, "", kOwnBatches},
    {"REDIS_PERSECOND_CLUSTER_PIPELINE_PARALLELISM", T::kNoEffect, "", kOwnBatches},
    {"REDIS_PIPELINE_LIMIT", T::kIgnoredWithRedis, "", kOwnBatches},
    {"REDIS_PERSECOND_PIPELINE_LIMIT", T::kIgnoredWithRedis, "", kOwnBatches},
    {"REDIS_POOL_ON_EMPTY_BEHAVIOR", T::kIgnoredWithRedis, "", kNoPool},
    {"REDIS_PERSECOND_POOL_ON_EMPTY_BEHAVIOR", T::kIgnoredWithRedis, "", kNoPool},
    {"REDIS_POOL_ON_EMPTY_WAIT_DURATION", T::kIgnoredWithRedis, "", kNoPool},
    {"REDIS_PERSECOND_POOL_ON_EMPTY_WAIT_DURATION", T::kIgnoredWithRedis, "", kNoPool},

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

std::string TreatmentText(const ReferenceVariable& variable) {
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
      return "a warning that it has no effect without GRPC_SERVER_USE_TLS=true";
    case T::kNeedsXds:
      return "a warning that it has no effect without CONFIG_TYPE=GRPC_XDS_SOTW";
    case T::kNeedsRedis:
      return "refused: " + reason + "; no effect with BACKEND_TYPE=memory";
    case T::kIgnoredWithRedis:
      return "ignored with a warning: " + reason + "; no effect with BACKEND_TYPE=memory";
  }
  return {};
}

}  // namespace weir
