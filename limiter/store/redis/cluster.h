#pragma once

// The primaries of a Redis Cluster and who has which slot: learned from CLUSTER SLOTS at start,
// soon after a sign that it changed (MOVED, CLUSTERDOWN, a lost primary), and now and then.
// Replicas are never asked for a decision.
//
// A command that is told MOVED or ASK was not executed: it is sent on to where it belongs, a few
// times at most. One that belongs to a primary that is only now being connected to waits for that,
// for a short time and in bounded number, so that a slot may move to a new server unnoticed.
//
// Thread safety: as Topology.

#include <event2/event.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/store/pool.h"
#include "limiter/store/redis/backoff.h"
#include "limiter/store/redis/cluster_map.h"
#include "limiter/store/redis/event.h"
#include "limiter/store/redis/inquiry.h"
#include "limiter/store/redis/note_limit.h"
#include "limiter/store/redis/primary.h"
#include "limiter/store/redis/topology.h"

namespace weir {

struct ClusterOptions {
  std::vector<RedisAddress> seeds;  // any servers of the cluster, at least one
  Primary::Options primary;         // of each; with_meta is of the cluster as a whole
  int64_t refresh_interval_ns = 60'000'000'000;
  int64_t refresh_soon_ns = 100'000'000;   // at most, after a sign of change; by chance
  int64_t refresh_least_ns = 250'000'000;  // between two refreshes
  int64_t start_max_ns = 500'000'000;      // how long a new primary is waited for
  std::size_t parked_max = 1'000;          // commands that wait for one
};

class Cluster final : public Topology {
 public:
  // The environment and the listener outlive the cluster.
  Cluster(const Primary::Environment& environment, Topology::Listener& listener,
          const ClusterOptions& options);
  ~Cluster() override;

  void Start() override;
  bool Reachable(Slot slot) const override;
  uint64_t outages(Slot slot) const override {
    return outages_[slot].load(std::memory_order_relaxed);
  }
  uint64_t redirects() const override { return redirects_.load(std::memory_order_relaxed); }
  void Visit(const std::function<void(const Primary&)>& visit) const override;
  bool Send(Slot slot, std::string_view wire, const Script* script, CommandSink& sink) override;
  void Flush() override;
  void NoteTimeout(Slot slot) override;

 private:
  class Node;
  class Routed;
  class MetaSink;
  class MapSink;
  enum NoteKind : std::size_t {
    kMapNote,
    kUnservedNote,
    kNoMapNote,
    kMetaNote,
    kRedirectionNote,
    kNoteKinds
  };

  static constexpr std::size_t kNodesMax = 1024;  // a cluster has a thousand servers at most

  Node* OwnerOf(Slot slot) const { return owners_[slot].load(std::memory_order_acquire); }
  // The node at the address, which is connected to from now on; null: there are too many.
  Node* NodeAt(const RedisAddress& address);
  bool SendTo(Node& node, Routed& routed);
  // False: there is no way on for it.
  bool Redirect(Routed& routed, Failure failure, std::string_view text);
  // The slot is the node's now; null: nobody's. True: whoever had it was lost before it was handed
  // over, and its last writes may be.
  bool Assign(Slot slot, Node* node, int64_t now_ns);

  void CountOutage(Slot slot) { outages_[slot].fetch_add(1, std::memory_order_relaxed); }
  void OnNodeOutage(const Node& node);
  void OnNodeState(Node& node, PrimaryState state);
  void OnTick();
  void ArmTick();

  void AskMeta();
  void OnMetaReply(const redisReply* reply);

  void RefreshSoon();
  void ArmRefresh(int64_t in_ns);
  void Refresh();
  // The servers to ask next over connections of their own.
  std::vector<RedisAddress> Candidates();
  void OnMap(const std::vector<SlotRange>& map);
  void OnNoMap(const std::string& why);
  void NoteMap(std::size_t primaries, uint32_t served);
  bool Serves(const Node& node) const;
  // Whether a primary lost the last of its slots. Who is replaced loses all of them, so its last
  // writes may be lost, though it answers still: it may be cut off from the others only.
  bool AnyReplaced();
  // Primaries that serve no slot any more are let go.
  void LetGo();
  bool AllReachable() const;
  int64_t NowNs() const { return environment_.clock.Now().mono_ns; }
  int64_t Random(int64_t below_ns);
  void Note(NoteLevel level, NoteKind kind, const std::string& text);

  const Primary::Environment environment_;
  Topology::Listener& listener_;
  const ClusterOptions options_;
  const Slot meta_slot_;
  const bool with_meta_;
  Meta proposal_;

  // Only ever added to; what Visit may see was there before the count says so.
  std::array<std::unique_ptr<Node>, kNodesMax> nodes_;
  std::atomic<std::size_t> node_count_{0};
  std::array<std::atomic<Node*>, kSlots> owners_{};
  std::array<std::atomic<uint32_t>, kSlots> outages_{};
  std::atomic<uint64_t> redirects_{0};

  // The rest on the loop's thread.
  Pool<Routed> routed_;
  std::size_t parked_ = 0;
  std::unique_ptr<MetaSink> meta_sink_;
  bool meta_owed_ = false;
  bool meta_wanted_ = false;  // not asked for yet, or the answer was none
  bool meta_known_ = false;

  Inquiry inquiry_;
  const MapSink* map_awaited_ = nullptr;
  bool refresh_again_ = false;  // a sign of change came while the map was asked for
  int64_t refresh_due_ns_ = 0;  // 0: none is due
  int64_t refreshed_ns_ = 0;
  std::size_t next_asked_ = 0;
  std::size_t next_candidate_ = 0;
  Backoff backoff_;  // of inquiries
  std::mt19937_64 random_;
  NoteLimit notes_;
  Event refresh_timer_;
  Event tick_;
};

}  // namespace weir
