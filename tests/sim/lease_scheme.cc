#include "tests/sim/lease_scheme.h"

#include <algorithm>
#include <deque>
#include <utility>

namespace weir::sim {
namespace {

constexpr int64_t kGuardNs = kMs;
constexpr int64_t kDriftMaxInverse = 1'000;
constexpr int64_t kTargetLifeNs = 200 * kMs;
constexpr int64_t kPaceNs = 50 * kMs;
constexpr int64_t kDenialMaxNs = kSecond;
constexpr uint64_t kWantMax = 65'535;
constexpr uint32_t kShare = 8;
constexpr std::size_t kWaitersMax = 1'000;

struct Slot {
  uint64_t hits = 0;
  uint64_t granted = 0;
  int64_t ends_ns = 0;  // all times of this file are the node's monotonic ones
  int64_t window = 0;   // fixed_window
};

struct Waiter {
  uint64_t id;
  uint64_t hits;
  OnNodeAnswer told;
};

struct State {
  Rng rng{0};
  Slot current;
  Slot next;
  bool in_flight = false;
  uint64_t asking = 0;  // the waiter whose hits the call in flight asks for; 0: a refresh
  uint64_t want = 1;
  uint64_t last_granted = 1;
  int64_t granted_at_ns = INT64_MIN / 2;
  int64_t denied_until_ns = 0;
  uint64_t least_denied = 0;
  int64_t quiet_until_ns = 0;
  int64_t empty_until_ns = 0;  // it was seen empty: no lease is cut to its share
  uint64_t back_hits = 0;
  int64_t back_window = 0;
  std::deque<Waiter> waiters;
};

class LeaseScheme : public Scheme {
 public:
  LeaseScheme(Host& host, Link& link, const FleetOptions& options, const LeaseVariant& variant)
      : host_(host),
        link_(link),
        options_(options),
        variant_(variant),
        minds_rtt_(host.world().rng().Chance(0.5)),
        states_(options.keys->size()) {
    link_.OnNewPrimary([this] { DropAll(); });
    // One each, so that no key hears of another one through them.
    for (State& state : states_) state.rng = Rng(host.world().rng().Next());
  }

  void Check(int key, uint64_t hits, OnNodeAnswer told) override {
    State& state = StateOf(key);
    const int64_t now_ns = Now();
    Expire(key, now_ns);
    if (hits == 0) {
      told({.allowed = state.denied_until_ns <= now_ns, .source = Source::kLease, .decided = {}});
    } else if (TakeLive(state, hits)) {
      told({.allowed = true, .source = Source::kLease, .decided = {}});
      RefreshAhead(key, now_ns);
    } else if (Remembered(state, hits, now_ns)) {
      told({.allowed = false, .source = Source::kDeniedCache, .decided = {}});
    } else if (DecidedWithoutCall(Call(key, hits, now_ns)).has_value()) {
      told({.allowed = false, .source = Source::kStore, .decided = {}});
    } else if (!link_.connected() || state.waiters.size() >= kWaitersMax) {
      told({.allowed = false, .source = Source::kPolicy, .decided = {}});
    } else {
      Wait(key, hits, now_ns, std::move(told));
    }
  }

  Live LiveHits(int key) const override {
    const State& state = states_[static_cast<std::size_t>(key)];
    const int64_t now_ns = host_.clock().Now().mono_ns;
    Live live;
    for (const Slot* slot : {&state.next, &state.current}) {
      if (slot->hits == 0 || slot->ends_ns <= now_ns) continue;
      live.hits += slot->hits;
      live.ends_mono_ns = slot->ends_ns;
    }
    return live;
  }

 private:
  int64_t Now() const { return host_.clock().Now().mono_ns; }
  State& StateOf(int key) { return states_[static_cast<std::size_t>(key)]; }
  const KeySpec& Spec(int key) const { return (*options_.keys)[static_cast<std::size_t>(key)]; }

  // No lease fits a bucket that small, and none is worth it when it is over before it is here.
  bool Leases(int key) const {
    const Limit& limit = Spec(key).limit;
    const int64_t life_ns = LeaseLifeMaxNs(limit);
    if (limit.algorithm == Algorithm::kTokenBucket &&
        life_ns + limit.emission_ns > limit.burst_ns) {
      return false;
    }
    return !minds_rtt_ || rtt_ns_ <= life_ns / 4;
  }

  // A fixed window's lease is charged to its window, whenever it is spent.
  bool PostDated(const Limit& limit) const {
    return variant_.post_dated || limit.algorithm == Algorithm::kFixedWindow;
  }

  ScriptCall Call(int key, uint64_t hits, int64_t now_ns) {
    const State& state = StateOf(key);
    ScriptCall call = {.limit = Spec(key).limit,
                       .op = Op::kTake,
                       .hits = hits,
                       .drain = options_.charge_denied == ChargeDenied::kFirst && hits > 0,
                       .lease = {}};
    if (Leases(key)) {
      call.lease.want = state.want;
      call.lease.share = now_ns < state.empty_until_ns ? 1 : kShare;
      call.lease.life_ns = PostDated(call.limit) ? LeaseLifeMaxNs(call.limit) : 0;
    }
    return call;
  }

