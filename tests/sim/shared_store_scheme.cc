#include "tests/sim/shared_store_scheme.h"

#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "limiter/store/shared_store.h"

namespace weir::sim {
namespace {

// What SharedStore asks of the store, carried by the link.
class SimRemote : public Remote {
 public:
  // A take that the store allowed, until the answer of its request is out.
  struct Allowed {
    Key key;
    uint64_t hits;
    StoreTime time;
    int64_t heard_mono_ns;
  };

  SimRemote(Host& host, Link& link, const FleetOptions& options)
      : host_(host), link_(link), options_(options) {
    link.OnNewPrimary([this] { ++history_; });
  }

  // Called after each answer was given to its sink, with whether it allowed a take.
  void OnTold(std::function<void(bool)> told) { on_told_ = std::move(told); }

  bool Reachable(const Limit&, const Key&, const Secret&) const override {
    return link_.connected() && !host_.world().Rare();
  }
  int nodes() const override { return host_.world().Rare() ? 0 : options_.nodes; }
  uint64_t OutagesOf(const Limit&, const Key&) const override { return link_.outages(); }
  uint32_t history() const override { return history_; }
  void Flush() override {}
  void NoteTimeout(const Limit&, const Key&) override {}

  bool Send(const RemoteCall& call, RemoteSink& sink) override {
    World& world = host_.world();
    if (world.Rare()) return false;
    if (world.Rare()) ++history_;  // as if another primary had been met
    if (world.Rare()) {
      sink.OnFailure();
      return true;
    }
    const int index = IndexOf(call.key);
    const KeySpec& spec = (*options_.keys)[static_cast<std::size_t>(index)];
    const ScriptCall script = {.limit = spec.limit,
                               .op = call.op,
                               .hits = call.hits,
                               .drain = call.drain,
                               .lease = call.lease};
    if (const auto decided = DecidedWithoutCall(script); decided.has_value()) {
      RemoteReply reply;
      reply.decision = *decided;
      sink.OnReply(reply);
      return true;
    }
    return link_.Send(index, spec, script, [this, call, &sink](const Link::Answer& answer) {
      Tell(call, answer, sink);
    });
  }

  // When the store allowed such a take; the oldest of several alike.
  std::optional<StoreTime> TakeAllowed(const Key& key, uint64_t hits) {
    for (auto it = allowed_.begin(); it != allowed_.end(); ++it) {
      if (!(it->key == key) || it->hits != hits) continue;
      const StoreTime time = it->time;
      allowed_.erase(it);
      return time;
    }
    return std::nullopt;
  }
  // Who asked has given up: nobody was admitted by it.
  void ForgetNewest() { allowed_.pop_back(); }

 private:
  int IndexOf(const Key& key) const {
    for (std::size_t i = 0; i < options_.keys->size(); ++i) {
      if ((*options_.keys)[i].key == key) return static_cast<int>(i);
    }
    return -1;
  }

  // Takes of requests that were denied all the same, by another key of theirs.
  void ForgetOld() {
    const int64_t now_ns = host_.clock().Now().mono_ns;
    if (host_.paused_last_ns() + 2 * options_.store_wait_ns > host_.world().now_ns()) return;
    std::erase_if(allowed_, [this, now_ns](const Allowed& allowed) {
      return allowed.heard_mono_ns + 2 * options_.store_wait_ns < now_ns;
    });
  }

  void Tell(const RemoteCall& call, const Link::Answer& answer, RemoteSink& sink) {
    bool allowed = false;
    if (!answer.reply.has_value()) {
      sink.OnFailure();
    } else {
      RemoteReply reply;
      reply.decision = answer.reply->decision;
      reply.remaining_before = answer.reply->remaining_before;
      reply.store_now_us = answer.reply->now_us;
      reply.granted = answer.reply->granted;
      reply.ttl_ns = answer.reply->ttl_ns;
      reply.window = answer.reply->window;
      allowed = call.op == Op::kTake && reply.decision.allowed;
      if (allowed) {
        ForgetOld();
        allowed_.push_back({call.key, call.hits, answer.time, host_.clock().Now().mono_ns});
      }
      sink.OnReply(reply);
    }
    on_told_(allowed);
  }

  Host& host_;
  Link& link_;
  const FleetOptions& options_;
  uint32_t history_ = 0;
  std::function<void(bool)> on_told_;
  std::deque<Allowed> allowed_;
};

class SharedStoreScheme : public Scheme {
 public:
  SharedStoreScheme(Host& host, Link& link, const FleetOptions& options, bool leased)
      : host_(host),
        options_(options),
        leased_(leased),
        remote_(host, link, options_),
        store_({.keys_max = 4096,
                .ring_bytes_max = std::size_t{1} << 20,
                .waiting_max = options.waiting_max,
                .replicas = options.nodes,
                .leases = leased,
                .lease = options.lease},
               remote_, host.clock(), [this] { WakeLoop(); }) {
    inbox_.SetWake([] {});  // delivered after each answer and turn
    remote_.OnTold([this](bool allowed) { Told(allowed); });
  }

