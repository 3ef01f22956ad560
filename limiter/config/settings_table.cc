#include "limiter/config/settings_table.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/config/redis_target.h"
#include "limiter/config/rule_file_keys.h"
#include "limiter/config/settings.h"
#include "limiter/config/settings_kinds.h"

namespace weir {
namespace {

using Group = SettingGroup;
using S = Settings;

constexpr uint64_t kKiB = uint64_t{1} << 10;
constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;
// More would only be a mistyped number: memory, sockets or threads end first.
constexpr uint64_t kMany = 1'000'000;
constexpr uint64_t kIntMax = std::numeric_limits<int32_t>::max();
constexpr int64_t kMillisecondNs = 1'000'000;

constexpr Setting kSettings[] = {
    {"config", Group::kStart, Access<Text<&S::config>>(),
     "Server file: YAML whose keys are the names of these settings."},
    {"compat", Group::kStart, Access<Choice<&S::compat>>(),
     "Whose defaults and metrics apply: Weir's, or also those of envoyproxy/ratelimit. A program "
     "named ratelimit starts with ratelimit."},
    {"threads", Group::kStart, Access<Count<&S::threads, 0, 256>>(),
     "Threads that serve gRPC; 0 is the CPU quota, at most 4."},

    {"rules-dir", Group::kRules, Access<Formed<&S::rules_dir, PathForm>>(),
     "Folder of the rule files, watched for changes."},
    {"merge-domains", Group::kRules, Access<Bool<&S::merge_domains>>(),
     "Whether several rule files may share a domain."},
    {"force-start-without-rules", Group::kRules, Access<Bool<&S::force_start_without_rules>>(),
     "Whether the service reports itself healthy before any rules were loaded."},
    {"rules-debounce", Group::kRules, Access<Duration<&S::rules_debounce_ns, kMillisecondNs>>(),
     "How long the rules folder must be quiet before it is read again."},
    {"rules-poll", Group::kRules, Access<Duration<&S::rules_poll_ns>>(),
     "How often the rules folder is read without any sign of change; 0 is never."},

    {"grpc-listen", Group::kListeners, Access<List<&S::grpc_listen, AddressForm, 1>>(),
     "Addresses of the gRPC listener; port 0 picks a free port."},
    {"grpc-socket-access", Group::kListeners, Access<Choice<&S::grpc_socket_access>>(),
     "Who may connect to the Unix sockets among them: the user that Weir runs as, its group too, "
     "or "
     "all who reach the folder."},
    {"http-listen", Group::kListeners, Access<Formed<&S::http_listen, TcpForm>>(),
     "Address for health, metrics and /json; port 0 picks a free port."},
    {"admin-listen", Group::kListeners, Access<Formed<&S::admin_listen, TcpForm>>(),
     "Address of the debug pages, which ask for no password; port 0 picks a free port."},
    {"show-keys", Group::kListeners, Access<Bool<&S::show_keys>>(),
     "Whether the debug pages name the keys that take the most hits by their descriptors' values, "
     "which are kept for that; else by keyed hashes."},
    {"reflection", Group::kListeners, Access<Bool<&S::reflection>>(),
     "Whether gRPC reflection is served, for grpcurl and its like."},
    {"grpc-max-connection-age", Group::kListeners,
     Access<Duration<&S::grpc_max_connection_age_ns>>(),
     "Age at which a gRPC connection is told to go, with a jitter of 10 %; 0 is never."},
    {"grpc-max-connection-age-grace", Group::kListeners,
     Access<Duration<&S::grpc_max_connection_age_grace_ns>>(),
     "How long calls of such a connection may still run; 0 is for ever."},
    {"grpc-tls-cert", Group::kListeners, Access<Formed<&S::grpc_tls_cert, OptionalPathForm>>(),
     "PEM file with the certificate chain of the gRPC listener; TLS on its TCP addresses if given. "
     "It is read again when it changes, as are the other files of TLS."},
    {"grpc-tls-key", Group::kListeners, Access<Formed<&S::grpc_tls_key, OptionalPathForm>>(),
     "PEM file with its key; empty is the file of the certificate."},
    {"grpc-tls-client-ca", Group::kListeners,
     Access<Formed<&S::grpc_tls_client_ca, OptionalPathForm>>(),
     "PEM file with the CAs of clients; if given, each client must show a certificate of theirs."},
    {"grpc-tls-client-sans", Group::kListeners,
     Access<List<&S::grpc_tls_client_sans, SanForm, 0>>(),
     "Names of which a client's certificate must have one: DNS names, URIs or IP addresses, "
     "compared letter by letter; none is any."},
    {"grpc-tls-min-version", Group::kListeners, Access<Choice<&S::grpc_tls_min_version>>(),
     "Oldest version of TLS that the gRPC listener speaks."},
    {"http-tls-cert", Group::kListeners, Access<Formed<&S::http_tls_cert, OptionalPathForm>>(),
     "PEM file with the certificate chain of http-listen, which then speaks HTTPS only."},
    {"http-tls-key", Group::kListeners, Access<Formed<&S::http_tls_key, OptionalPathForm>>(),
     "PEM file with its key; empty is the file of the certificate."},

    {"charge-denied", Group::kLimiting, Access<Choice<&S::charge_denied>>(),
     "What a denied request costs: each descriptor on its own takes what is left; only the "
     "descriptors over their limit do; nothing."},
    {"consistency-default", Group::kLimiting, Access<Choice<&S::consistency_default>>(),
     "For rules without consistency: whether Redis decides each request, or leases hits to this "
     "Weir in advance. On the memory store every rule is exact."},
    {"store-failure-default", Group::kLimiting, Access<Choice<&S::store_failure_default>>(),
     "For rules without on_store_failure; the memory store cannot fail."},
    {"shadow-mode", Group::kLimiting, Access<Bool<&S::shadow_mode>>(),
     "Whether every denial is only counted and answered OK."},
    {"enforcement-file", Group::kLimiting, Access<Formed<&S::enforcement_file, OptionalPathForm>>(),
     "YAML file that switches enforcement off while the program runs, for all domains (shadow: "
     "true) or some (shadow_domains: [a, b]); watched for changes, and may be missing."},
    {"quota-mode", Group::kLimiting, Access<Bool<&S::quota_mode>>(),
     "Whether every rule is as if it had quota_mode."},
    {"negative-hits", Group::kLimiting, Access<Bool<&S::negative_hits>>(),
     "Whether is_negative_hits refunds; if not, it is answered UNIMPLEMENTED."},
    {"allow-reset", Group::kLimiting, Access<Bool<&S::allow_reset>>(),
     "Whether callers may reset limits with weir.v1.Limiter/Reset."},
    {"near-limit-ratio", Group::kLimiting, Access<Ratio<&S::near_limit_ratio>>(),
     "Share of a limit from which on hits are counted as near it."},

    {"store", Group::kStore, Access<Choice<&S::store>>(),
     "Where counts are kept: in this process, or in a Redis that others share. Unless chosen, in "
     "Redis where redis-url is set."},
    {"cache-key-prefix", Group::kStore, Access<Text<&S::cache_key_prefix>>(),
     "Prefix of all store keys, for several deployments on one store."},
    {"keys-max", Group::kStore, Access<Count<&S::keys_max, 64, kIntMax>>(),
     "Keys held at most, at 72 bytes each; over Redis 264, and 72 more for those whose local_share "
     "is counted."},
    {"state-bytes-max", Group::kStore, Access<Bytes<&S::state_bytes_max, 0, 1024 * kGiB>>(),
     "Memory of all sliding windows together, beside the keys."},
    {"overflow", Group::kStore, Access<Choice<&S::overflow>>(),
     "What a new key is answered while the table is full of live ones."},
    {"store-wait", Group::kStore, Access<Duration<&S::store_wait_ns, kMillisecondNs / 10>>(),
     "How long a request waits for Redis before its rules' on_store_failure decides."},
    {"waiting-max", Group::kStore, Access<Count<&S::waiting_max, 1, kMany>>(),
     "Requests waiting for Redis at once; above it on_store_failure decides."},
    {"lease-target-life", Group::kStore,
     Access<Duration<&S::lease_target_life_ns, kMillisecondNs>>(),
     "How long leased hits should last: larger leases make fewer calls and ride out longer pauses "
     "of Redis, and keep more hits from other nodes."},
    {"lease-pace", Group::kStore, Access<Duration<&S::lease_pace_ns, kMillisecondNs>>(),
     "How long a node does not ask again about a key of which nothing was left, give or take half; "
     "such a key is denied meanwhile."},
    {"lease-share", Group::kStore, Access<Count<&S::lease_share, 1, 1'000>>(),
     "A lease takes at most one part in this many of what is left in Redis."},
    {"lease-burst-ratio", Group::kStore, Access<Ratio<&S::lease_burst_ratio>>(),
     "Share of a token bucket's burst that is its leases' price, and of the burst's time that they "
     "live for, 10 s at most; 0 makes token buckets exact, and so does what leaves no hit beside a "
     "lease."},
    {"replicas", Group::kStore, Access<Count<&S::replicas, 0, 100'000>>(),
     "Weirs that share the Redis, for local_share before Redis has told; 0 is unknown."},

    {"redis-url", Group::kRedis, Access<Formed<&S::redis_url, RedisUrlForm>>(),
     "Where Redis is; empty is 127.0.0.1:6379. Ports may be left out. In a user and a password, % "
     "is written %25.",
     Secrecy::kLoginOfUrl},
    {"redis-type", Group::kRedis, Access<Choice<&S::redis_type>>(),
     "One Redis, one behind sentinels, or a cluster."},
    {"redis-user", Group::kRedis, Access<Formed<&S::redis_user, UserForm>>(),
     "ACL user; empty is the default user."},
    {"redis-password", Group::kRedis, Access<Formed<&S::redis_password, PasswordForm>>(),
     "Password; empty is none. On a command line others can read it: prefer redis-password-file.",
     Secrecy::kWhole},
    {"redis-password-file", Group::kRedis,
     Access<Formed<&S::redis_password_file, OptionalPathForm>>(),
     "File whose first line is the password, read at each connect, so that it can be changed "
     "without a restart."},
    {"redis-sentinel-user", Group::kRedis, Access<Formed<&S::redis_sentinel_user, UserForm>>(),
     "ACL user of the sentinels."},
    {"redis-sentinel-password", Group::kRedis,
     Access<Formed<&S::redis_sentinel_password, PasswordForm>>(), "Password of the sentinels.",
     Secrecy::kWhole},
    {"redis-sentinel-password-file", Group::kRedis,
     Access<Formed<&S::redis_sentinel_password_file, OptionalPathForm>>(),
     "File whose first line is the password of the sentinels, read at each connect."},
    {"redis-db", Group::kRedis, Access<Count<&S::redis_db, 0, kIntMax>>(),
     "Number of the database."},
    {"redis-tls", Group::kRedis, Access<Bool<&S::redis_tls>>(),
     "Whether connections are TLS, as with rediss://."},
    {"redis-tls-ca", Group::kRedis, Access<Formed<&S::redis_tls_ca, OptionalPathForm>>(),
     "PEM file of the authorities that may have signed Redis' certificate; empty is the system's. "
     "The settings of TLS hold for both stores."},
    {"redis-tls-cert", Group::kRedis, Access<Formed<&S::redis_tls_cert, OptionalPathForm>>(),
     "PEM file of the certificate shown to Redis; empty is none."},
    {"redis-tls-key", Group::kRedis, Access<Formed<&S::redis_tls_key, OptionalPathForm>>(),
     "PEM file of its key; empty is the file of the certificate."},
    {"redis-tls-server-name", Group::kRedis,
     Access<Formed<&S::redis_tls_server_name, ServerNameForm>>(),
     "Name that Redis' certificate must have, also sent as SNI; empty is the host connected to."},
    {"redis-tls-min-version", Group::kRedis, Access<Choice<&S::redis_tls_min_version>>(),
     "Oldest version of TLS spoken."},
    {"redis-tls-skip-hostname-verification", Group::kRedis,
     Access<Bool<&S::redis_tls_skip_hostname_verification>>(),
     "Whether Redis' certificate may have any name; warned about at each start."},
    {"redis-connect-timeout", Group::kRedis,
     Access<Duration<&S::redis_connect_timeout_ns, kMillisecondNs>>(),
     "How long connecting may take, TLS included."},
    {"redis-backoff-min", Group::kRedis,
     Access<Duration<&S::redis_backoff_min_ns, kMillisecondNs>>(),
     "Longest pause after the first failed connection; it doubles with each further one. The pause "
     "is a random part of it, with at most two attempts a second."},
    {"redis-backoff-max", Group::kRedis,
     Access<Duration<&S::redis_backoff_max_ns, kMillisecondNs>>(),
     "Longest pause between connections; up to that long after it is back Redis is not used."},
    {"redis-start-max", Group::kRedis, Access<Duration<&S::redis_start_max_ns>>(),
     "How long the first connection may take before the start fails; 0 is for ever."},
    {"redis-in-flight-max", Group::kRedis, Access<Count<&S::redis_in_flight_max, 1, kMany>>(),
     "Commands without a reply at once on one connection; above it on_store_failure decides."},
    {"redis-key-format", Group::kRedis, Access<Choice<&S::redis_key_format>>(),
     "Weir's own keys, or those of envoyproxy/ratelimit, so that both programs count together: "
     "fixed windows only, each request decided by Redis."},
    {"expiration-jitter-max", Group::kRedis, Access<Duration<&S::expiration_jitter_max_ns>>(),
     "What is added to the expiry of keys of envoyproxy/ratelimit at most, at random; Weir's own "
     "keys expire in time."},
    {"redis-ping-interval", Group::kRedis,
     Access<Duration<&S::redis_ping_interval_ns, kMillisecondNs>>(),
     "How often Redis is asked whether it is there."},
    {"redis-isolate-after", Group::kRedis,
     Access<Duration<&S::redis_isolate_after_ns, kMillisecondNs>>(),
     "How long Redis may owe a reply before no request waits for it any more."},

    {"redis-per-second", Group::kRedisPerSecond, Access<Bool<&S::redis_per_second>>(),
     "Whether rules of one second are counted in a second Redis."},
    {"redis-per-second-url", Group::kRedisPerSecond,
     Access<Formed<&S::redis_per_second_url, RedisUrlForm>>(),
     "Where it is, as redis-url; it must be set.", Secrecy::kLoginOfUrl},
    {"redis-per-second-type", Group::kRedisPerSecond, Access<Choice<&S::redis_per_second_type>>(),
     "As redis-type."},
    {"redis-per-second-user", Group::kRedisPerSecond,
     Access<Formed<&S::redis_per_second_user, UserForm>>(),
     "As redis-user; nothing is taken over from the first Redis."},
    {"redis-per-second-password", Group::kRedisPerSecond,
     Access<Formed<&S::redis_per_second_password, PasswordForm>>(), "As redis-password.",
     Secrecy::kWhole},
    {"redis-per-second-password-file", Group::kRedisPerSecond,
     Access<Formed<&S::redis_per_second_password_file, OptionalPathForm>>(),
     "As redis-password-file."},
    {"redis-per-second-sentinel-user", Group::kRedisPerSecond,
     Access<Formed<&S::redis_per_second_sentinel_user, UserForm>>(), "As redis-sentinel-user."},
    {"redis-per-second-sentinel-password", Group::kRedisPerSecond,
     Access<Formed<&S::redis_per_second_sentinel_password, PasswordForm>>(),
     "As redis-sentinel-password.", Secrecy::kWhole},
    {"redis-per-second-sentinel-password-file", Group::kRedisPerSecond,
     Access<Formed<&S::redis_per_second_sentinel_password_file, OptionalPathForm>>(),
     "As redis-sentinel-password-file."},
    {"redis-per-second-db", Group::kRedisPerSecond,
     Access<Count<&S::redis_per_second_db, 0, kIntMax>>(), "As redis-db."},
    {"redis-per-second-tls", Group::kRedisPerSecond, Access<Bool<&S::redis_per_second_tls>>(),
     "As redis-tls; the certificates are those of the first Redis."},

    {"response-headers-enabled", Group::kAnswers, Access<Bool<&S::response_headers_enabled>>(),
     "Whether answers to Envoy carry the three headers below."},
    {"limit-header", Group::kAnswers, Access<Formed<&S::limit_header, HeaderForm>>(),
     "Header with the limit."},
    {"remaining-header", Group::kAnswers, Access<Formed<&S::remaining_header, HeaderForm>>(),
     "Header with the hits left."},
    {"reset-header", Group::kAnswers, Access<Formed<&S::reset_header, HeaderForm>>(),
     "Header with the time until the limit resets, in seconds."},
    {"response-dynamic-metadata", Group::kAnswers, Access<Bool<&S::response_dynamic_metadata>>(),
     "Whether answers to Envoy carry the request and the rules' metadata as dynamic metadata."},

    {"healthy-with-at-least-one-config", Group::kHealth,
     Access<Bool<&S::healthy_with_at_least_one_config>>(),
     "Whether the service stays unhealthy until rules were loaded, even with "
     "force-start-without-rules."},
    {"redis-health-check-active-connection", Group::kHealth,
     Access<Bool<&S::redis_health_check_active_connection>>(),
     "Whether the service is unhealthy while Redis is out of reach; if not, on_store_failure is "
     "all "
     "that changes then."},
    {"drain-delay", Group::kHealth, Access<Duration<&S::drain_delay_ns>>(),
     "How long the service goes on serving after SIGTERM while it says NOT_SERVING."},
    {"drain-max", Group::kHealth, Access<Duration<&S::drain_max_ns>>(),
     "How long calls may still run after the drain delay before they are cut off."},

    {"log-level", Group::kLogs, Access<Formed<&S::log_level, LogLevelForm>>(),
     "What is logged at least."},
    {"log-format", Group::kLogs, Access<AnyCaseChoice<&S::log_format>>(),
     "Lines for people, or one JSON object per line."},
    {"deny-log-per-second", Group::kLogs, Access<Count<&S::deny_log_per_second, 0, 1000>>(),
     "Denials that are logged at most, at level info and without values of descriptors; 0 is "
     "none."},

    {"prometheus-listen", Group::kMetrics, Access<Formed<&S::prometheus_listen, OptionalTcpForm>>(),
     "A further address that serves the metrics only; empty is none."},
    {"prometheus-path", Group::kMetrics, Access<Formed<&S::prometheus_path, HttpPathForm>>(),
     "Path of the metrics on that address."},
    {"metrics-max-series", Group::kMetrics,
     Access<Count<&S::metrics_max_series, 100, 10 * kMany>>(),
     "Series that rules may create at most; further ones are counted together."},
    {"extra-tags", Group::kMetrics, Access<List<&S::extra_tags, TagForm, 0>>(),
     "Constant labels on all series."},
    {"disable-stats", Group::kMetrics, Access<Bool<&S::disable_stats>>(),
     "Whether compat mode leaves out the metrics of envoyproxy/ratelimit."},

    {"message-bytes-max", Group::kRequestBounds,
     Access<Bytes<&S::message_bytes_max, kKiB, 64 * kMiB>>(),
     "Largest gRPC message; above it RESOURCE_EXHAUSTED, uncounted beyond four times of it."},
    {"descriptors-max", Group::kRequestBounds, Access<Count<&S::descriptors_max, 1, 10'000>>(),
     "Descriptors per request; above it INVALID_ARGUMENT."},
    {"entries-max", Group::kRequestBounds, Access<Count<&S::entries_max, 1, 1000>>(),
     "Entries per descriptor; above it INVALID_ARGUMENT."},
    {"key-bytes-max", Group::kRequestBounds, Access<Bytes<&S::key_bytes_max, 1, kMiB>>(),
     "Longest key of an entry; above it INVALID_ARGUMENT."},
    {"value-bytes-max", Group::kRequestBounds, Access<Bytes<&S::value_bytes_max, 1, kMiB>>(),
     "Longest value of an entry; above it INVALID_ARGUMENT."},
    {"hits-max", Group::kRequestBounds,
     Access<Count<&S::hits_max, 1, std::numeric_limits<uint64_t>::max()>>(),
     "Hits per descriptor; above it INVALID_ARGUMENT."},
    {"batch-max", Group::kRequestBounds, Access<Count<&S::batch_max, 1, 100'000>>(),
     "Checks per weir.v1 CheckBatch; above it OUT_OF_RANGE."},
    {"in-flight-max", Group::kRequestBounds, Access<Count<&S::in_flight_max, 1, kMany>>(),
     "Calls being decided at once; above it RESOURCE_EXHAUSTED."},

    {"grpc-streams-max", Group::kConnectionBounds, Access<Count<&S::grpc_streams_max, 1, kMany>>(),
     "Calls at once on one gRPC connection; further ones wait at the client, uncounted."},
    {"header-bytes-max", Group::kConnectionBounds,
     Access<Bytes<&S::header_bytes_max, kKiB, kMiB>>(),
     "Headers of one gRPC call; above it grpc++ answers RESOURCE_EXHAUSTED, uncounted."},
    {"health-watchers-max", Group::kConnectionBounds,
     Access<Count<&S::health_watchers_max, 1, kMany>>(),
     "Health/Watch streams at once; above it RESOURCE_EXHAUSTED."},
    {"reflection-streams-max", Group::kConnectionBounds,
     Access<Count<&S::reflection_streams_max, 1, kMany>>(),
     "Reflection streams at once; above it RESOURCE_EXHAUSTED."},
    {"http-connections-max", Group::kConnectionBounds,
     Access<Count<&S::http_connections_max, 1, 65'536>>(),
     "Connections at once on each HTTP listener; further ones wait."},
    {"http-body-bytes-max", Group::kConnectionBounds,
     Access<Bytes<&S::http_body_bytes_max, kKiB, 64 * kMiB>>(),
     "Largest body of an HTTP request; a larger one is refused."},
    {"http-header-bytes-max", Group::kConnectionBounds,
     Access<Bytes<&S::http_header_bytes_max, kKiB, kMiB>>(),
     "Headers of one HTTP request; longer ones are refused."},
    {"http-request-time-max", Group::kConnectionBounds,
     Access<Duration<&S::http_request_time_max_ns, kMillisecondNs>>(),
     "How long a client may take to send an HTTP request or to read its answer."},

    {"rules-file-bytes-max", Group::kRuleBounds,
     Access<Bytes<&S::rules_file_bytes_max, kKiB, kGiB>>(),
     "Largest rule file; a larger one is an error."},
    {"rules-bytes-max", Group::kRuleBounds, Access<Bytes<&S::rules_bytes_max, kKiB, 8 * kGiB>>(),
     "All rule files together; more is an error."},
    {"rules-files-max", Group::kRuleBounds, Access<Count<&S::rules_files_max, 1, kMany>>(),
     "Files in the rules folder; more is an error."},
    {"rules-depth-max", Group::kRuleBounds, Access<Count<&S::rules_depth_max, 3, 200>>(),
     "Nested YAML lists and maps of a rule file; 32 are 15 levels of descriptors."},
    {"rules-nodes-max", Group::kRuleBounds, Access<Count<&S::rules_nodes_max, 1, kIntMax>>(),
     "YAML nodes of a rule file, an alias counted at each use; more is an error."},
};

constexpr std::string_view kTitles[kSettingGroupCount] = {"Start",
                                                          "Rules",
                                                          "Listeners",
                                                          "Limiting",
                                                          "Store",
                                                          "Redis",
                                                          "Redis for one-second rules",
                                                          "Answers",
                                                          "Health and shutdown",
                                                          "Logs",
                                                          "Metrics",
                                                          "Bounds on requests",
                                                          "Bounds on connections",
                                                          "Bounds on rule files"};

constexpr std::pair<Compat, std::string_view> kCompat[] = {{Compat::kNone, "none"},
                                                           {Compat::kRatelimit, "ratelimit"}};
constexpr std::pair<StoreKind, std::string_view> kStoreKind[] = {{StoreKind::kMemory, "memory"},
                                                                 {StoreKind::kRedis, "redis"}};
constexpr std::pair<RedisType, std::string_view> kRedisType[] = {{RedisType::kSingle, "single"},
                                                                 {RedisType::kSentinel, "sentinel"},
                                                                 {RedisType::kCluster, "cluster"}};
constexpr std::pair<TlsVersion, std::string_view> kTlsVersion[] = {{TlsVersion::k12, "1.2"},
                                                                   {TlsVersion::k13, "1.3"}};
constexpr std::pair<RedisKeyFormat, std::string_view> kRedisKeyFormat[] = {
    {RedisKeyFormat::kWeir, "weir"}, {RedisKeyFormat::kRatelimit, "ratelimit"}};
constexpr std::pair<LogFormat, std::string_view> kLogFormat[] = {{LogFormat::kText, "text"},
                                                                 {LogFormat::kJson, "json"}};
constexpr std::pair<ChargeDenied, std::string_view> kChargeDenied[] = {
    {ChargeDenied::kFirst, "first"},
    {ChargeDenied::kOverOnly, "over-only"},
    {ChargeDenied::kNever, "never"}};
constexpr std::pair<Consistency, std::string_view> kConsistency[] = {
    {Consistency::kExact, "exact"}, {Consistency::kLeased, "leased"}};
constexpr std::pair<OnStoreFailure, std::string_view> kOnStoreFailure[] = {
    {OnStoreFailure::kLocalShare, "local_share"},
    {OnStoreFailure::kAllow, "allow"},
    {OnStoreFailure::kDeny, "deny"},
    {OnStoreFailure::kError, "error"}};
constexpr std::pair<SocketAccess, std::string_view> kSocketAccess[] = {
    {SocketAccess::kOwner, "owner"},
    {SocketAccess::kGroup, "group"},
    {SocketAccess::kEveryone, "everyone"}};
constexpr std::pair<Overflow, std::string_view> kOverflow[] = {{Overflow::kAllow, "allow"},
                                                               {Overflow::kDeny, "deny"}};

}  // namespace

Choices<Compat> ChoicesOf(Compat) { return kCompat; }
Choices<StoreKind> ChoicesOf(StoreKind) { return kStoreKind; }
Choices<SocketAccess> ChoicesOf(SocketAccess) { return kSocketAccess; }
Choices<LogFormat> ChoicesOf(LogFormat) { return kLogFormat; }
Choices<RedisType> ChoicesOf(RedisType) { return kRedisType; }
Choices<TlsVersion> ChoicesOf(TlsVersion) { return kTlsVersion; }
Choices<RedisKeyFormat> ChoicesOf(RedisKeyFormat) { return kRedisKeyFormat; }
Choices<ChargeDenied> ChoicesOf(ChargeDenied) { return kChargeDenied; }
Choices<Consistency> ChoicesOf(Consistency) { return kConsistency; }
Choices<OnStoreFailure> ChoicesOf(OnStoreFailure) { return kOnStoreFailure; }
Choices<Overflow> ChoicesOf(Overflow) { return kOverflow; }

std::string JoinWithOr(std::span<const std::string> names) {
  std::string out;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) out += i + 1 == names.size() ? " or " : ", ";
    out += names[i];
  }
  return out;
}

