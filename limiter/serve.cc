#include "limiter/serve.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "limiter/admin/http_server.h"
#include "limiter/admin/pages.h"
#include "limiter/config/redis_target.h"
#include "limiter/config/rule_folder.h"
#include "limiter/config/settings_print.h"
#include "limiter/config/watcher.h"
#include "limiter/core/deny_log.h"
#include "limiter/core/engine.h"
#include "limiter/grpc/listener_probe.h"
#include "limiter/grpc/server.h"
#include "limiter/grpc_log.h"
#include "limiter/listener_tls.h"
#include "limiter/metrics/engine_collector.h"
#include "limiter/metrics/render.h"
#include "limiter/metrics/tag.h"
#include "limiter/operations/enforcement.h"
#include "limiter/operations/logging.h"
#include "limiter/redis.h"
#include "limiter/rpc/health.h"
#include "limiter/rpc/limiter_handler.h"
#include "limiter/rpc/rate_limit_handler.h"
#include "limiter/rules.h"
#include "limiter/runtime/random_secret.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/runtime/thread_executor.h"
#include "limiter/runtime/version.h"
#include "limiter/serve_options.h"
#include "limiter/store/memory_store.h"
#include "limiter/tls/certificates.h"
#include "limiter/tools/commands.h"

namespace weir {
namespace {

// A page of ten thousand series takes milliseconds of a processor that decisions want meanwhile.
constexpr int kSlowPagesNiceness = 10;

// The objects of a serving process, built in the order of their declaration and destroyed in
// reverse.
class Server {
 public:
  // `secret` is of this process: with the memory store nobody else needs to find its keys, and with
  // `redis`, if given, it is only proposed. `tls` was loaded and outlives the server.
  Server(const LoadedSettings& loaded, const Secret& secret, std::optional<RedisStoreOptions> redis,
         ListenerTls& tls)
      : settings_(loaded.settings),
        tls_(tls),
        rpc_options_(RpcOptionsOf(settings_)),
        series_(settings_.metrics_max_series),
        memory_(redis.has_value() ? nullptr : NewMemoryStore(settings_)),
        redis_(redis.has_value() ? NewRedisStore(*std::move(redis)) : nullptr),
        deny_log_(NewDenyLog()),
        engine_({.shadow_mode = settings_.shadow_mode,
                 .quota_mode = settings_.quota_mode,
                 .count_stats = ReferenceFamilies(),
                 .store_wait_ns = settings_.store_wait_ns,
                 .shared_counters = SharesCounters(settings_),
                 .deny_log = deny_log_.get(),
                 .keep_key_texts = settings_.show_keys},
                clock_, memory_ != nullptr ? *memory_ : redis_->store(), executor_, series_),
        health_(settings_.force_start_without_rules && !settings_.healthy_with_at_least_one_config),
        rules_({.merge_domains = settings_.merge_domains,
                .extensions = !SharesCounters(settings_),
                .file_bytes_max = settings_.rules_file_bytes_max,
                .depth_max = settings_.rules_depth_max,
                .nodes_max = settings_.rules_nodes_max},
               {.secret = secret,
                .key_prefix = settings_.cache_key_prefix,
                .consistency = settings_.consistency_default,
                .leases = MayLease(settings_),
                .on_store_failure = settings_.store_failure_default,
                .near_limit_ratio = settings_.near_limit_ratio},
               engine_, config_status_, reloads_, health_),
        enforcement_(engine_, enforcement_status_),
        rate_limit_(engine_, rpc_options_),
        limiter_(engine_, rpc_options_),
        grpc_(GrpcOptionsOf(settings_, tls_), engine_, rate_limit_, limiter_, health_),
        http_(HttpOptionsOf(settings_, "http-listen", settings_.http_listen, slow_pages_,
                            tls_.http())),
        admin_(HttpOptionsOf(settings_, "admin-listen", settings_.admin_listen, slow_pages_)),
        prometheus_(HttpOptionsOf(settings_, "prometheus-listen", settings_.prometheus_listen,
                                  slow_pages_)),
        collector_(engine_, memory_ != nullptr ? &memory_->cells() : &redis_->shared().cells(),
                   config_status_, CollectorOptions()) {
    if (redis_ != nullptr) redis_tls_.emplace(settings_, *redis_);
    AddPages(loaded);
  }