  void Check(int key, uint64_t hits, OnNodeAnswer told) override {
    Asked& request = NewRequest();
    request.one = std::move(told);
    Add(key, hits, request);
    Send(request);
  }

  bool CheckPair(int first, int second, uint64_t hits, const OnPair& told) override {
    Asked& request = NewRequest();
    request.pair = told;
    Add(first, hits, request);
    Add(second, hits, request);
    Send(request);
    return true;
  }

  Live LiveHits(int key) const override {
    const KeySpec& spec = (*options_.keys)[static_cast<std::size_t>(key)];
    LeaseCounters* const counters = leased_ ? &counters_ : nullptr;
    const LeaseState leased = store_.LeaseStateOf(spec.limit, counters, &spec.key);
    return {leased.hits, leased.ends_mono_ns};
  }
  bool exact() const override { return !leased_; }

 private:
  // A request; lives until it is answered.
  struct Asked : public Answered {
    explicit Asked(SharedStoreScheme& owner) : scheme(owner) {}
    void OnAnswered() override {
      const auto self = scheme.asked_.extract(this);  // dies when this returns
      scheme.Answer(*this);
    }

    SharedStoreScheme& scheme;
    OnNodeAnswer one;
    OnPair pair;
    std::vector<weir::Ask> asks;
  };

  Asked& NewRequest() {
    auto asked = std::make_unique<Asked>(*this);
    Asked& request = *asked;
    asked_.emplace(&request, std::move(asked));
    return request;
  }

  void Add(int key, uint64_t hits, Asked& request) const {
    const KeySpec& spec = (*options_.keys)[static_cast<std::size_t>(key)];
    weir::Ask& ask = request.asks.emplace_back();
    ask.limit = &spec.limit;
    ask.key = spec.key;
    ask.hits = hits;
    ask.on_store_failure = options_.on_store_failure;
    if (leased_) ask.lease = &counters_;
  }

  void Send(Asked& request) {
    AcquireOptions acquire;
    acquire.now = host_.clock().Now();
    acquire.charge_denied = options_.charge_denied;
    acquire.deadline_mono_ns = acquire.now.mono_ns + options_.store_wait_ns;
    acquire.inbox = &inbox_;
    store_.Acquire(request.asks, acquire, request);
  }

  void Answer(Asked& asked) {
    bool all = true;
    for (const weir::Ask& ask : asked.asks) all &= ask.grant.decision.allowed;
    // Some modes charge nothing where the request is denied; what they did charge is lost.
    const bool charged = all || options_.charge_denied == ChargeDenied::kFirst;
    std::vector<NodeAnswer> answers;
    for (const weir::Ask& ask : asked.asks) {
      NodeAnswer answer;
      answer.allowed = ask.grant.decision.allowed && !ask.grant.failed;
      answer.source = ask.grant.source;
      if (answer.allowed && charged && answer.source == Source::kStore) {
        answer.decided = remote_.TakeAllowed(ask.key, ask.hits);
      }
      answers.push_back(answer);
    }
    if (answers.size() == 1) {
      asked.one(answers[0]);
    } else {
      asked.pair(answers[0], answers[1]);
    }
  }

  void WakeLoop() {
    if (std::exchange(woken_, true)) return;
    host_.After(0, [this] {
      woken_ = false;
      Turn();
    });
  }
  void Turn() {
    const int64_t next_mono_ns = store_.Turn();
    inbox_.Deliver();
    if (next_mono_ns == kNeverNs || next_mono_ns >= next_turn_mono_ns_) return;
    next_turn_mono_ns_ = next_mono_ns;
    host_.AtMono(next_mono_ns, [this, next_mono_ns] {
      if (next_turn_mono_ns_ == next_mono_ns) next_turn_mono_ns_ = kNeverNs;
      Turn();
    });
  }
  void Told(bool allowed) {
    const uint64_t late = store_.stats().late_replies.load(std::memory_order_relaxed);
    // Of several who waited for one answer only the first is admitted by the store.
    if (std::exchange(late_, late) != late && allowed && !leased_) remote_.ForgetNewest();
    inbox_.Deliver();
  }

  Host& host_;
  const FleetOptions options_;
  const bool leased_;
  mutable LeaseCounters counters_;
  SimRemote remote_;
  Inbox inbox_;
  mutable SharedStore store_;
  std::unordered_map<Asked*, std::unique_ptr<Asked>> asked_;
  bool woken_ = false;
  uint64_t late_ = 0;
  int64_t next_turn_mono_ns_ = kNeverNs;
};

}  // namespace

std::unique_ptr<Scheme> MakeSharedStoreScheme(Host& host, Link& link, const FleetOptions& options,
                                              bool leased) {
  return std::make_unique<SharedStoreScheme>(host, link, options, leased);
}

}  // namespace weir::sim
