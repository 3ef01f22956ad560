#pragma once

// The remote store as one or two Redis topologies: operations become script calls, replies become
// decisions. One-second rules go to the second topology where there is one.
//
// Thread safety: as Remote; stats and texts from any thread.

#include <event2/event.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "limiter/core/clock.h"
#include "limiter/core/counters.h"
#include "limiter/core/key.h"
#include "limiter/store/pool.h"
#include "limiter/store/redis/counter_remote.h"
#include "limiter/store/redis/event.h"
#include "limiter/store/redis/topology.h"
#include "limiter/store/remote.h"

namespace weir {

struct RedisRemoteOptions {
  std::string key_prefix;
  std::string incarnation;  // of this process among the nodes: unique, at most 64 characters
  int64_t nodes_interval_ns = 5'000'000'000;
  // Calls are about counters that envoyproxy/ratelimit counts on too, and only those can be called:
  // keys are under no secret, and nodes do not hear of each other.
  std::optional<CounterOptions> counters;
};

// Calls by what was asked and what became of them.
enum class StoreOp : uint8_t { kTake, kPeek, kReport, kRefund, kReset, kNodes };
inline constexpr std::size_t kStoreOps = 6;
// kTimeout: its caller had stopped waiting, whatever the answer was.
enum class StoreResult : uint8_t { kGranted, kDenied, kError, kTimeout };
inline constexpr std::size_t kStoreResults = 4;
const char* StoreOpName(StoreOp op);
const char* StoreResultName(StoreResult result);

// Written by the loop's thread only.
struct RedisRemoteStats {
  Counter calls[kStoreOps][kStoreResults];
  Counter duration_buckets[kDurationBoundsNs.size() + 1];  // of takes; the last one is +Inf
  Counter duration_sum_ns;
  Counter failovers;
  std::atomic<int64_t> clock_offset_ns{0};  // the store's clock less this node's
};

// Told on the loop's thread; none may be empty.
struct RedisEvents {
  std::function<void(NoteLevel, std::string_view)> note;  // a line for the log
  std::function<void(const Secret&)> secret;  // what keys must be made under; when it changes
  std::function<void(bool)> connected;        // the main store takes calls, or all of it was lost
};

class RedisRemote final : public Remote,
                          public Topology::Listener,
                          private CounterRemote::Listener {
 public:
  RedisRemote(RedisRemoteOptions options, Clock& clock, RedisEvents events);
  ~RedisRemote() override;

  // Before Start. `per_second` may be null; both outlive the remote.
  void SetTopologies(Topology& main, Topology* per_second);
  void Start(event_base* base);
  // Nothing is sent any more. The topologies may be destroyed then.
  void Stop();

  // Those of Remote that any thread calls: until SetTopologies and after Stop, no.
  bool Reachable(const Limit& limit, const Key& key, const Secret& secret) const override;
  bool CounterReachable(const Limit& limit, std::string_view counter) const override;
  int nodes() const override { return nodes_.load(std::memory_order_relaxed); }
  uint64_t OutagesOf(const Limit& limit, const Key& key) const override;
  uint32_t history() const override { return history_.load(std::memory_order_acquire); }
  bool Send(const RemoteCall& call, RemoteSink& sink) override;
  void Flush() override;
  void NoteTimeout(const Limit& limit, const Key& key) override;
  void NoteCounterTimeout(const Limit& limit, std::string_view counter) override;

  const RedisRemoteStats& stats() const { return stats_; }
  uint64_t redirects() const;  // as Topology
  void Visit(const std::function<void(const Primary&)>& visit) const;

 private:
  class Call;
  class NodesCall;

  void OnMeta(const Meta& meta) override;
  void OnConnected() override;
  void OnLost() override { TellConnected(); }
  void TellConnected();
  void OnFailover() override {
    stats_.failovers.Add(1);
    history_.fetch_add(1, std::memory_order_release);
  }
  void OnNote(NoteLevel level, std::string_view text) override { events_.note(level, text); }
  void OnCounted(const RemoteCall& call, const RemoteReply* reply, int64_t duration_ns) override;

  Topology& TopologyOf(const Limit& limit) const;
  Slot SlotOfShard(const Key& key) const { return shard_slots_[LogicalShard(key)]; }
  void AnnounceSelf();
  void ArmNodesTimer();
  void OnNodes(int count);
  void Observe(int64_t duration_ns);
  // `reply` is nullptr where the call failed.
  void CountCall(const RemoteCall& call, const RemoteReply* reply, int64_t now_mono_ns);
  void Count(StoreOp op, StoreResult result) {
    stats_.calls[static_cast<std::size_t>(op)][static_cast<std::size_t>(result)].Add(1);
  }

  const RedisRemoteOptions options_;
  Clock& clock_;
  const RedisEvents events_;
  const std::string nodes_key_;
  Topology* main_ = nullptr;
  Topology* per_second_ = nullptr;
  std::array<Slot, kLogicalShards> shard_slots_{};

  // The secret of META: read by callers, who only need to see one they know.
  std::atomic<uint64_t> secret_k0_{0};
  std::atomic<uint64_t> secret_k1_{0};
  std::atomic<bool> secret_known_{false};

  std::unique_ptr<CounterRemote> counters_;  // options_.counters
  std::atomic<bool> counting_{false};        // between SetTopologies and Stop

  std::string wire_;  // scratch of Send
  Pool<Call> calls_;
  std::unique_ptr<NodesCall> nodes_call_;
  Event nodes_timer_;
  int beats_ = 0;
  std::array<int, 12> node_counts_{};  // of the last minute
  std::size_t node_counts_next_ = 0;
  std::atomic<int> nodes_{0};
  std::atomic<uint32_t> history_{0};
  RedisRemoteStats stats_;
};

}  // namespace weir
