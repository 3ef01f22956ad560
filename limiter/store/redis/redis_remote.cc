#include "limiter/store/redis/redis_remote.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/redis/script_call.h"

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
// Integers of the longest script reply, and some more.
constexpr std::size_t kNumbersMax = 16;

// The integers of an array reply; empty when it is anything else.
std::span<const int64_t> NumbersOf(const redisReply& reply,
                                   std::array<int64_t, kNumbersMax>& numbers) {
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements > numbers.size()) return {};
  for (std::size_t i = 0; i < reply.elements; ++i) {
    if (reply.element[i]->type != REDIS_REPLY_INTEGER) return {};
    numbers[i] = reply.element[i]->integer;
  }
  return {numbers.data(), reply.elements};
}

StoreOp StoreOpOf(Op op) {
  switch (op) {
    case Op::kTake:
      return StoreOp::kTake;
    case Op::kPeek:
      return StoreOp::kPeek;
    case Op::kReport:
      return StoreOp::kReport;
    case Op::kRefund:
      return StoreOp::kRefund;
    case Op::kReset:
      break;
  }
  return StoreOp::kReset;
}

}  // namespace

const char* StoreOpName(StoreOp op) {
  static constexpr const char* kNames[] = {"take", "peek", "report", "refund", "reset", "nodes"};
  return kNames[static_cast<std::size_t>(op)];
}

const char* StoreResultName(StoreResult result) {
  static constexpr const char* kNames[] = {"granted", "denied", "error", "timeout"};
  return kNames[static_cast<std::size_t>(result)];
}

// One operation on its way. A reset is two commands, a peek and the DEL: the first says whether
// there was anything to forget, and the answer is told when both are done.
class RedisRemote::Call final : public CommandSink {
 public:
  explicit Call(RedisRemote& remote) : remote_(remote) {}

  bool Send(const RemoteCall& call, RemoteSink& sink) {
    limit_ = *call.limit;
    call_ = call;
    call_.limit = &limit_;
    sink_ = &sink;
    failed_ = false;
    owed_ = 0;
    reply_ = {};
    sent_mono_ns_ = remote_.clock_.Now().mono_ns;
    if (limit_.capacity == 0 && limit_.algorithm == Algorithm::kTokenBucket) {
      AnswerBan();
      return true;
    }
    // A cost that can never pass and drains nothing still wants to know what is left.
    if (DecidedWithoutCall(AsScript(call_.op)).has_value()) call_.op = Op::kPeek;
    key_ = StoreKey(remote_.options_.key_prefix, call.key);
    record_.clear();
    if (call_.op == Op::kReset && !SendOne(Op::kPeek)) return false;
    if (call_.with_record) SendRead();
    return SendOne(call_.op) || owed_ > 0;
  }

  void OnReply(const redisReply& reply) override {
    std::array<int64_t, kNumbersMax> numbers;
    if (reply.type == REDIS_REPLY_STRING || reply.type == REDIS_REPLY_NIL) {
      record_ = TextOf(reply);
      Settle();
      return;
    }
    const bool deleted = call_.op == Op::kReset && reply.type == REDIS_REPLY_INTEGER;
    if (!deleted) {
      const bool peek = call_.op == Op::kReset;
      const absl::StatusOr<ScriptReply> read =
          ReadReply(AsScript(peek ? Op::kPeek : call_.op), NumbersOf(reply, numbers));
      if (read.ok()) {
        reply_ = *read;
      } else {
        failed_ = true;
        remote_.events_.note(
            NoteLevel::kWarning,
            absl::StrCat("protocol error: ", std::string(read.status().message())));
      }
    }
    Settle();
  }

  void OnFailure(Failure /*failure*/, std::string_view /*text*/) override {
    failed_ = true;
    Settle();
  }

 private:
  ScriptCall AsScript(Op op) const {
    return {
        .limit = limit_, .op = op, .hits = call_.hits, .drain = call_.drain, .lease = call_.lease};
  }

  // A bucket of no hits has no state.
  void AnswerBan() {
    RemoteReply reply;
    const ScriptCall script = AsScript(call_.op);
    reply.decision = call_.op == Op::kReset ? ReplyToReset(script).decision
                                            : DecidedWithoutCall(script).value_or(Decision());
    remote_.calls_.Put(*this);
    sink_->OnReply(reply);
  }

  bool SendOne(Op op) {
    remote_.wire_.clear();
    AppendCall(AsScript(op), key_, remote_.wire_);
    return SendWire(op == Op::kReset ? nullptr : &ScriptOf(ScriptFor(limit_.algorithm)));
  }

  bool SendRead() {
    remote_.wire_.clear();
    AppendCommand(remote_.wire_, {"GET", key_});
    return SendWire(nullptr);
  }

  bool SendWire(const Script* script) {
    ++owed_;
    if (remote_.TopologyOf(limit_).Send(remote_.SlotOfShard(call_.key), remote_.wire_, script,
                                        *this)) {
      return true;
    }
    --owed_;
    failed_ = true;
    return false;
  }

