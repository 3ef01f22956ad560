#pragma once

// What an operator can choose, as plain values with their defaults. settings_table.h names each
// (flag, environment, key of the server file), settings_load.h fills them in.
//
// Thread safety: plain values.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "limiter/core/policy.h"
#include "limiter/core/rule_spec.h"

namespace weir {

// Whose defaults apply. kRatelimit: those of envoyproxy/ratelimit, and its metrics.
enum class Compat : uint8_t { kNone, kRatelimit };
enum class StoreKind : uint8_t { kMemory, kRedis };
enum class SocketAccess : uint8_t { kOwner, kGroup, kEveryone };
enum class LogFormat : uint8_t { kText, kJson };
enum class RedisType : uint8_t { kSingle, kSentinel, kCluster };
enum class TlsVersion : uint8_t { k12, k13 };
// How keys are named. kRatelimit: as envoyproxy/ratelimit does, so that both count together.
enum class RedisKeyFormat : uint8_t { kWeir, kRatelimit };

struct Settings {
  // Start.
  std::string config;  // the server file; empty: none
  Compat compat = Compat::kNone;
  int threads = 0;  // 0: the CPU quota, at most 4

  // Rules.
  std::string rules_dir = "/etc/weir/rules";
  bool merge_domains = false;
  bool force_start_without_rules = false;
  int64_t rules_debounce_ns = 200'000'000;
  int64_t rules_poll_ns = 30'000'000'000;  // 0: never

  // Listeners. "127.0.0.1:8081", "[::1]:8081" or "unix:PATH"; port 0 picks a free one.
  std::vector<std::string> grpc_listen = {"127.0.0.1:8081"};
  SocketAccess grpc_socket_access = SocketAccess::kOwner;
  std::string http_listen = "127.0.0.1:8080";
  std::string admin_listen = "127.0.0.1:6070";
  bool show_keys = false;
  bool reflection = true;
  int64_t grpc_max_connection_age_ns = 86'400'000'000'000;  // 0: for ever
  int64_t grpc_max_connection_age_grace_ns = 3'600'000'000'000;
  std::string grpc_tls_cert;       // PEM file; empty: no TLS
  std::string grpc_tls_key;        // PEM file; empty: in that of the certificate
  std::string grpc_tls_client_ca;  // PEM file; empty: no client certificates
  std::vector<std::string> grpc_tls_client_sans;
  TlsVersion grpc_tls_min_version = TlsVersion::k12;
  std::string http_tls_cert;  // as grpc_tls_cert
  std::string http_tls_key;

  // Limiting.
  ChargeDenied charge_denied = ChargeDenied::kFirst;
  Consistency consistency_default = Consistency::kLeased;
  int64_t lease_target_life_ns = 200'000'000;
  int64_t lease_pace_ns = 50'000'000;
  uint32_t lease_share = 8;
  float lease_burst_ratio = 0.1F;
  OnStoreFailure store_failure_default = OnStoreFailure::kLocalShare;
  bool shadow_mode = false;
  std::string enforcement_file;  // empty: none
  bool quota_mode = false;
  bool negative_hits = true;
  bool allow_reset = false;
  float near_limit_ratio = 0.8F;  // 32-bit as in the reference, so that thresholds agree

  // Store.
  StoreKind store = StoreKind::kMemory;  // unless chosen: kRedis where redis_url is set
  std::string cache_key_prefix;
  std::size_t keys_max = std::size_t{1} << 20;
  std::size_t state_bytes_max = std::size_t{256} << 20;
  Overflow overflow = Overflow::kAllow;
  int64_t store_wait_ns = 10'000'000;
  std::size_t waiting_max = 10'000;
  int replicas = 0;  // 0: unknown

