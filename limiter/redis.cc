#include "limiter/redis.h"

#include <openssl/ssl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/config/redis_target.h"

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
// How long after its last decision a failure policy counts as deciding.
constexpr int64_t kDegradedNs = 5'000'000'000;

int Badness(PrimaryState state) {
  switch (state) {
    case PrimaryState::kConnected:
      return 0;
    case PrimaryState::kSuspect:
      return 1;
    case PrimaryState::kIsolated:
      return 2;
    case PrimaryState::kRecovering:
      break;
  }
  return 3;
}

TlsOptions TlsOf(const Settings& settings) {
  TlsOptions tls;
  tls.ca_file = settings.redis_tls_ca;
  tls.certificate_file = settings.redis_tls_cert;
  tls.key_file = settings.redis_tls_key;
  tls.server_name = settings.redis_tls_server_name;
  tls.verify_name = !settings.redis_tls_skip_hostname_verification;
  tls.version_min =
      settings.redis_tls_min_version == TlsVersion::k13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  return tls;
}

// Asked at each handshake, so that a password that was changed in its file is used.
std::function<RedisLogin()> LoginOf(const std::string& user, const std::string& password,
                                    const std::string& password_file) {
  return [user, password, password_file] {
    RedisLogin login{user, password};
    if (password_file.empty()) return login;
    const absl::StatusOr<std::string> read = ReadPasswordFile(password_file);
    if (read.ok()) {
      login.password = *read;
    } else {
      spdlog::warn("redis: {}", std::string(read.status().message()));
    }
    return login;
  };
}

absl::StatusOr<RedisPlace> PlaceAt(const RedisTarget& target, const Settings& settings) {
  RedisPlace place;
  place.cluster = target.type == RedisType::kCluster;
  const std::string& prefix = settings.cache_key_prefix;
  if (const std::size_t tag = prefix.find('{');
      place.cluster && tag != std::string::npos && prefix.compare(tag, 2, "{}") == 0) {
    return absl::InvalidArgumentError(
        "cache-key-prefix: a cluster takes {} for no hash tag and would spread each key by all of "
        "its text; use another prefix");
  }
  for (const std::string& text : target.addresses) {
    absl::StatusOr<RedisAddress> address = ParseRedisAddress(text);
    if (!address.ok()) return address.status();
    place.addresses.push_back(*std::move(address));
  }
  place.login = LoginOf(target.user, target.password, target.password_file);
  if (target.type == RedisType::kSentinel) {
    place.master = target.master;
    place.sentinel_login =
        LoginOf(target.sentinel_user, target.sentinel_password, target.sentinel_password_file);
  }
  place.db = target.db;
  if (target.tls) place.tls = TlsOf(settings);
  return place;
}

}  // namespace

RedisTlsFiles::RedisTlsFiles(const Settings& settings, RedisStore& store)
    : settings_(settings), store_(store), seen_(Stamp()), read_(seen_) {}

void RedisTlsFiles::Follow() {
  std::string stamp = Stamp();
  const bool settled = stamp == seen_;
  seen_ = std::move(stamp);
  if (settled && seen_ != read_) Reload();
}

void RedisTlsFiles::Reload() {
  read_ = Stamp();
  if (const absl::Status status = store_.ReloadTls(); !status.ok()) {
    spdlog::error("redis: {}; the certificates read before stay in use",
                  std::string(status.message()));
  }
}

std::string RedisTlsFiles::Stamp() const {
  std::string stamp;
  for (const std::string* const path :
       {&settings_.redis_tls_ca, &settings_.redis_tls_cert, &settings_.redis_tls_key}) {
    struct stat file {};
    if (path->empty() || stat(path->c_str(), &file) != 0) continue;  // one that is gone is no news
    absl::StrAppend(&stamp, file.st_dev, ":", file.st_ino, ":", file.st_size, ":",
                    file.st_mtim.tv_sec, ".", file.st_mtim.tv_nsec, " ");
  }
  return stamp;
}