  void Settle() {
    if (--owed_ > 0) return;
    RemoteSink& sink = *sink_;
    const Instant now = remote_.clock_.Now();
    if (failed_) {
      remote_.CountCall(call_, nullptr, now.mono_ns);
      remote_.calls_.Put(*this);
      sink.OnFailure();
      return;
    }
    const uint64_t remaining_before = reply_.remaining_before;
    const int64_t now_us = reply_.now_us;
    if (call_.op == Op::kReset) reply_ = ReplyToReset(AsScript(Op::kReset));
    RemoteReply reply;
    reply.decision = reply_.decision;
    reply.remaining_before = remaining_before;
    reply.store_now_us = now_us;
    reply.granted = reply_.granted;
    reply.ttl_ns = reply_.ttl_ns;
    reply.window = reply_.window;
    const std::string record = std::move(record_);  // the sink may use this call again
    reply.record = record;
    remote_.CountCall(call_, &reply, now.mono_ns);
    if (now_us > 0) {
      remote_.stats_.clock_offset_ns.store(now_us * 1000 - now.wall_ns, std::memory_order_relaxed);
    }
    remote_.Observe(now.mono_ns - sent_mono_ns_);
    remote_.calls_.Put(*this);
    sink.OnReply(reply);
  }

  RedisRemote& remote_;
  RemoteCall call_;
  Limit limit_;
  RemoteSink* sink_ = nullptr;
  std::string key_;
  std::string record_;
  ScriptReply reply_;
  int64_t sent_mono_ns_ = 0;
  int owed_ = 0;
  bool failed_ = false;
};

// The node says every few seconds that it lives, and learns how many do.
class RedisRemote::NodesCall final : public CommandSink {
 public:
  explicit NodesCall(RedisRemote& remote) : remote_(remote) {}

  void Send() {
    if (owed_) return;
    std::string wire;
    AppendNodes(remote_.nodes_key_, remote_.options_.incarnation, wire);
    owed_ =
        remote_.main_->Send(SlotOf(remote_.nodes_key_), wire, &ScriptOf(ScriptId::kNodes), *this);
  }

  void OnReply(const redisReply& reply) override {
    owed_ = false;
    std::array<int64_t, kNumbersMax> numbers;
    // A reply of one number may come bare.
    if (reply.type == REDIS_REPLY_INTEGER) numbers[0] = reply.integer;
    const absl::StatusOr<int> count =
        ReadNodes(reply.type == REDIS_REPLY_INTEGER ? std::span<const int64_t>(numbers.data(), 1)
                                                    : NumbersOf(reply, numbers));
    remote_.Count(StoreOp::kNodes, count.ok() ? StoreResult::kGranted : StoreResult::kError);
    if (count.ok()) remote_.OnNodes(*count);
  }
  void OnFailure(Failure /*failure*/, std::string_view /*text*/) override {
    owed_ = false;
    remote_.Count(StoreOp::kNodes, StoreResult::kError);
  }

 private:
  RedisRemote& remote_;
  bool owed_ = false;
};

RedisRemote::RedisRemote(RedisRemoteOptions options, Clock& clock, RedisEvents events)
    : options_(std::move(options)),
      clock_(clock),
      events_(std::move(events)),
      nodes_key_(options_.key_prefix + "weir:nodes"),
      nodes_call_(std::make_unique<NodesCall>(*this)) {
  for (uint32_t shard = 0; shard < kLogicalShards; ++shard) {
    shard_slots_[shard] = SlotOf(StoreKey(options_.key_prefix, Key{0, shard}));
  }
  if (options_.counters.has_value()) {
    CounterRemote::Listener& listener = *this;
    counters_ = std::make_unique<CounterRemote>(*options_.counters, clock_, listener);
  }
}

RedisRemote::~RedisRemote() = default;

void RedisRemote::SetTopologies(Topology& main, Topology* per_second) {
  main_ = &main;
  per_second_ = per_second;
  counting_.store(counters_ != nullptr, std::memory_order_release);
}

void RedisRemote::Start(event_base* base) {
  if (counters_ == nullptr) {
    nodes_timer_.reset(event_new(
        base, -1, 0,
        [](evutil_socket_t, short, void* self) {
          static_cast<RedisRemote*>(self)->AnnounceSelf();
          static_cast<RedisRemote*>(self)->ArmNodesTimer();
        },
        this));
    ArmNodesTimer();
  }
  main_->Start();
  if (per_second_ != nullptr) per_second_->Start();
}

void RedisRemote::Stop() {
  secret_known_.store(false, std::memory_order_release);
  counting_.store(false, std::memory_order_release);
  nodes_timer_.reset();
}

Topology& RedisRemote::TopologyOf(const Limit& limit) const {
  return per_second_ != nullptr && limit.window_ns == kSecondNs ? *per_second_ : *main_;
}