  // Redis. redis_target.h makes sense of those of one server.
  std::string redis_url;  // may hold a password; empty: 127.0.0.1:6379
  RedisType redis_type = RedisType::kSingle;
  std::string redis_user;
  std::string redis_password;
  std::string redis_password_file;
  std::string redis_sentinel_user;
  std::string redis_sentinel_password;
  std::string redis_sentinel_password_file;
  int redis_db = 0;
  bool redis_tls = false;
  std::string redis_tls_ca;    // PEM file; empty: those of the system
  std::string redis_tls_cert;  // PEM file; empty: none is shown
  std::string redis_tls_key;   // PEM file; empty: in that of the certificate
  std::string redis_tls_server_name;
  TlsVersion redis_tls_min_version = TlsVersion::k12;
  bool redis_tls_skip_hostname_verification = false;
  int64_t redis_connect_timeout_ns = 500'000'000;
  int64_t redis_backoff_min_ns = 250'000'000;
  int64_t redis_backoff_max_ns = 900'000'000;  // below a second: recovery is promised within one
  int64_t redis_start_max_ns = 0;              // 0: for ever
  std::size_t redis_in_flight_max = 10'000;
  RedisKeyFormat redis_key_format = RedisKeyFormat::kWeir;
  int64_t expiration_jitter_max_ns = 300'000'000'000;
  int64_t redis_ping_interval_ns = 1'000'000'000;
  int64_t redis_isolate_after_ns = 100'000'000;

  // The second store, for rules of one second.
  bool redis_per_second = false;
  std::string redis_per_second_url;
  RedisType redis_per_second_type = RedisType::kSingle;
  std::string redis_per_second_user;
  std::string redis_per_second_password;
  std::string redis_per_second_password_file;
  std::string redis_per_second_sentinel_user;
  std::string redis_per_second_sentinel_password;
  std::string redis_per_second_sentinel_password_file;
  int redis_per_second_db = 0;
  bool redis_per_second_tls = false;

  // Answers.
  bool response_headers_enabled = false;
  std::string limit_header = "RateLimit-Limit";
  std::string remaining_header = "RateLimit-Remaining";
  std::string reset_header = "RateLimit-Reset";
  bool response_dynamic_metadata = false;

  // Health and shutdown.
  bool healthy_with_at_least_one_config = false;
  bool redis_health_check_active_connection = false;
  int64_t drain_delay_ns = 5'000'000'000;
  int64_t drain_max_ns = 10'000'000'000;

  // Logs.
  std::string log_level = "info";  // trace, debug, info, warn, error
  LogFormat log_format = LogFormat::kText;
  int deny_log_per_second = 1;  // 0: none

  // Metrics.
  std::string prometheus_listen;  // empty: only on http_listen
  std::string prometheus_path = "/metrics";
  std::size_t metrics_max_series = 10'000;
  std::vector<std::pair<std::string, std::string>> extra_tags;  // label name, label value
  bool disable_stats = false;

  // Bounds on requests.
  std::size_t message_bytes_max = std::size_t{64} << 10;
  std::size_t descriptors_max = 32;
  std::size_t entries_max = 16;
  std::size_t key_bytes_max = 128;
  std::size_t value_bytes_max = 1024;
  uint64_t hits_max = std::numeric_limits<uint64_t>::max();
  std::size_t batch_max = 1000;
  std::size_t in_flight_max = 10'000;

  // Bounds on connections.
  int grpc_streams_max = 1000;
  std::size_t header_bytes_max = std::size_t{8} << 10;
  std::size_t health_watchers_max = 1000;
  std::size_t reflection_streams_max = 1000;
  std::size_t http_connections_max = 256;
  std::size_t http_body_bytes_max = std::size_t{64} << 10;
  std::size_t http_header_bytes_max = std::size_t{8} << 10;
  int64_t http_request_time_max_ns = 10'000'000'000;

  // Bounds on rule files.
  int64_t rules_file_bytes_max = int64_t{32} << 20;
  int64_t rules_bytes_max = int64_t{128} << 20;
  int rules_files_max = 10'000;
  int rules_depth_max = 32;
  int64_t rules_nodes_max = 3'000'000;

  friend bool operator==(const Settings&, const Settings&) = default;
};

// Whether limits are counted together with envoyproxy/ratelimit, on its keys.
inline bool SharesCounters(const Settings& settings) {
  return settings.store == StoreKind::kRedis &&
         settings.redis_key_format == RedisKeyFormat::kRatelimit;
}

// Whether rules may be leased: hits of a shared store, on keys of its own.
inline bool MayLease(const Settings& settings) {
  return settings.store == StoreKind::kRedis && !SharesCounters(settings);
}

// The defaults; Compat::kRatelimit listens on all interfaces (but not with its debug pages), reads
// the reference's rules folder and logs warnings only.
Settings DefaultSettings(Compat compat);

}  // namespace weir
