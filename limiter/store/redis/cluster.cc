#include "limiter/store/redis/cluster.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/store/redis/cluster_node.h"

namespace weir {
namespace {

constexpr int kRedirectsMax = 5;
constexpr int64_t kTickNs = 50'000'000;
constexpr int64_t kNodeUnusedNs = 60'000'000'000;
constexpr int64_t kHandOverNs = 10'000'000'000;
// Servers asked at once over connections of their own.
constexpr std::size_t kCandidates = 3;
// CLUSTER SLOTS of a cluster whose slots are scattered.
constexpr std::size_t kMapBytesMax = std::size_t{8} << 20;

constexpr std::string_view kMapCommand = "*2\r\n$7\r\nCLUSTER\r\n$5\r\nSLOTS\r\n";

ClusterOptions Prepared(ClusterOptions options) {
  options.primary.with_meta = false;
  options.primary.link.reply_bytes_max =
      std::max(options.primary.link.reply_bytes_max, kMapBytesMax);
  return options;
}

}  // namespace

Cluster::Cluster(const Primary::Environment& environment, Topology::Listener& listener,
                 const ClusterOptions& options)
    : environment_(environment),
      listener_(listener),
      options_(Prepared(options)),
      meta_slot_(SlotOf(options.primary.meta_key)),
      with_meta_(options.primary.with_meta),
      proposal_(options.primary.proposal),
      meta_sink_(std::make_unique<MetaSink>(*this)),
      meta_known_(!with_meta_),
      inquiry_(environment, {.login = options_.primary.login,
                             .tls = options_.primary.tls,
                             .link = options_.primary.link}),
      backoff_(options_.primary.backoff, options_.primary.seed),
      random_(options_.primary.seed),
      notes_(kNoteKinds) {
  refresh_timer_.reset(event_new(
      environment.base, -1, 0,
      [](evutil_socket_t, short, void* self) {
        auto& cluster = *static_cast<Cluster*>(self);
        // libevent may be early by as long as its turn takes.
        const int64_t early_ns = cluster.refresh_due_ns_ - cluster.NowNs();
        if (early_ns > 0) {
          cluster.ArmRefresh(early_ns + 1'000);
        } else {
          cluster.Refresh();
        }
      },
      this));
  tick_.reset(event_new(
      environment.base, -1, 0,
      [](evutil_socket_t, short, void* self) { static_cast<Cluster*>(self)->OnTick(); }, this));
}

// Connections end first: their sinks look at the rest.
Cluster::~Cluster() {
  for (auto& owner : owners_) owner.store(nullptr, std::memory_order_release);
  const std::size_t count = node_count_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < count; ++i) {
    if (!nodes_[i]->idle()) nodes_[i]->Stop();
    nodes_[i]->Unpark([](Routed& /*routed*/) { return false; });
  }
}

void Cluster::Start() { Refresh(); }

// ---- What callers see

bool Cluster::Reachable(Slot slot) const {
  const Node* const node = OwnerOf(slot);
  return node != nullptr && node->takes_calls();
}

void Cluster::Visit(const std::function<void(const Primary&)>& visit) const {
  const std::size_t count = node_count_.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < count; ++i) visit(nodes_[i]->primary());
}

bool Cluster::Send(Slot slot, std::string_view wire, const Script* script, CommandSink& sink) {
  Node* const node = OwnerOf(slot);
  if (node == nullptr) return false;
  Routed& routed = routed_.Take(*this);
  routed.Begin(wire, script, sink);
  if (SendTo(*node, routed)) return true;
  routed_.Put(routed);
  return false;
}

void Cluster::Flush() {
  const std::size_t count = node_count_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < count; ++i) nodes_[i]->primary().Flush();
}

void Cluster::NoteTimeout(Slot slot) {
  if (Node* const node = OwnerOf(slot)) node->NoteTimeout();
}

// ---- Sending, and sending on

bool Cluster::SendTo(Node& node, Routed& routed) {
  node.used_ns = NowNs();
  if (!node.up()) {
    if (!node.starting() || parked_ >= options_.parked_max) return false;
    routed.node = &node;
    node.parked.push_back(&routed);
    ++parked_;
    return true;
  }
  routed.node = &node;
  return node.primary().Send(routed.wire, routed.script, routed, routed.asking);
}