bool RedisRemote::Reachable(const Limit& limit, const Key& key, const Secret& secret) const {
  return secret_known_.load(std::memory_order_acquire) &&
         secret_k0_.load(std::memory_order_relaxed) == secret.k0 &&
         secret_k1_.load(std::memory_order_relaxed) == secret.k1 &&
         TopologyOf(limit).Reachable(SlotOfShard(key));
}

bool RedisRemote::CounterReachable(const Limit& limit, std::string_view counter) const {
  return counting_.load(std::memory_order_acquire) && TopologyOf(limit).Reachable(SlotOf(counter));
}

uint64_t RedisRemote::OutagesOf(const Limit& limit, const Key& key) const {
  return TopologyOf(limit).outages(SlotOfShard(key));
}

bool RedisRemote::Send(const RemoteCall& call, RemoteSink& sink) {
  if (counters_ != nullptr) return counters_->Send(call, TopologyOf(*call.limit), sink);
  Call& sent = calls_.Take(*this);
  if (sent.Send(call, sink)) return true;
  calls_.Put(sent);
  return false;
}

void RedisRemote::Flush() {
  main_->Flush();
  if (per_second_ != nullptr) per_second_->Flush();
}

void RedisRemote::NoteTimeout(const Limit& limit, const Key& key) {
  TopologyOf(limit).NoteTimeout(SlotOfShard(key));
}

void RedisRemote::NoteCounterTimeout(const Limit& limit, std::string_view counter) {
  TopologyOf(limit).NoteTimeout(SlotOf(counter));
}

uint64_t RedisRemote::redirects() const {
  return main_->redirects() + (per_second_ == nullptr ? 0 : per_second_->redirects());
}

void RedisRemote::TellConnected() {
  bool any = false;
  main_->Visit([&any](const Primary& primary) {
    const PrimaryState state = primary.state();
    any = any || TakesCalls(state);
  });
  events_.connected(any && (counters_ != nullptr || secret_known_.load(std::memory_order_relaxed)));
}

void RedisRemote::Visit(const std::function<void(const Primary&)>& visit) const {
  main_->Visit(visit);
  if (per_second_ != nullptr) per_second_->Visit(visit);
}

void RedisRemote::Observe(int64_t duration_ns) {
  std::size_t bucket = 0;
  while (bucket < kDurationBoundsNs.size() && duration_ns > kDurationBoundsNs[bucket]) ++bucket;
  stats_.duration_buckets[bucket].Add(1);
  stats_.duration_sum_ns.Add(duration_ns > 0 ? static_cast<uint64_t>(duration_ns) : 0);
}

void RedisRemote::CountCall(const RemoteCall& call, const RemoteReply* reply, int64_t now_mono_ns) {
  StoreResult result = StoreResult::kError;
  if (call.deadline_mono_ns > 0 && now_mono_ns > call.deadline_mono_ns) {
    result = StoreResult::kTimeout;
  } else if (reply != nullptr) {
    result = reply->decision.allowed ? StoreResult::kGranted : StoreResult::kDenied;
  }
  Count(StoreOpOf(call.op), result);
}

void RedisRemote::OnCounted(const RemoteCall& call, const RemoteReply* reply, int64_t duration_ns) {
  CountCall(call, reply, clock_.Now().mono_ns);
  if (reply != nullptr) Observe(duration_ns);
}

void RedisRemote::OnMeta(const Meta& meta) {
  const bool changed = !secret_known_.load(std::memory_order_relaxed) ||
                       secret_k0_.load(std::memory_order_relaxed) != meta.secret.k0 ||
                       secret_k1_.load(std::memory_order_relaxed) != meta.secret.k1;
  if (!changed) return;
  secret_k0_.store(meta.secret.k0, std::memory_order_relaxed);
  secret_k1_.store(meta.secret.k1, std::memory_order_relaxed);
  secret_known_.store(true, std::memory_order_release);
  events_.secret(meta.secret);
}

void RedisRemote::OnConnected() {
  if (counters_ == nullptr) AnnounceSelf();
  TellConnected();
}

// More often at first: nodes that start together are to hear of each other soon.
void RedisRemote::ArmNodesTimer() {
  constexpr int kEarlyBeats = 5;
  const int64_t wait_ns =
      beats_++ < kEarlyBeats ? options_.nodes_interval_ns / 5 : options_.nodes_interval_ns;
  StartTimer(nodes_timer_, wait_ns);
}

void RedisRemote::AnnounceSelf() {
  nodes_call_->Send();
  main_->Flush();
}

void RedisRemote::OnNodes(int count) {
  node_counts_[node_counts_next_] = count;
  node_counts_next_ = (node_counts_next_ + 1) % node_counts_.size();
  nodes_.store(*std::max_element(node_counts_.begin(), node_counts_.end()),
               std::memory_order_relaxed);
}

}  // namespace weir