  // What runs on threads of its own stops before anything it uses is destroyed.
  ~Server() {
    watcher_.reset();
    enforcement_.Stop();
    Stop();
    // Before the listeners that its late answers wake.
    if (redis_ != nullptr) redis_->Stop();
    // What it still looks up is posted to the store's loop, which goes first.
    resolver_.reset();
    // Before the listeners that it gives its pages to.
    slow_pages_.Finish();
    http_.Stop();
    admin_.Stop();
    prometheus_.Stop();
    // Its tasks use the engine and the store.
    executor_.Finish();
  }

  // Opens all listeners, then loads the rules: until then callers are told to come back.
  absl::Status Start() {
    if (redis_ != nullptr && settings_.redis_health_check_active_connection) {
      health_.SetStoreConnected(false);
    }
    absl::Status status = redis_ != nullptr ? redis_->Start() : absl::OkStatus();
    if (status.ok()) status = grpc_.Start();
    for (std::size_t i = 0; status.ok() && i < settings_.grpc_listen.size(); ++i) {
      // Unix sockets are never TLS.
      const bool tls = tls_.grpc() != nullptr && grpc_.ports()[i] != 0;
      probes_.emplace_back(WithPort(settings_.grpc_listen[i], grpc_.ports()[i]),
                           tls ? ClientHello() : Http2Opening());
    }
    if (status.ok()) status = http_.Start();
    if (status.ok()) status = admin_.Start();
    if (status.ok() && !settings_.prometheus_listen.empty()) status = prometheus_.Start();
    // Before the rules, so that no request is denied where enforcement is off.
    if (status.ok() && !settings_.enforcement_file.empty()) {
      status = enforcement_.Start(settings_.enforcement_file, WatcherOptionsOf(settings_));
    }
    if (!status.ok()) return status;
    absl::StatusOr<std::unique_ptr<RuleWatcher>> watcher = WatchRules(LoadRules());
    if (!watcher.ok()) return watcher.status();
    watcher_ = std::move(*watcher);
    tls_.Watch();
    return absl::OkStatus();
  }

  // "grpc=127.0.0.1:8081 http=… admin=…": where it listens.
  std::string Addresses() const {
    std::string text;
    for (std::size_t i = 0; i < settings_.grpc_listen.size(); ++i) {
      text += "grpc=" + WithPort(settings_.grpc_listen[i], grpc_.ports()[i]) + " ";
    }
    text += "http=" + WithPort(settings_.http_listen, http_.port());
    text += " admin=" + WithPort(settings_.admin_listen, admin_.port());
    if (!settings_.prometheus_listen.empty()) {
      text += " prometheus=" + WithPort(settings_.prometheus_listen, prometheus_.port());
    }
    return text;
  }

  // What a SIGHUP asks for: the rules, the enforcement file and the certificates.
  void Reload() {
    watcher_->Poke();
    enforcement_.Poke();
    tls_.Poke();
    if (redis_tls_.has_value()) redis_tls_->Reload();
  }

  // Whether the store was reached since the start, or there is none to reach.
  bool StoreReached() const { return redis_ == nullptr || store_reached_; }

  // What is done now and then.
  void Tick() {
    ProbeListeners();
    if (redis_tls_.has_value()) redis_tls_->Follow();
    enforcement_.Remind();
    ExpireLogRepeats(clock_.Now().wall_ns);
  }

  // From now on health says NOT_SERVING; calls are still answered.
  void BeginDrain() { health_.SetDraining(); }
  void Stop() {
    probes_.clear();  // their connections would be waited for
    grpc_.Drain(settings_.drain_max_ns);
  }

