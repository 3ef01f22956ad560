#include "limiter/store/flights.h"

#include <algorithm>
#include <utility>

#include "algorithms/saturate.h"
#include "limiter/store/deny_cache.h"

namespace weir {
namespace {

// How fast a long round trip is forgotten: by one part in this many per answer.
constexpr int64_t kRttForget = 64;
// A lease must live this many times as long as a call takes.
constexpr int64_t kLifePerRtt = 4;

}  // namespace

// One call and those who wait for it; the first of them, if any, is whom it charges.
class Flights::Flight final : public RemoteSink {
 public:
  explicit Flight(Flights& flights) : flights_(flights) {}

  void OnReply(const RemoteReply& reply) override { Land(&reply); }
  void OnFailure() override { Land(nullptr); }

  Key key;
  Limit limit;
  LeasePlan plan;
  LeaseCounters* counters = nullptr;
  std::vector<Wait> waits;
  bool owned = false;  // it charges for the first of them
  uint64_t own = 0;    // hits
  uint32_t history = 0;
  int64_t sent_mono_ns = 0;

 private:
  void Land(const RemoteReply* reply) {
    flights_.under_way_.erase(key);
    std::vector<Wait> all = std::exchange(waits, {});
    const Instant now = flights_.clock_.Now();
    if (reply != nullptr) flights_.Observe(now.mono_ns - sent_mono_ns);
    Ask* const first = owned ? all.front().waiter->waiting() : nullptr;
    const bool held = Note(reply, first, now);
    std::vector<Wait> left;
    for (std::size_t i = 0; i < all.size(); ++i) {
      Ask* const ask = all[i].waiter->waiting();
      const bool served =
          (owned && i == 0) || reply == nullptr || ask == nullptr || flights_.ServeHere(*ask);
      if (served) {
        all[i].waiter->OnServed(reply != nullptr);
      } else {
        left.push_back(all[i]);
      }
    }
    if (!left.empty() && (!held || flights_.PlanOf(limit).life_ns == 0)) {
      // Nothing can be leased for them now: each is charged for itself, all in one trip.
      for (const Wait& wait : left) wait.waiter->OnAlone();
      flights_.remote_.Flush();
      flights_.flights_.Put(*this);
      return;
    }
    waits = std::move(left);
    if (!waits.empty() && flights_.Launch(*this)) {
      flights_.remote_.Flush();
      return;
    }
    for (const Wait& wait : std::exchange(waits, {})) wait.waiter->OnServed(false);
    flights_.flights_.Put(*this);
  }

  // Writes what the answer says of the key into its cell, and the grant of who asked for it. False:
  // the table has no room for the key.
  bool Note(const RemoteReply* reply, Ask* first, const Instant& now) {
    CellTable::Shard& shard = flights_.cells_.ShardOf(key);
    ShardLock lock(shard);
    Cell* cell = shard.Find(key);
    if (cell == nullptr && reply != nullptr) {
      cell = shard.Insert(key, limit, now, Holds::kShared);
    }
    if (cell == nullptr) {
      if (reply != nullptr && first != nullptr) Grant(*reply, 0, *first, now);
      return false;
    }
    Lease& lease = LeaseOf(shard, *cell);
    lease.quiet_until_mono_ns = lease.hungry_until_mono_ns;
    if (reply == nullptr) return true;
    const LeaseView view{limit, now.mono_ns, history, now.wall_ns, counters};
    // Granted by a store that may have forgotten it since: only who waited is served.
    if (history == flights_.remote_.history()) {
      NoteGranted(view, *reply, own, sent_mono_ns, lease);
    }
    if (first != nullptr) Grant(*reply, LiveHits(view, lease), *first, now);
    NoteEmpty(*reply, first, now, *cell, lease);
    lease.quiet_until_mono_ns = lease.hungry_until_mono_ns;
    KeepCell(lease, *cell);
    return true;
  }

  void Grant(const RemoteReply& reply, uint64_t live, Ask& ask, const Instant& now) {
    ask.grant = {};
    ask.grant.decision = reply.decision;
    ask.grant.decision.remaining =
        std::min<uint64_t>(reply.decision.remaining + live, limit.capacity);
    ask.grant.remaining_before = reply.remaining_before;
    ask.grant.source = Source::kStore;
    if (reply.decision.allowed) flights_.policy_.NoteAdmitted(ask, now);
  }

