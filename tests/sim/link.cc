#include "tests/sim/link.h"

#include <algorithm>

namespace weir::sim {
namespace {

constexpr int64_t kWatchNs = 20 * kMs;
constexpr int64_t kIdleWatchNs = 200 * kMs;

}  // namespace

Link::Link(Host& host, SimStore& store, Network& network, const LinkOptions& options)
    : host_(host),
      store_(store),
      network_(network),
      options_(options),
      incarnation_(host.incarnation()) {
  Connect();
  Watch();
}

std::optional<int64_t> Link::Arrival(bool cut, int64_t& newest_ns) {
  World& world = host_.world();
  Rng& rng = world.rng();
  int64_t delay_ns = network_.delay_ns + rng.Exponential(static_cast<double>(network_.jitter_ns));
  if (rng.Chance(network_.tail)) {
    delay_ns += rng.Exponential(static_cast<double>(network_.tail_ns));
  }
  const bool lost = rng.Chance(network_.lost);
  if (cut || lost) return std::nullopt;
  int64_t arrival_ns = world.now_ns() + delay_ns;
  if (network_.ordered) arrival_ns = std::max(arrival_ns, newest_ns);
  newest_ns = arrival_ns;
  return arrival_ns;
}

bool Link::Send(int index, const KeySpec& key, const ScriptCall& call, OnAnswer on_answer) {
  if (!connected_) return false;
  World& world = host_.world();
  const uint64_t id = next_id_++;
  const SimStore::About about = {
      .node = host_.id(), .key = index, .op = call.op, .hits = call.hits, .want = call.lease.want};
  std::string wire;
  AppendCall(call, key.store_key, wire);
  flying_.emplace(id,
                  Flying{call, std::move(on_answer), host_.clock().Now().mono_ns, world.now_ns()});
  const bool doubled = call.lease.back_hits == 0 && world.rng().Chance(network_.doubled);
  for (int copy = 0; copy < (doubled ? 2 : 1); ++copy) {
    const auto arrival_ns = Arrival(network_.to_store_cut, newest_request_ns_);
    if (!arrival_ns.has_value()) continue;
    // Bytes on their way outlive the process that sent them.
    world.At(*arrival_ns, [this, connection = connection_, id, about, wire] {
      Deliver(connection, id, about, wire);
    });
  }
  return true;
}

void Link::Deliver(uint64_t connection, uint64_t id, const SimStore::About& about,
                   const std::string& wire) {
  World& world = host_.world();
  // The other end of a connection to a primary of the past is gone.
  if (connection != connection_ || !store_.Serves(replication_id_)) return;
  if (!store_.running()) return;
  if (store_.frozen()) {
    store_.WhenThawed(
        [this, connection, id, about, wire] { Deliver(connection, id, about, wire); });
    return;
  }
  SimStore::Executed executed = store_.Execute(replication_id_, about, wire);
  if (world.tracing()) {
    world.Trace("store: node " + std::to_string(about.node) + " key " + std::to_string(about.key) +
                " hits " + std::to_string(about.hits) + " want " + std::to_string(about.want) +
                " -> " + test::Describe(executed.reply));
  }
  if (incarnation_ != host_.incarnation()) return;
  const auto arrival_ns = Arrival(network_.from_store_cut, newest_reply_ns_);
  if (!arrival_ns.has_value()) return;
  host_.AtTrue(*arrival_ns, [this, connection, id, executed = std::move(executed)] {
    Arrived(connection, id, executed);
  });
}

void Link::Arrived(uint64_t connection, uint64_t id, const SimStore::Executed& executed) {
  if (connection != connection_) return;
  const auto found = flying_.find(id);
  if (found == flying_.end()) return;  // the reply to a doubled call
  const Flying flying = std::move(found->second);
  flying_.erase(found);
  Answer answer;
  answer.time = executed.time;
  answer.sent_mono_ns = flying.sent_mono_ns;
  if (absl::StatusOr<ScriptReply> reply = ReadReply(flying.call, Integers(executed.reply));
      reply.ok()) {
    answer.reply = *std::move(reply);
  }
  flying.on_answer(answer);
}

// One trip there and back, answered with the replication id; tried again if it takes too long.
void Link::Connect() {
  const uint64_t connection = ++connection_;
  host_.After(options_.patience_ns, [this, connection] {
    if (connection == connection_ && !connected_) Connect();
  });
  int64_t newest_ns = 0;
  const auto there_ns = Arrival(network_.to_store_cut, newest_ns);
  const auto back_ns = Arrival(network_.from_store_cut, newest_ns);
  if (!there_ns.has_value() || !back_ns.has_value()) return;
  host_.AtTrue(*back_ns + (*there_ns - host_.world().now_ns()), [this, connection] {
    if (connection == connection_ && store_.running() && !store_.frozen()) Connected();
  });
}

void Link::Connected() {
  connected_ = true;
  newest_request_ns_ = newest_reply_ns_ = 0;
  const uint64_t before = std::exchange(replication_id_, store_.replication_id());
  if (host_.world().tracing()) {
    host_.world().Trace("node " + std::to_string(host_.id()) + " connects to primary " +
                        std::to_string(replication_id_));
  }
  if (before == 0 || before == replication_id_) return;
  for (const auto& told : on_new_primary_) told();
}

// What an event loop does between replies.
void Link::Watch() {
  host_.After(flying_.empty() ? kIdleWatchNs : kWatchNs, [this] {
    if (connected_) {
      const bool silent =
          !flying_.empty() &&
          flying_.begin()->second.sent_true_ns + options_.patience_ns <= host_.world().now_ns();
      if (silent) {
        Close("no answer");
      } else if (!store_.running() || !store_.Serves(replication_id_)) {
        // A reset comes back from where the primary was, unless the network is cut.
        if (!network_.to_store_cut && !network_.from_store_cut) Close("reset");
      }
    }
    Watch();
  });
}

void Link::Close(const char* why) {
  if (host_.world().tracing()) {
    host_.world().Trace("node " + std::to_string(host_.id()) + " closes: " + why);
  }
  connected_ = false;
  ++connection_;
  ++outages_;
  const std::map<uint64_t, Flying> failed = std::exchange(flying_, {});
  const auto pause_ns =
      static_cast<int64_t>(host_.world().rng().Unit() * static_cast<double>(options_.backoff_ns));
  host_.After(pause_ns, [this, connection = connection_] {
    if (connection == connection_ && !connected_) Connect();
  });
  for (const auto& [id, flying] : failed) {
    Answer answer;
    answer.sent_mono_ns = flying.sent_mono_ns;
    flying.on_answer(answer);
  }
}

}  // namespace weir::sim