 private:
  void ProbeListeners() {
    bool all = true;
    for (ListenerProbe& probe : probes_) {
      const bool before = probe.answers();
      probe.Turn(clock_.Now().mono_ns);
      all = all && probe.answers();
      if (before && !probe.answers()) {
        spdlog::error("grpc-listen {}: takes no connections any more; /livez fails until it does",
                      probe.address());
      }
    }
    health_.SetListening(all);
  }

  static std::unique_ptr<MemoryStore> NewMemoryStore(const Settings& settings) {
    return std::make_unique<MemoryStore>(
        MemoryStoreOptions{.keys_max = settings.keys_max,
                           .ring_bytes_max = settings.state_bytes_max,
                           .overflow = settings.overflow});
  }

  std::unique_ptr<DenyLog> NewDenyLog() {
    if (settings_.deny_log_per_second == 0 || !LogsInfo()) return nullptr;
    return std::make_unique<DenyLog>(settings_.deny_log_per_second, [this](const Denial& denial) {
      LogDenial(denial, redis_ == nullptr ? "memory" : StoreNow().state);
    });
  }

  // "*": all of them.
  std::vector<std::string> EnforcementOffDomains() const {
    const EnforcementState state = engine_.enforcement();
    return state.all ? std::vector<std::string>{"*"} : state.domains;
  }

  StoreSummary StoreNow() {
    if (redis_ != nullptr) return SummaryOf(StatusOf(*redis_, clock_.Now()));
    return {.kind = "memory", .state = "", .servers = {}};
  }

  std::unique_ptr<RedisStore> NewRedisStore(RedisStoreOptions options) {
    // Names are looked up on a thread of their own: they may take seconds.
    resolver_ = std::make_unique<ThreadExecutor>();
    RedisEvents events;
    events.note = &LogNote;
    events.secret = [this](const Secret& secret) {
      executor_.Post([this, secret] { rules_.SetSecret(secret); });
    };
    events.connected = [this](bool connected) {
      if (connected) store_reached_ = true;
      if (settings_.redis_health_check_active_connection) health_.SetStoreConnected(connected);
    };
    return std::make_unique<RedisStore>(std::move(options), clock_, *resolver_, std::move(events));
  }

  EngineCollectorOptions CollectorOptions() {
    EngineCollectorOptions options;
    options.build = {kVersion, kRevision, __VERSION__, GrpcVersion()};
    options.listeners.listening = [this] { return health_.alive(); };
    options.listeners.inflight_requests = [this] { return grpc_.in_flight(); };
    options.listeners.connections = [this] {
      return http_.connections() + admin_.connections() + prometheus_.connections();
    };
    options.listeners.streams_rejected = [this] {
      return std::vector<ReasonCount>{{"health_watchers", grpc_.watchers_refused()},
                                      {"reflection", grpc_.reflection_refused()}};
    };
    options.listeners.http_rejected = [this] {
      std::vector<ReasonCount> counts;
      const auto add = [&](const char* reason, std::atomic<uint64_t> HttpRejects::*member) {
        uint64_t count = 0;
        for (const HttpServer* server : {&http_, &admin_, &prometheus_}) {
          count += (server->rejects().*member).load(std::memory_order_relaxed);
        }
        counts.push_back({reason, count});
      };
      add("headers", &HttpRejects::headers);
      add("body", &HttpRejects::body);
      add("time", &HttpRejects::time);
      add("unread", &HttpRejects::unread);
      add("connections", &HttpRejects::connections);
      return counts;
    };
    if (tls_.grpc() != nullptr || tls_.http() != nullptr) {
      options.listeners.tls = [this] { return tls_.status(); };
    }
    if (!settings_.grpc_tls_client_sans.empty()) {
      options.listeners.tls_clients_refused = [this] { return grpc_.clients_refused(); };
    }
    if (redis_ != nullptr) {
      options.store = [this] { return StatusOf(*redis_, clock_.Now()); };
    }
    if (!settings_.enforcement_file.empty()) options.enforcement = &enforcement_status_;
    options.reference_families = ReferenceFamilies();
    options.started_wall_ns = clock_.Now().wall_ns;
    options.tags = TagsOf(settings_);
    return options;
  }

