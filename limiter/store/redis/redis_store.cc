#include "limiter/store/redis/redis_store.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/redis/cluster.h"
#include "limiter/store/redis/sentinel.h"

namespace weir {
namespace {

constexpr int64_t kNodesIntervalNs = 5'000'000'000;

// 128 bits as 32 hexadecimal digits.
std::string Hex(const Secret& secret) {
  return absl::StrCat(absl::Hex(secret.k0, absl::kZeroPad16),
                      absl::Hex(secret.k1, absl::kZeroPad16));
}

}  // namespace

// One topology with what it is made of.
struct RedisStore::Site {
  std::unique_ptr<TlsContext> tls;
  std::shared_ptr<Primary::AddressSource> source;  // shared: destroyed as what it was made
  std::unique_ptr<Topology> topology;
  std::unique_ptr<SentinelWatch> watch;
};

RedisStore::RedisStore(RedisStoreOptions options, Clock& clock, Executor& resolver,
                       RedisEvents events)
    : options_(std::move(options)),
      clock_(clock),
      resolver_(resolver),
      loop_(clock, [this] { return shared_->Turn(); }),
      remote_({.key_prefix = options_.key_prefix,
               .incarnation = Hex(options_.incarnation),
               .nodes_interval_ns = kNodesIntervalNs,
               .counters = options_.counters},
              clock, std::move(events)),
      shared_(std::make_unique<SharedStore>(options_.shared, remote_, clock,
                                            [this] { loop_.Wake(); })) {}

RedisStore::~RedisStore() { Stop(); }

absl::Status RedisStore::Open(const RedisPlace& place, bool with_meta,
                              std::unique_ptr<Site>* site) {
  auto opened = std::make_unique<Site>();
  if (place.tls.has_value()) {
    absl::StatusOr<std::unique_ptr<TlsContext>> tls = TlsContext::Create(*place.tls);
    if (!tls.ok()) return tls.status();
    opened->tls = std::move(*tls);
  }
  Primary::Options primary;
  primary.login = place.login;
  primary.db = place.db;
  primary.tls = opened->tls.get();
  primary.link = options_.link;
  primary.ping_interval_ns = options_.ping_interval_ns;
  primary.isolated_after_ns = options_.isolated_after_ns;
  primary.backoff = options_.backoff;
  primary.seed = options_.incarnation.k0;
  primary.in_flight_max = options_.in_flight_max;
  if (!options_.counters.has_value()) primary.scripts = AllScripts();
  if (with_meta && !options_.counters.has_value()) {
    primary.with_meta = true;
    primary.meta_key = options_.key_prefix + "weir:meta";
    primary.proposal = {.format = 1, .shards = kLogicalShards, .secret = options_.proposal};
  }
  const Primary::Environment environment{loop_.base(), loop_, resolver_, clock_};
  if (place.cluster) {
    opened->topology = std::make_unique<Cluster>(
        environment, remote_,
        ClusterOptions{.seeds = place.addresses, .primary = std::move(primary)});
    *site = std::move(opened);
    return absl::OkStatus();
  }
  if (place.master.empty()) {
    opened->source = std::make_shared<FixedAddress>(place.addresses.front());
    opened->topology =
        std::make_unique<SingleTopology>(environment, *opened->source, remote_, std::move(primary));
  } else {
    const SentinelOptions sentinels{
        .sentinels = place.addresses,
        .master = place.master,
        .reach = {.login = place.sentinel_login, .tls = opened->tls.get(), .link = options_.link}};
    Topology::Listener& listener = remote_;
    auto source = std::make_shared<SentinelAddress>(environment, sentinels);
    auto topology =
        std::make_unique<SingleTopology>(environment, *source, remote_, std::move(primary));
    opened->watch = std::make_unique<SentinelWatch>(
        environment, sentinels, options_.backoff, options_.incarnation.k1,
        [&source = *source, &topology = *topology](const RedisAddress& to) {
          source.Hint(to);
          topology.OnMoved(to);
        },
        [&listener](NoteLevel level, std::string_view text) { listener.OnNote(level, text); });
    opened->source = std::move(source);
    opened->topology = std::move(topology);
  }
  *site = std::move(opened);
  return absl::OkStatus();
}

absl::Status RedisStore::Start() {
  absl::Status status = Open(options_.main, true, &main_);
  if (status.ok() && options_.per_second.has_value()) {
    status = Open(*options_.per_second, false, &per_second_);
  }
  if (!status.ok()) return status;
  remote_.SetTopologies(*main_->topology,
                        per_second_ == nullptr ? nullptr : per_second_->topology.get());
  status = loop_.Start();
  if (!status.ok()) return status;
  loop_.Post([this] {
    remote_.Start(loop_.base());
    for (const std::unique_ptr<Site>* site : {&main_, &per_second_}) {
      if (*site != nullptr && (*site)->watch != nullptr) (*site)->watch->Start();
    }
  });
  return absl::OkStatus();
}

absl::Status RedisStore::ReloadTls() {
  absl::Status status;
  for (const std::unique_ptr<Site>* site : {&main_, &per_second_}) {
    if (*site != nullptr && (*site)->tls != nullptr) status.Update((*site)->tls->Reload());
  }
  return status;
}

void RedisStore::Stop() {
  loop_.Stop([this] {
    remote_.Stop();
    shared_->EndAll();
  });
}

}  // namespace weir