bool Cluster::Redirect(Routed& routed, Failure failure, std::string_view text) {
  if (++routed.redirects > kRedirectsMax) return false;
  const absl::StatusOr<Redirection> read = ReadRedirection(text, routed.node->address());
  if (!read.ok()) {
    Note(NoteLevel::kWarning, kRedirectionNote, std::string(read.status().message()));
    return false;
  }
  Node* const node = NodeAt(read->primary);
  if (node == nullptr) return false;
  routed.asking = failure == Failure::kAsk;
  if (!routed.asking) {
    if (Assign(read->slot, node, NowNs())) listener_.OnFailover();
    RefreshSoon();
    if (read->slot == meta_slot_) AskMeta();
  }
  if (!SendTo(*node, routed)) return false;
  redirects_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

// ---- Primaries

bool Cluster::Assign(Slot slot, Node* node, int64_t now_ns) {
  Node* const before = OwnerOf(slot);
  if (before == node) return false;
  // Before anybody can see that the slot has no primary.
  if (before != nullptr && before->up() && (node == nullptr || !node->up())) CountOutage(slot);
  owners_[slot].store(node, std::memory_order_release);
  if (before == nullptr) return false;
  before->lost_slots_ns = now_ns;
  return node == nullptr || !before->up();
}

void Cluster::OnNodeOutage(const Node& node) {
  for (uint32_t i = 0; i < kSlots; ++i) {
    const auto slot = static_cast<Slot>(i);
    if (OwnerOf(slot) == &node) CountOutage(slot);
  }
}

Cluster::Node* Cluster::NodeAt(const RedisAddress& address) {
  const std::size_t count = node_count_.load(std::memory_order_relaxed);
  Node* free = nullptr;
  for (std::size_t i = 0; i < count; ++i) {
    Node& node = *nodes_[i];
    if (node.idle()) {
      free = &node;
    } else if (node.address() == address) {
      return &node;
    }
  }
  if (free == nullptr) {
    if (count == kNodesMax) return nullptr;
    Primary::Options options = options_.primary;
    options.seed = random_();
    nodes_[count] = std::make_unique<Node>(*this, options);
    free = nodes_[count].get();
    node_count_.store(count + 1, std::memory_order_release);
  }
  free->Start(address, NowNs());
  ArmTick();
  return free;
}

void Cluster::OnNodeState(Node& node, PrimaryState state) {
  switch (state) {
    case PrimaryState::kSuspect:
      return;
    case PrimaryState::kConnected:
      parked_ -= node.Unpark([this, &node](Routed& routed) { return SendTo(node, routed); });
      if (OwnerOf(meta_slot_) == &node) AskMeta();
      if (meta_known_) listener_.OnConnected();
      return;
    case PrimaryState::kRecovering:
    case PrimaryState::kIsolated:
      if (map_awaited_ == &node.map_sink()) map_awaited_ = nullptr;
      // It handed its slots over, and is gone or a replica now: its last writes may be lost.
      if (node.lost_slots_ns > 0 && NowNs() - node.lost_slots_ns < kHandOverNs) {
        node.lost_slots_ns = 0;
        listener_.OnFailover();
      }
      listener_.OnLost();
      RefreshSoon();
  }
}

void Cluster::ArmTick() {
  if (event_pending(tick_.get(), EV_TIMEOUT, nullptr) != 0) return;
  StartTimer(tick_, kTickNs);
}

void Cluster::OnTick() {
  const int64_t now_ns = NowNs();
  const std::size_t count = node_count_.load(std::memory_order_relaxed);
  bool pending = meta_wanted_;
  for (std::size_t i = 0; i < count; ++i) {
    Node& node = *nodes_[i];
    if (node.starting() && now_ns - node.started_ns() >= options_.start_max_ns) node.GiveUpStart();
    if (!node.starting() && !node.up()) {
      parked_ -= node.Unpark([](Routed& /*routed*/) { return false; });
    }
    pending = pending || node.starting();
  }
  if (meta_wanted_) AskMeta();
  if (pending) ArmTick();
}

// ---- META

void Cluster::AskMeta() {
  meta_wanted_ = with_meta_;
  const Node* const node = OwnerOf(meta_slot_);
  if (!meta_wanted_ || meta_owed_ || node == nullptr || !node->up()) return;
  std::string wire;
  AppendMetaCall(wire, options_.primary.meta_key, proposal_);
  meta_owed_ = Send(meta_slot_, wire, &ScriptOf(ScriptId::kMeta), *meta_sink_);
  meta_wanted_ = !meta_owed_;
  ArmTick();
}

void Cluster::OnMetaReply(const redisReply* reply) {
  meta_owed_ = false;
  if (reply == nullptr) {
    meta_wanted_ = true;
    ArmTick();
    return;
  }
  const absl::StatusOr<Meta> meta = DecodeMeta(*reply);
  if (!meta.ok() || meta->format != proposal_.format || meta->shards != proposal_.shards) {
    meta_wanted_ = true;
    const std::string what =
        meta.ok() ? "the META record is of another format" : std::string(meta.status().message());
    Note(NoteLevel::kWarning, kMetaNote, WithRemedy(what, RowOf(Failure::kMeta)));
    ArmTick();
    return;
  }
  proposal_ = *meta;
  listener_.OnMeta(*meta);
  if (!std::exchange(meta_known_, true)) listener_.OnConnected();
}

// ---- The map

int64_t Cluster::Random(int64_t below_ns) {
  return std::uniform_int_distribution<int64_t>(0, std::max<int64_t>(below_ns, 1) - 1)(random_);
}

void Cluster::RefreshSoon() {
  if (map_awaited_ != nullptr || inquiry_.asking()) {
    refresh_again_ = true;
    return;
  }
  const int64_t now_ns = NowNs();
  const int64_t due_ns = std::max(now_ns + Random(options_.refresh_soon_ns),
                                  refreshed_ns_ + options_.refresh_least_ns);
  if (refresh_due_ns_ == 0 || due_ns < refresh_due_ns_) ArmRefresh(due_ns - now_ns);
}

void Cluster::ArmRefresh(int64_t in_ns) {
  refresh_due_ns_ = NowNs() + in_ns;
  StartTimer(refresh_timer_, in_ns);
}

void Cluster::Refresh() {
  event_del(refresh_timer_.get());
  refresh_due_ns_ = 0;
  refresh_again_ = false;
  refreshed_ns_ = NowNs();
  const std::size_t count = node_count_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < count; ++i) {
    Node& node = *nodes_[next_asked_++ % count];
    if (!node.up() || !node.map_sink().knows ||
        !node.primary().Send(kMapCommand, nullptr, node.map_sink()))
      continue;
    map_awaited_ = &node.map_sink();
    return;
  }
  const int64_t due_ns = backoff_.NextNs(refreshed_ns_, false);
  if (due_ns > refreshed_ns_) {
    ArmRefresh(due_ns - refreshed_ns_);
    return;
  }
  backoff_.NoteAttempt(refreshed_ns_);
  for (std::size_t i = 0; i < count; ++i) nodes_[i]->map_sink().knows = true;
  auto map = std::make_shared<std::vector<SlotRange>>();
  inquiry_.Ask(
      Candidates(), std::string(kMapCommand),
      [map](const redisReply& reply, const RedisAddress& asked) {
        if (!map->empty()) return absl::OkStatus();
        absl::StatusOr<std::vector<SlotRange>> read = ReadClusterSlots(reply, asked);
        if (!read.ok()) return read.status();
        *map = *std::move(read);
        return map->empty() ? absl::NotFoundError("knows no slots") : absl::OkStatus();
      },
      [this, map](const absl::Status& status) {
        if (status.ok()) {
          backoff_.Reset();
          OnMap(*map);
        } else {
          OnNoMap(std::string(status.message()));
        }
      });
}