  void Expire(int key, int64_t now_ns) {
    State& state = StateOf(key);
    for (Slot* slot : {&state.current, &state.next}) {
      if (slot->hits == 0 || slot->ends_ns > now_ns) continue;
      if (slot->hits * 2 > slot->granted) Shrink(state, slot->granted - slot->hits);
      GiveBack(key, *slot);
      slot->hits = 0;
    }
    if (state.current.hits == 0) std::swap(state.current, state.next);
  }

  // Bounded by what the store gave and by what was used: a wish beyond both would strand the whole
  // limit again and again, until it was halved often enough.
  static void Grow(State& state) {
    state.want =
        std::clamp<uint64_t>(2 * state.last_granted, 1, std::min(2 * state.want, kWantMax));
  }
  static void Shrink(State& state, uint64_t used) {
    state.want = std::max<uint64_t>(std::min(state.want / 2, used), 1);
  }

  void GiveBack(int key, const Slot& slot) {
    State& state = StateOf(key);
    const Limit& limit = Spec(key).limit;
    if (limit.algorithm == Algorithm::kFixedWindow) {
      if (slot.window != state.back_window) state.back_hits = 0;
      state.back_window = slot.window;
      state.back_hits += slot.hits;
    } else if (limit.algorithm == Algorithm::kTokenBucket && variant_.refunds) {
      const ScriptCall call = {.limit = limit, .op = Op::kRefund, .hits = slot.hits, .lease = {}};
      link_.Send(key, Spec(key), call, [](const Link::Answer&) {});
    }
  }

  static bool TakeLive(State& state, uint64_t hits) {
    if (state.current.hits + state.next.hits < hits) return false;
    const uint64_t first = std::min(state.current.hits, hits);
    state.current.hits -= first;
    state.next.hits -= hits - first;
    if (state.current.hits == 0) std::swap(state.current, state.next);
    return true;
  }

  static bool Remembered(const State& state, uint64_t hits, int64_t now_ns) {
    return now_ns < state.quiet_until_ns ||
           (now_ns < state.denied_until_ns && hits >= state.least_denied);
  }

  void Wait(int key, uint64_t hits, int64_t now_ns, OnNodeAnswer told) {
    State& state = StateOf(key);
    const uint64_t id = ++waiters_;
    state.waiters.push_back({id, hits, std::move(told)});
    host_.AtMono(now_ns + options_.store_wait_ns, [this, key, id] { GiveUp(key, id); });
    if (!state.in_flight) Send(key, &state.waiters.front(), now_ns);
  }

  void GiveUp(int key, uint64_t id) {
    State& state = StateOf(key);
    const auto found = std::find_if(state.waiters.begin(), state.waiters.end(),
                                    [id](const Waiter& waiter) { return waiter.id == id; });
    if (found == state.waiters.end()) return;
    const OnNodeAnswer told = std::move(found->told);
    state.waiters.erase(found);
    told({.allowed = false, .source = Source::kPolicy, .decided = {}});
  }

  void RefreshAhead(int key, int64_t now_ns) {
    const State& state = StateOf(key);
    if (state.in_flight || state.next.hits > 0 || now_ns < state.quiet_until_ns) return;
    const bool low = state.current.hits <= state.want / 4;
    const bool old = state.current.hits > 0 && state.current.ends_ns - now_ns <= 2 * rtt_ns_;
    if ((low || old) && Leases(key)) Send(key, nullptr, now_ns);
  }

  // The hits of the waiter and a lease beside them; without a waiter only that.
  void Send(int key, const Waiter* waiter, int64_t now_ns) {
    State& state = StateOf(key);
    const int64_t age_ns = now_ns - state.granted_at_ns;
    const int64_t target_ns = std::min(kTargetLifeNs, LeaseLifeMaxNs(Spec(key).limit) / 2);
    if (age_ns < target_ns) {
      Grow(state);
    } else if (age_ns > 3 * target_ns) {
      Shrink(state, state.want);
    }
    ScriptCall call = Call(key, waiter == nullptr ? 0 : waiter->hits, now_ns);
    const uint64_t back_hits = state.back_hits;
    if (state.back_hits > 0) {
      call.lease.back_hits = state.back_hits;
      call.lease.back_window = state.back_window;
      if (variant_.zeroed_before_back) state.back_hits = 0;
    }
    state.asking = waiter == nullptr ? 0 : waiter->id;
    state.in_flight = link_.Send(key, Spec(key), call, [this, key, call](const auto& answer) {
      Answered(key, call, answer);
    });
    if (!state.in_flight) state.back_hits = back_hits;
  }

