#pragma once

// What a Cluster is made of: its primaries, and its commands on their way. Private to cluster.cc.
//
// Thread safety: the loop's thread, but for what says otherwise.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/store/redis/cluster.h"

namespace weir {

// One primary's answer to CLUSTER SLOTS. It may come when nobody waits for it any more.
class Cluster::MapSink final : public CommandSink {
 public:
  MapSink(Cluster& cluster, const RedisAddress& asked) : cluster_(cluster), asked_(asked) {}
  void OnReply(const redisReply& reply) override {
    if (!Awaited()) return;
    const absl::StatusOr<std::vector<SlotRange>> map = ReadClusterSlots(reply, asked_);
    knows = map.ok() && !map->empty();
    if (knows) {
      cluster_.OnMap(*map);
    } else {
      cluster_.OnNoMap(map.ok() ? "it knows no slots" : std::string(map.status().message()));
    }
  }
  void OnFailure(Failure /*failure*/, std::string_view text) override {
    knows = false;
    if (Awaited()) cluster_.OnNoMap(std::string(text));
  }

  bool knows = true;  // it had a map when it was asked last

 private:
  bool Awaited() {
    if (cluster_.map_awaited_ != this) return false;
    cluster_.map_awaited_ = nullptr;
    return true;
  }

  Cluster& cluster_;
  const RedisAddress& asked_;
};

// One primary of the cluster, or the place for one.
class Cluster::Node final : private Primary::AddressSource, private Primary::Listener {
 public:
  Node(Cluster& cluster, const Primary::Options& options)
      : cluster_(cluster),
        map_sink_(cluster, address_),
        primary_(cluster.environment_, *this, *this, options) {}

  void Start(const RedisAddress& address, int64_t now_ns) {
    address_ = address;
    started_ns_ = now_ns;
    used_ns = now_ns;
    timeouts_ = 0;
    lost_slots_ns = 0;
    map_sink_.knows = true;
    idle_ = false;
    starting_.store(true, std::memory_order_release);
    primary_.Start();
  }
  void Stop() {
    idle_ = true;
    starting_.store(false, std::memory_order_release);
    primary_.Stop();
  }
  // Nobody is to wait for it any longer.
  void GiveUpStart() { starting_.store(false, std::memory_order_release); }

  void NoteTimeout() {
    if (!starting()) {
      primary_.NoteTimeout();
    } else if (++timeouts_ >= kStartTimeouts) {
      GiveUpStart();
    }
  }

  // Hands every parked command to `send`; what that refuses ends. Returns how many there were.
  template <typename F>
  std::size_t Unpark(F send);

  // Any thread.
  bool up() const { return TakesCalls(primary_.state()); }
  bool starting() const { return starting_.load(std::memory_order_acquire); }
  bool takes_calls() const { return up() || starting(); }

  bool idle() const { return idle_; }
  const RedisAddress& address() const { return address_; }
  int64_t started_ns() const { return started_ns_; }
  Primary& primary() { return primary_; }
  MapSink& map_sink() { return map_sink_; }

  std::vector<Routed*> parked;
  int64_t used_ns = 0;  // when a command was sent to it, or would have been
  // When another was last named for a slot of its; 0: never, or its writes were given up for lost.
  int64_t lost_slots_ns = 0;

 private:
  static constexpr int kStartTimeouts = 3;

  void Find(Found found) override { found(address_); }
  void OnState(PrimaryState state) override {
    if (state == PrimaryState::kConnected) GiveUpStart();
    if (!idle_) cluster_.OnNodeState(*this, state);
  }
  void OnOutage() override { cluster_.OnNodeOutage(*this); }
  void OnFailover() override { cluster_.listener_.OnFailover(); }
  void OnNote(NoteLevel level, std::string_view text) override {
    cluster_.listener_.OnNote(level, text);
  }

  Cluster& cluster_;
  RedisAddress address_;
  int64_t started_ns_ = 0;
  int timeouts_ = 0;
  bool idle_ = true;
  std::atomic<bool> starting_{false};
  MapSink map_sink_;
  Primary primary_;
};

// A command of the owner's, which may have to be sent on.
class Cluster::Routed final : public CommandSink {
 public:
  explicit Routed(Cluster& cluster) : cluster_(cluster) {}

  void Begin(std::string_view command, const Script* run, CommandSink& told) {
    wire.assign(command);
    script = run;
    sink_ = &told;
    asking = false;
    redirects = 0;
  }

  void OnReply(const redisReply& reply) override {
    CommandSink& sink = *sink_;
    cluster_.routed_.Put(*this);
    sink.OnReply(reply);
  }
  void OnFailure(Failure failure, std::string_view text) override {
    if (RowOf(failure).effect == FailureEffect::kRedirect &&
        cluster_.Redirect(*this, failure, text)) {
      return;
    }
    if (failure == Failure::kClusterDown) cluster_.RefreshSoon();
    CommandSink& sink = *sink_;
    cluster_.routed_.Put(*this);
    sink.OnFailure(failure, text);
  }

  std::string wire;
  const Script* script = nullptr;
  Node* node = nullptr;  // that it was sent to last
  bool asking = false;   // the slot is on its way there
  int redirects = 0;

 private:
  Cluster& cluster_;
  CommandSink* sink_ = nullptr;
};

template <typename F>
std::size_t Cluster::Node::Unpark(F send) {
  const std::vector<Routed*> all = std::exchange(parked, {});
  for (Routed* const routed : all) {
    if (!send(*routed)) routed->OnFailure(Failure::kLost, "no connection to its server");
  }
  return all.size();
}

class Cluster::MetaSink final : public CommandSink {
 public:
  explicit MetaSink(Cluster& cluster) : cluster_(cluster) {}
  void OnReply(const redisReply& reply) override { cluster_.OnMetaReply(&reply); }
  void OnFailure(Failure /*failure*/, std::string_view /*text*/) override {
    cluster_.OnMetaReply(nullptr);
  }

 private:
  Cluster& cluster_;
};

}  // namespace weir