std::vector<RedisAddress> Cluster::Candidates() {
  std::vector<RedisAddress> all = options_.seeds;
  const std::size_t count = node_count_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < count; ++i) {
    const RedisAddress& address = nodes_[i]->address();
    if (nodes_[i]->idle()) continue;
    if (std::find(all.begin(), all.end(), address) == all.end()) all.push_back(address);
  }
  std::vector<RedisAddress> some;
  while (some.size() < std::min(kCandidates, all.size())) {
    some.push_back(all[next_candidate_++ % all.size()]);
  }
  return some;
}

void Cluster::OnMap(const std::vector<SlotRange>& map) {
  std::vector<Node*> owners(kSlots, nullptr);
  std::vector<const Node*> primaries;
  uint32_t served = 0;
  for (const SlotRange& range : map) {
    Node* const node = NodeAt(range.primary);
    if (node == nullptr) continue;
    if (std::find(primaries.begin(), primaries.end(), node) == primaries.end()) {
      primaries.push_back(node);
    }
    for (uint32_t slot = range.first; slot <= range.last; ++slot) {
      served += owners[slot] == nullptr ? 1 : 0;
      owners[slot] = node;
    }
  }
  bool lost = false;
  const Node* const meta_before = OwnerOf(meta_slot_);
  const int64_t now_ns = NowNs();
  for (uint32_t slot = 0; slot < kSlots; ++slot) {
    lost |= Assign(static_cast<Slot>(slot), owners[slot], now_ns);
  }
  lost |= AnyReplaced();
  if (lost) listener_.OnFailover();
  LetGo();
  if (OwnerOf(meta_slot_) != meta_before) AskMeta();
  NoteMap(primaries.size(), served);
  if (refresh_again_ || served < kSlots || !AllReachable()) {
    refresh_again_ = false;
    ArmRefresh(options_.refresh_least_ns + Random(options_.refresh_least_ns));
  } else {
    ArmRefresh(options_.refresh_interval_ns + Random(options_.refresh_interval_ns / 10));
  }
}