  // The store said no, or has nothing left: it is not asked again for a while.
  void NoteEmpty(const RemoteReply& reply, const Ask* first, const Instant& now, Cell& cell,
                 Lease& lease) {
    // A key that runs exact is charged for each request alone: nothing is to be gained by waiting.
    const bool leases = plan.life_ns > 0;
    const int64_t pace_ns = leases ? flights_.Pace(key, now.mono_ns) : 0;
    if (first != nullptr && !reply.decision.allowed) {
      if (!WorthNoting(*first)) return;
      weir::Ask denied = *first;
      Decision& decision = denied.grant.decision;
      if (decision.retry_after_ns < pace_ns) decision.retry_after_ns = pace_ns;
      NoteDenied(denied, sent_mono_ns, cell);
      if (decision.remaining > 0) return;  // only this cost found too little
    } else if (leases && reply.decision.remaining == 0 && limit.capacity > 0 &&
               limit.algorithm != Algorithm::kFixedWindow) {
      // A fixed window stays empty: there the one call that is denied, and drains it, is the last.
      weir::Ask denied;
      denied.limit = &limit;
      denied.hits = 1;
      denied.grant.decision = reply.decision;
      Decision& decision = denied.grant.decision;
      decision.retry_after_ns = decision.next_hit_after_ns;
      if (decision.retry_after_ns < pace_ns) decision.retry_after_ns = pace_ns;
      NoteDenied(denied, sent_mono_ns, cell);
    } else if (leases && reply.granted == 0) {
      // Hits there are, but none for a lease.
      lease.hungry_until_mono_ns = now.mono_ns + pace_ns;
      return;
    } else {
      return;
    }
    lease.hungry_until_mono_ns = cell.shared.denied_until_ns + 2 * flights_.options_.pace_ns;
  }