  // The reference's metric families are kept and exported.
  bool ReferenceFamilies() const {
    return settings_.compat == Compat::kRatelimit && !settings_.disable_stats;
  }

  void AddPages(const LoadedSettings& loaded) {
    const auto metrics = [this] {
      const prometheus::Collectable* const collectors[] = {&collector_};
      return RenderMetrics(collectors);
    };
    AddPublicPages(
        {health_, engine_, engine_.AddWorker(), rate_limit_, metrics, kMetricsContentType}, http_);
    AddDebugPages({.engine = engine_,
                   .reloads = reloads_,
                   .settings = PrintSettings(loaded),
                   .settings_json = SettingsJson(loaded),
                   .build = {{"version", kVersion},
                             {"revision", kRevision},
                             {"compiler", __VERSION__},
                             {"grpc", GrpcVersion()}},
                   .metrics = metrics,
                   .store = [this] { return StoreNow(); },
                   .enforcement_off_domains = [this] { return EnforcementOffDomains(); }},
                  admin_);
    AddMetricsPage(settings_.prometheus_path, metrics, kMetricsContentType, prometheus_);
  }

  KnownRules LoadRules() {
    const absl::StatusOr<std::vector<RuleFile>> files =
        ReadRuleFolder(settings_.rules_dir, FolderOptionsOf(settings_));
    if (!files.ok()) {
      rules_.Unreadable(std::string(files.status().message()));
      return {"", files.status()};
    }
    std::string hash = HashRuleFiles(*files);
    rules_.Load(*files, hash);
    enforcement_.RulesChanged();
    return {std::move(hash), absl::OkStatus()};
  }

  absl::StatusOr<std::unique_ptr<RuleWatcher>> WatchRules(KnownRules known) {
    return RuleWatcher::Start(
        settings_.rules_dir, std::move(known), WatcherOptionsOf(settings_),
        {.on_change =
             [this](const std::vector<RuleFile>& files, const std::string& now) {
               rules_.Load(files, now);
               enforcement_.RulesChanged();
             },
         .on_status =
             [this](const absl::Status& status) {
               if (status.ok()) {
                 rules_.ReadableAgain();
               } else {
                 rules_.Unreadable(std::string(status.message()));
               }
             }});
  }