void Cluster::NoteMap(std::size_t primaries, uint32_t served) {
  if (served == kSlots) {
    Note(NoteLevel::kInfo, kMapNote,
         absl::StrCat("cluster: ", primaries, " primaries serve ", served, " of ", kSlots,
                      " slots"));
    return;
  }
  Note(NoteLevel::kWarning, kUnservedNote,
       absl::StrCat("cluster: nobody serves ", kSlots - served, " of ", kSlots, " slots (",
                    primaries,
                    " primaries serve the others); on_store_failure decides about their keys; "
                    "CLUSTER INFO and CLUSTER NODES say why, redis-cli --cluster fix may help"));
}

void Cluster::OnNoMap(const std::string& why) {
  std::string text = "cluster: no server says who has which slot; ";
  Note(NoteLevel::kWarning, kNoMapNote,
       OneLine(text.append(why)) +
           "; is this a cluster (--redis-type), and does --redis-url name servers of it?");
  ArmRefresh(options_.refresh_least_ns + Random(options_.refresh_least_ns));
}

bool Cluster::Serves(const Node& node) const {
  return std::any_of(owners_.begin(), owners_.end(), [&](const auto& owner) {
    return owner.load(std::memory_order_relaxed) == &node;
  });
}

bool Cluster::AnyReplaced() {
  bool any = false;
  const std::size_t count = node_count_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < count; ++i) {
    Node& node = *nodes_[i];
    if (node.lost_slots_ns == 0 || Serves(node)) continue;
    node.lost_slots_ns = 0;
    any = true;
  }
  return any;
}

void Cluster::LetGo() {
  const std::size_t count = node_count_.load(std::memory_order_relaxed);
  const int64_t now_ns = NowNs();
  for (std::size_t i = 0; i < count; ++i) {
    Node& node = *nodes_[i];
    if (node.idle() || node.starting() || (node.up() && now_ns - node.used_ns < kNodeUnusedNs)) {
      continue;
    }
    if (!Serves(node)) node.Stop();
  }
}

bool Cluster::AllReachable() const {
  return std::all_of(owners_.begin(), owners_.end(), [](const auto& owner) {
    const Node* const node = owner.load(std::memory_order_relaxed);
    return node != nullptr && node->up();
  });
}

void Cluster::Note(NoteLevel level, NoteKind kind, const std::string& text) {
  if (!notes_.Allow(kind, text, NowNs())) return;
  listener_.OnNote(level, "redis " + text);
}

}  // namespace weir