  void Answered(int key, const ScriptCall& call, const Link::Answer& answer) {
    State& state = StateOf(key);
    state.in_flight = false;
    if (!answer.reply.has_value()) {
      FailWaiters(key);
      return;
    }
    const int64_t now_ns = Now();
    const int64_t trip_ns = now_ns - answer.sent_mono_ns;
    rtt_ns_ = std::max(trip_ns, rtt_ns_ - rtt_ns_ / 16);
    Learn(key, call, answer, now_ns);
    if (state.asking != 0 && !state.waiters.empty() && state.waiters.front().id == state.asking) {
      // It waited: its hits are its own, however late the reply is.
      const Waiter waiter = std::move(state.waiters.front());
      state.waiters.pop_front();
      waiter.told({.allowed = answer.reply->decision.allowed,
                   .source = Source::kStore,
                   .decided = answer.time});
    }
    ServeWaiters(key, now_ns);
  }

  void Learn(int key, const ScriptCall& call, const Link::Answer& answer, int64_t now_ns) {
    State& state = StateOf(key);
    const ScriptReply& reply = *answer.reply;
    const Decision& decision = reply.decision;
    const bool window = call.limit.algorithm != Algorithm::kTokenBucket;
    const int64_t pace_ns = kPaceNs / 2 + state.rng.Between(0, kPaceNs);
    const uint64_t leased = reply.granted > call.hits ? reply.granted - call.hits : 0;
    if (reply.granted > 0) {
      state.granted_at_ns = now_ns;
      state.last_granted = reply.granted;
    }
    if (leased > 0) AddLease(key, leased, answer, now_ns);
    // Exact keys are not paced: what a bucket of one hit refills between two calls would be lost.
    const bool paced = call.lease.want > 0;
    if (!decision.allowed) {
      const int64_t retry_ns = std::min(decision.retry_after_ns, kDenialMaxNs);
      state.denied_until_ns = answer.sent_mono_ns + retry_ns - retry_ns / kDriftMaxInverse;
      state.least_denied = call.hits;
      // Others of less cost may pass sooner.
      int64_t quiet_ns = std::max(decision.next_hit_after_ns, pace_ns);
      if (window) quiet_ns = std::min(quiet_ns, kDenialMaxNs);
      if (paced && decision.next_hit_after_ns > 0) state.quiet_until_ns = now_ns + quiet_ns;
      state.empty_until_ns = state.denied_until_ns + 2 * kPaceNs;
    } else if (paced && decision.remaining == 0) {
      state.quiet_until_ns = now_ns + pace_ns;
    }
  }

  void AddLease(int key, uint64_t hits, const Link::Answer& answer, int64_t now_ns) {
    State& state = StateOf(key);
    const Limit& limit = Spec(key).limit;
    int64_t ttl_ns = answer.reply->ttl_ns;
    const bool outlives = limit.algorithm == Algorithm::kFixedWindow && !variant_.dies_with_window;
    if (!PostDated(limit) || outlives) ttl_ns = LeaseLifeMaxNs(limit);
    const int64_t from_ns = variant_.expires_from_send ? answer.sent_mono_ns : now_ns;
    Slot slot = {.hits = hits,
                 .granted = hits,
                 .ends_ns = from_ns + ttl_ns - ttl_ns / kDriftMaxInverse - kGuardNs,
                 .window = answer.reply->window};
    if (slot.ends_ns <= now_ns) {
      GiveBack(key, slot);
      return;
    }
    (state.current.hits == 0 ? state.current : state.next) = slot;
  }

  // In their order, but nobody waits behind a cost that only a call can decide.
  void ServeWaiters(int key, int64_t now_ns) {
    State& state = StateOf(key);
    std::vector<std::pair<Waiter, bool>> served;
    for (auto it = state.waiters.begin(); it != state.waiters.end();) {
      const bool live = TakeLive(state, it->hits);
      if (live || Remembered(state, it->hits, now_ns)) {
        served.emplace_back(std::move(*it), live);
        it = state.waiters.erase(it);
      } else {
        ++it;
      }
    }
    if (!state.waiters.empty() && !state.in_flight) {
      Send(key, &state.waiters.front(), now_ns);
      if (!state.in_flight) FailWaiters(key);
    }
    for (const auto& [waiter, live] : served) {
      waiter.told(
          {.allowed = live, .source = live ? Source::kLease : Source::kDeniedCache, .decided = {}});
    }
  }

  void FailWaiters(int key) {
    for (const Waiter& waiter : std::exchange(StateOf(key).waiters, {})) {
      waiter.told({.allowed = false, .source = Source::kPolicy, .decided = {}});
    }
  }

  void DropAll() {
    if (!variant_.dropped_by_failover) return;
    for (State& state : states_) {
      state.current = state.next = Slot();
      state.back_hits = 0;
      state.denied_until_ns = state.quiet_until_ns = state.empty_until_ns = 0;
    }
  }

  Host& host_;
  Link& link_;
  const FleetOptions options_;
  const LeaseVariant variant_;
  const bool minds_rtt_;  // keys run exact where a trip takes a good part of a lease's life
  int64_t rtt_ns_ = kMs;
  uint64_t waiters_ = 0;
  std::vector<State> states_;
};

}  // namespace

std::unique_ptr<Scheme> MakeLeaseScheme(Host& host, Link& link, const FleetOptions& options,
                                        const LeaseVariant& variant) {
  return std::make_unique<LeaseScheme>(host, link, options, variant);
}

}  // namespace weir::sim