  const Settings settings_;
  ListenerTls& tls_;
  std::atomic<bool> store_reached_{false};
  const RpcOptions rpc_options_;
  SystemClock clock_;
  ThreadExecutor executor_;
  ThreadExecutor slow_pages_{kSlowPagesNiceness};
  SeriesRegistry series_;
  std::unique_ptr<ThreadExecutor> resolver_;
  std::unique_ptr<MemoryStore> memory_;  // either this
  std::unique_ptr<RedisStore> redis_;    // or that
  std::optional<RedisTlsFiles> redis_tls_;
  std::unique_ptr<DenyLog> deny_log_;  // nullptr: denials are not logged
  Engine engine_;
  Health health_;
  ConfigStatus config_status_;
  ReloadHistory reloads_;
  Rules rules_;
  ConfigStatus enforcement_status_;
  EnforcementSwitch enforcement_;
  RateLimitHandler rate_limit_;
  LimiterHandler limiter_;
  GrpcServer grpc_;
  std::deque<ListenerProbe> probes_;  // one per address of grpc-listen
  HttpServer http_;
  HttpServer admin_;
  HttpServer prometheus_;
  EngineCollector collector_;
  std::unique_ptr<RuleWatcher> watcher_;
};

void LogStore(const LoadedSettings& loaded) {
  const std::string origin = FormatOrigin(loaded.origins.at("store"));
  if (loaded.settings.store == StoreKind::kMemory) {
    spdlog::info("store: memory ({}); limits hold for the callers of this process", origin);
  } else {
    spdlog::info("store: redis ({}), {}; limits hold for all that share it", origin,
                 RedisTargetText(MainRedisTarget(loaded.settings)));
  }
}

// Waits for a signal of `signals`; 0: none came in time.
int WaitForSignal(const sigset_t& signals, int64_t timeout_ns) {
  const timespec timeout{static_cast<time_t>(timeout_ns / 1'000'000'000),
                         static_cast<long>(timeout_ns % 1'000'000'000)};
  return std::max(0, sigtimedwait(&signals, nullptr, &timeout));
}

// Waits for the first signal to end; 0: the store was not reached within --redis-start-max.
int WaitForEnd(const sigset_t& signals, int64_t start_max_ns, Server& server) {
  constexpr int64_t kPollNs = 50'000'000;
  constexpr int64_t kTickNs = 2'000'000'000;
  SystemClock clock;
  const int64_t began_ns = clock.Now().mono_ns;
  // Signals do not hasten it: what a tick asks for, the next one expects to be there.
  int64_t tick_ns = began_ns + kTickNs;
  while (true) {
    const int64_t now_ns = clock.Now().mono_ns;
    const bool started = start_max_ns == 0 || server.StoreReached();
    if (!started && now_ns - began_ns >= start_max_ns) return 0;
    const int64_t wait_ns = std::max<int64_t>(tick_ns - now_ns, 0);
    const int signal = WaitForSignal(signals, started ? wait_ns : std::min(wait_ns, kPollNs));
    if (signal == SIGHUP) server.Reload();
    if (signal == SIGTERM || signal == SIGINT) return signal;
    if (clock.Now().mono_ns < tick_ns) continue;
    server.Tick();
    tick_ns = clock.Now().mono_ns + kTickNs;
  }
}

}  // namespace

int Serve(const LoadedSettings& loaded) {
  // Blocked before any thread starts, so that only the waits below receive them.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  StartLogging(loaded.settings.log_level, loaded.settings.log_format == LogFormat::kJson);
  TakeGrpcLog();
  for (const std::string& warning : loaded.warnings) spdlog::warn("settings: {}", warning);
  if (const absl::Status tags = CheckTags(TagsOf(loaded.settings)); !tags.ok()) {
    spdlog::error("settings: extra-tags: {}", std::string(tags.message()));
    return kExitUsage;
  }
  const absl::StatusOr<Secret> secret = RandomSecret();
  if (!secret.ok()) {
    spdlog::error("start: {}", std::string(secret.status().message()));
    return kExitUsage;
  }
  std::optional<RedisStoreOptions> redis;
  if (loaded.settings.store == StoreKind::kRedis) {
    const absl::StatusOr<Secret> incarnation = RandomSecret();
    absl::StatusOr<RedisStoreOptions> options =
        RedisOptionsOf(loaded.settings, *secret, incarnation.value_or(*secret));
    if (!options.ok()) {
      spdlog::error("settings: {}", std::string(options.status().message()));
      return kExitUsage;
    }
    redis = *std::move(options);
  }
  ListenerTls tls;
  if (const absl::Status status = tls.Load(loaded.settings); !status.ok()) {
    spdlog::error("settings: {}", std::string(status.message()));
    return kExitUsage;
  }
  LogStore(loaded);
  Server server(loaded, *secret, std::move(redis), tls);
  if (const absl::Status status = server.Start(); !status.ok()) {
    spdlog::error("start: {}", std::string(status.message()));
    return kExitFailed;
  }
  const std::string addresses = server.Addresses();
  spdlog::info("serving {}", addresses);
  std::printf("serving %s\n", addresses.c_str());
  std::fflush(stdout);

  const int signal = WaitForEnd(signals, loaded.settings.redis_start_max_ns, server);
  if (signal == 0) {
    spdlog::error("start: Redis was not reached within --redis-start-max");
    return kExitFailed;
  }
  spdlog::info("draining after signal {}", signal);
  server.BeginDrain();
  // A second signal to end cuts the wait short.
  sigdelset(&signals, SIGHUP);
  WaitForSignal(signals, loaded.settings.drain_delay_ns);
  server.Stop();
  spdlog::info("stopped");
  ExpireLogRepeats(std::numeric_limits<int64_t>::max());
  return kExitOk;
}

}  // namespace weir