absl::StatusOr<RedisStoreOptions> RedisOptionsOf(const Settings& settings, const Secret& proposal,
                                                 const Secret& incarnation) {
  RedisStoreOptions options;
  absl::StatusOr<RedisPlace> main = PlaceAt(MainRedisTarget(settings), settings);
  if (!main.ok()) return main.status();
  options.main = *std::move(main);
  if (const std::optional<RedisTarget> target = PerSecondRedisTarget(settings)) {
    absl::StatusOr<RedisPlace> place = PlaceAt(*target, settings);
    if (!place.ok()) return place.status();
    options.per_second = *std::move(place);
  }
  options.shared = {.keys_max = settings.keys_max,
                    .ring_bytes_max = settings.state_bytes_max,
                    .overflow = settings.overflow,
                    .waiting_max = settings.waiting_max,
                    .replicas = settings.replicas,
                    .leases = MayLease(settings),
                    .lease = {.target_life_ns = settings.lease_target_life_ns,
                              .pace_ns = settings.lease_pace_ns,
                              .share = settings.lease_share,
                              .burst_ratio = settings.lease_burst_ratio}};
  options.key_prefix = settings.cache_key_prefix;
  if (SharesCounters(settings)) {
    options.counters = CounterOptions{.jitter_max_s = settings.expiration_jitter_max_ns / kSecondNs,
                                      .seed = incarnation.k1};
  }
  options.proposal = proposal;
  options.incarnation = incarnation;
  options.link.connect_timeout_ns = settings.redis_connect_timeout_ns;
  options.backoff.base_ns = settings.redis_backoff_min_ns;
  options.backoff.max_ns = settings.redis_backoff_max_ns;
  options.ping_interval_ns = settings.redis_ping_interval_ns;
  options.isolated_after_ns = settings.redis_isolate_after_ns;
  options.in_flight_max = settings.redis_in_flight_max;
  return options;
}

StoreStatus StatusOf(const RedisStore& store, const Instant& now) {
  StoreStatus status;
  std::array<uint64_t, kFailures> errors{};
  PrimaryState worst = PrimaryState::kConnected;
  bool known = false;  // where the store is
  store.remote().Visit([&](const Primary& primary) {
    const PrimaryState state = primary.state();
    if (!primary.stopped()) {
      known = true;
      status.servers.push_back(
          {primary.texts().address, std::string(NameOf(state)), TakesCalls(state)});
      if (Badness(state) > Badness(worst)) worst = state;
    }
    const PrimaryStats& stats = primary.stats();
    const uint64_t connects = stats.connects.load(std::memory_order_relaxed);
    status.reconnects += connects > 0 ? connects - 1 : 0;
    for (std::size_t i = 0; i < kFailures; ++i) {
      errors[i] += stats.command_failures[i].load(std::memory_order_relaxed) +
                   stats.connection_failures[i].load(std::memory_order_relaxed);
    }
  });
  status.state = NameOf(known ? worst : PrimaryState::kRecovering);
  for (std::size_t i = 1; i < kFailures; ++i) {
    status.errors.push_back({std::string(LabelOf(static_cast<Failure>(i))), errors[i]});
  }
  const RedisRemoteStats& remote = store.remote().stats();
  for (std::size_t op = 0; op < kStoreOps; ++op) {
    for (std::size_t result = 0; result < kStoreResults; ++result) {
      status.calls.push_back({StoreOpName(static_cast<StoreOp>(op)),
                              StoreResultName(static_cast<StoreResult>(result)),
                              remote.calls[op][result].Get()});
    }
  }
  for (std::size_t i = 0; i <= kDurationBoundsNs.size(); ++i) {
    status.call_durations.buckets[i] = remote.duration_buckets[i].Get();
  }
  status.call_durations.sum_ns = remote.duration_sum_ns.Get();
  status.redirects = store.remote().redirects();
  status.failovers = remote.failovers.Get();
  status.clock_offset_ns = remote.clock_offset_ns.load(std::memory_order_relaxed);
  const SharedStoreStats& shared = store.shared().stats();
  status.clock_faults = shared.clock_faults.load(std::memory_order_relaxed);
  status.waiting = shared.waiting.load(std::memory_order_relaxed);
  status.wait_timeouts = shared.wait_timeouts.load(std::memory_order_relaxed);
  status.waiting_refused = shared.waiting_refused.load(std::memory_order_relaxed);
  status.late_replies = shared.late_replies.load(std::memory_order_relaxed);
  status.nodes = store.remote().nodes();
  for (std::size_t mode = 0; mode < kFailureModes; ++mode) {
    const int64_t used_ns = store.shared().policy().last_used_ns(static_cast<OnStoreFailure>(mode));
    status.degraded[mode] = used_ns > 0 && now.mono_ns - used_ns < kDegradedNs;
  }
  return status;
}

StoreSummary SummaryOf(const StoreStatus& status) {
  StoreSummary summary{.kind = "redis",
                       .state = status.state,
                       .nodes = status.nodes,
                       .failovers = status.failovers,
                       .servers = {}};
  for (const StoreStatus::Server& server : status.servers) {
    summary.servers.push_back({server.address, server.state});
  }
  return summary;
}

void LogNote(NoteLevel level, std::string_view text) {
  if (level == NoteLevel::kWarning) {
    spdlog::warn("{}", text);
  } else {
    spdlog::info("{}", text);
  }
}

}  // namespace weir