Settings DefaultSettings(Compat compat) {
  Settings settings;
  settings.compat = compat;
  if (compat == Compat::kNone) return settings;
  settings.rules_dir = "/srv/runtime_data/current/config";
  settings.grpc_listen = {"0.0.0.0:8081"};
  settings.http_listen = "0.0.0.0:8080";
  settings.log_level = "warn";
  return settings;
}

std::string_view SettingGroupTitle(SettingGroup group) {
  return kTitles[static_cast<size_t>(group)];
}

std::span<const Setting> AllSettings() { return kSettings; }

const Setting* FindSetting(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kSettings), std::end(kSettings),
                                         [name](const Setting& s) { return s.name == name; });
  return found == std::end(kSettings) ? nullptr : found;
}

std::string NativeVariable(std::string_view name) {
  std::string out = "WEIR_";
  for (const char c : name) {
    out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return out;
}

const Setting* NearestSetting(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Setting& setting : kSettings) names.push_back(setting.name);
  // "did you mean 'NAME'?", or a list of all names where none is near.
  const std::string remedy = SuggestValue(name, names);
  const size_t first = remedy.find('\'');
  const size_t last = remedy.rfind('\'');
  if (first == std::string::npos) return nullptr;
  return FindSetting(std::string_view(remedy).substr(first + 1, last - first - 1));
}

std::string Displayed(const Setting& setting, std::span<const std::string> texts) {
  std::string out;
  for (const std::string& text : texts) {
    if (!out.empty()) out += ',';
    out += setting.secrecy == Secrecy::kLoginOfUrl ? MaskRedisUrl(text) : text;
  }
  return setting.secrecy == Secrecy::kWhole && !out.empty() ? "(masked)" : out;
}

}  // namespace weir