  Flights& flights_;
};

Flights::Flights(const LeaseOptions& options, Remote& remote, Clock& clock, CellTable& cells,
                 FailurePolicy& policy)
    : options_(options), remote_(remote), clock_(clock), cells_(cells), policy_(policy) {}

Flights::~Flights() = default;

LeasePlan Flights::PlanOf(const Limit& limit) const {
  LeasePlan plan = LeasePlanOf(limit, options_);
  if (plan.life_ns > 0 && plan.life_ns / kLifePerRtt < rtt_ns()) {
    plan.life_ns = 0;
    plan.exact_because = "calls to the store take longer than a quarter of a lease's life";
  }
  return plan;
}

int64_t Flights::Pace(const Key& key, int64_t now_mono_ns) const {
  const uint64_t mixed = (key.hi ^ static_cast<uint64_t>(now_mono_ns)) * 0x9e3779b97f4a7c15;
  const auto spread = static_cast<int64_t>((mixed >> 32) % static_cast<uint64_t>(options_.pace_ns));
  return options_.pace_ns / 2 + spread;
}

void Flights::Observe(int64_t rtt_ns) {
  const int64_t before_ns = rtt_ns_.load(std::memory_order_relaxed);
  rtt_ns_.store(std::max(rtt_ns, before_ns - before_ns / kRttForget), std::memory_order_relaxed);
}

int64_t Flights::CallSince(const Key& key) const {
  const auto found = under_way_.find(key);
  return found == under_way_.end() ? kNeverNs : found->second->sent_mono_ns;
}

bool Flights::WorthJoining(const Key& key, int64_t deadline_mono_ns) const {
  const int64_t since_ns = CallSince(key);
  return since_ns == kNeverNs || since_ns + 2 * rtt_ns() <= deadline_mono_ns;
}

bool Flights::Join(LeaseWaiter& waiter, bool drain, int64_t deadline_mono_ns) {
  const Ask& ask = *waiter.waiting();
  const auto found = under_way_.find(ask.key);
  if (found != under_way_.end()) {
    found->second->waits.push_back({&waiter, drain, deadline_mono_ns});
    return true;
  }
  Flight& flight = flights_.Take(*this);
  flight.key = ask.key;
  flight.limit = *ask.limit;
  flight.counters = ask.lease;
  flight.waits.assign({{&waiter, drain, deadline_mono_ns}});
  if (Launch(flight)) return true;
  flight.waits.clear();
  flights_.Put(flight);
  return false;
}

void Flights::Refresh(const LeaseRefresh& refresh) {
  if (under_way_.contains(refresh.key)) return;
  Flight& flight = flights_.Take(*this);
  flight.key = refresh.key;
  flight.limit = refresh.limit;
  flight.counters = refresh.counters;
  if (!Launch(flight)) flights_.Put(flight);
}

bool Flights::Launch(Flight& flight) {
  RemoteCall call;
  uint64_t waiting = 0;
  for (const Wait& wait : flight.waits) {
    const Ask* const ask = wait.waiter->waiting();
    if (ask != nullptr) waiting = AddCapped(waiting, ask->hits, uint64_t{kLeaseWantMax});
  }
  if (!flight.waits.empty()) {
    const Wait& first = flight.waits.front();
    const Ask* const ask = first.waiter->waiting();
    call.hits = ask == nullptr ? 0 : ask->hits;
    call.drain = first.drain;
    call.deadline_mono_ns = first.deadline_mono_ns;
    // The limit may have changed since the key's last call.
    if (ask != nullptr) {
      flight.limit = *ask->limit;
      flight.counters = ask->lease;
    }
  }
  flight.owned = !flight.waits.empty();
  flight.own = call.hits;
  flight.plan = PlanOf(flight.limit);
  flight.history = remote_.history();
  flight.sent_mono_ns = clock_.Now().mono_ns;
  call.limit = &flight.limit;
  call.key = flight.key;
  call.lease.want = waiting;
  call.lease.life_ns = flight.plan.life_ns;
  {
    CellTable::Shard& shard = cells_.ShardOf(flight.key);
    ShardLock lock(shard);
    Cell* const cell = shard.Find(flight.key);
    if (cell != nullptr) {
      const LeaseView view{flight.limit, flight.sent_mono_ns, flight.history, 0, flight.counters};
      Lease& lease = LeaseOf(shard, *cell);
      if (call.hits > LiveHits(view, lease)) PutBack(view, lease);
      LeaseOptions options = options_;
      if (remote_.nodes() == 1) options.share = 1;  // nobody else asks for what is left
      call.lease = AskForLease(view, flight.plan, waiting, options, lease);
    }
  }
  // The plan may have ended since somebody joined: then each is charged for itself alone.
  if (flight.plan.life_ns == 0) call.lease.want = 0;
  under_way_.emplace(flight.key, &flight);
  if (remote_.Send(call, flight)) return true;
  under_way_.erase(flight.key);
  if (call.lease.back_hits > 0) {
    CellTable::Shard& shard = cells_.ShardOf(flight.key);
    ShardLock lock(shard);
    if (Cell* const cell = shard.Find(flight.key)) NotReturned(call.lease, LeaseOf(shard, *cell));
  }
  return false;
}

bool Flights::ServeHere(Ask& ask) {
  CellTable::Shard& shard = cells_.ShardOf(ask.key);
  ShardLock lock(shard);
  Cell* const cell = shard.Find(ask.key);
  if (cell == nullptr) return false;
  const Instant now = clock_.Now();
  const LeaseView view{*ask.limit, now.mono_ns, remote_.history(), now.wall_ns, ask.lease};
  return SpendLease(view, ask, LeaseOf(shard, *cell)) || AnswerDenied(*cell, now, ask);
}

void Flights::GiveBackAll() {
  class Nobody final : public RemoteSink {
   public:
    void OnReply(const RemoteReply& /*reply*/) override {}
    void OnFailure() override {}
  };
  static Nobody nobody;
  for (std::size_t s = 0; s < CellTable::kShards; ++s) {
    CellTable::Shard& shard = cells_.shard(s);
    ShardLock lock(shard);
    for (uint32_t i = 0; i < shard.used(); ++i) {
      Cell& cell = shard.at(i);
      if (cell.algorithm != Algorithm::kFixedWindow || shard.Find(cell.key) != &cell) continue;
      Lease& lease = LeaseOf(shard, cell);
      const bool same = lease.history == static_cast<uint16_t>(remote_.history());
      if (!same || lease.window_ns == 0) continue;
      RemoteCall call;
      call.lease = AskToGiveBack(lease);
      if (call.lease.back_hits == 0) continue;
      Limit limit;
      if (!MakeLimit({.hits = lease.limit_hits, .window_ns = lease.window_ns}, &limit).empty()) {
        continue;
      }
      call.limit = &limit;
      call.key = cell.key;
      call.op = Op::kPeek;
      if (!remote_.Send(call, nobody)) NotReturned(call.lease, lease);
    }
  }
  remote_.Flush();
}

}  // namespace weir
