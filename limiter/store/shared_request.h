#pragma once

// A request of a SharedStore on its way. Private to shared_store.cc.
//
// Thread safety: Park and MarkAnswered before it is parked, the rest on the loop's thread.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "algorithms/saturate.h"
#include "limiter/store/shared_store.h"

namespace weir {

// One request on its way: parked, then owed replies. It outlives its answer until the last reply
// came, because the remote holds its sinks.
class SharedStore::Request {
 public:
  explicit Request(SharedStore& store) : store_(store) {}

  // Caller's thread.
  void Park(std::span<Ask> asks, const AcquireOptions& options, Answered& answered, bool together,
            uint32_t history) {
    asks_ = asks;
    options_ = options;
    history_ = history;
    answered_ = &answered;
    phase_ = together ? Phase::kLook : Phase::kCharge;
    leases_ = !together;
    slots_.clear();
    slots_.reserve(asks.size());
    for (std::size_t i = 0; i < asks.size(); ++i) slots_.emplace_back(*this, i);
  }
  // The ask needs no call.
  void MarkAnswered(std::size_t index) { slots_[index].state = Slot::State::kAnswered; }

  // The rest on the loop's thread.
  int64_t deadline_mono_ns() const { return options_.deadline_mono_ns; }
  uint64_t generation() const { return generation_; }

  void Begin(const Instant& now) {
    if (options_.deadline_mono_ns <= now.mono_ns) {
      End(now);
    } else {
      SendAll(now);
    }
  }

  // The deadline: whoever has no answer gets the policy's.
  void End(const Instant& now) {
    if (answered_ == nullptr) return;
    bool noted = false;  // one request is one timeout, however many keys it has
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].state == Slot::State::kAnswered) continue;
      if (slots_[i].state == Slot::State::kSent && Overdue(i, now) && !std::exchange(noted, true)) {
        store_.NoteTimeout(asks_[i]);
      }
      AnswerByPolicy(i, now);
    }
    if (!leases_) store_.UnspendIfDenied(asks_, options_.verdict, history_);
    store_.stats_.wait_timeouts.fetch_add(1, std::memory_order_relaxed);
    TellAnswered();
  }

 private:
  static constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();

  enum class Phase : uint8_t {
    kLook,    // charge modes that decide over all keys first: what would pass
    kCharge,  // takes, and everything that always passes
  };

  // One ask of the request, as the remote knows it.
  class Slot : public RemoteSink, public LeaseWaiter {
   public:
    enum class State : uint8_t { kOpen, kSent, kLooked, kAnswered };

    Slot(Request& request, std::size_t index) : request_(&request), index_(index) {}
    void OnReply(const RemoteReply& reply) override { request_->Replied(index_, &reply); }
    void OnFailure() override { request_->Replied(index_, nullptr); }
    Ask* waiting() override { return request_->Waiting(index_); }
    void OnServed(bool served) override { request_->Served(index_, served); }
    void OnAlone() override { request_->Alone(index_); }

    State state = State::kOpen;
    // The look denied it, which its charge only makes dearer: when the charge passes or fails after
    // all, the denial stands, because the request's other keys were charged or spared by it.
    bool denied = false;
    bool in_flight = false;  // it waits, or waited, for the key's call

   private:
    Request* request_;
    std::size_t index_;
  };

  void SendAll(const Instant& now) {
    sent_mono_ns_ = now.mono_ns;
    // A remote may fail a call before Send returns: the request must not end below this loop.
    ++owed_;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].state == Slot::State::kOpen) Send(i, now);
    }
    --owed_;
    Settle(now);
  }

  // `alone`: not together with others who want hits of the key.
  void Send(std::size_t index, const Instant& now, bool alone = false) {
    Ask& ask = asks_[index];
    RemoteCall call;
    call.limit = ask.limit;
    call.key = ask.key;
    call.counter = ask.counter;
    call.op = phase_ == Phase::kLook && ask.op == Op::kTake ? Op::kPeek : ask.op;
    call.hits = ask.hits;
    call.with_record = ask.record != nullptr;
    call.deadline_mono_ns = options_.deadline_mono_ns;
    call.drain = options_.charge_denied == ChargeDenied::kFirst ||
                 (options_.charge_denied == ChargeDenied::kOverOnly &&
                  (slots_.size() == 1 || slots_[index].denied));
    slots_[index].state = Slot::State::kSent;
    ++owed_;
    const bool joins = !alone && leases_ && store_.Leases(ask) &&
                       store_.flights_.PlanOf(*ask.limit).life_ns > 0 &&
                       store_.flights_.WorthJoining(ask.key, call.deadline_mono_ns);
    if (joins) {
      slots_[index].in_flight = true;
      if (store_.flights_.Join(slots_[index], call.drain, call.deadline_mono_ns)) return;
    } else if (store_.remote_.Send(call, slots_[index])) {
      return;
    }
    --owed_;
    AnswerByPolicy(index, now);
  }

  void AnswerByPolicy(std::size_t index, const Instant& now) {
    if (!slots_[index].denied) store_.AnswerByPolicy(asks_[index], now);
    slots_[index].state = Slot::State::kAnswered;
  }

  // Whether the store is to blame: who waited for a lease may have waited for others' calls most of
  // the time.
  bool Overdue(std::size_t index, const Instant& now) const {
    if (!slots_[index].in_flight) return true;
    const int64_t since_ns = store_.flights_.CallSince(asks_[index].key);
    return since_ns != kNeverNs &&
           now.mono_ns - since_ns >= (options_.deadline_mono_ns - options_.now.mono_ns) / 2;
  }

  // The ask, while it waits for a lease.
  Ask* Waiting(std::size_t index) {
    const bool waits = answered_ != nullptr && slots_[index].state == Slot::State::kSent;
    return waits ? &asks_[index] : nullptr;
  }

  // The call that it waited for brought nothing for it, and the next would not either.
  void Alone(std::size_t index) {
    --owed_;
    const Instant now = store_.clock_.Now();
    Send(index, now, true);
    Settle(now);
  }

  void Served(std::size_t index, bool served) {
    --owed_;
    if (answered_ == nullptr) {
      store_.stats_.late_replies.fetch_add(1, std::memory_order_relaxed);
      if (owed_ == 0) store_.Free(*this);
      return;
    }
    const Instant now = store_.clock_.Now();
    if (!served) AnswerByPolicy(index, now);
    slots_[index].state = Slot::State::kAnswered;
    Settle(now);
  }

  void Replied(std::size_t index, const RemoteReply* reply) {
    --owed_;
    if (answered_ == nullptr) {
      store_.stats_.late_replies.fetch_add(1, std::memory_order_relaxed);
    } else {
      const Instant now = store_.clock_.Now();
      if (reply == nullptr) {
        AnswerByPolicy(index, now);
      } else {
        Ask& ask = asks_[index];
        // Who waited for another's call before was sent later than that.
        if (store_.leases_ && !slots_[index].in_flight) {
          store_.flights_.Observe(now.mono_ns - sent_mono_ns_);
        }
        if (ask.record != nullptr) ask.record->assign(reply->record);
        const bool looked = phase_ == Phase::kLook && ask.op == Op::kTake;
        if (!slots_[index].denied) {
          store_.Learn(ask, *reply, sent_mono_ns_, now, looked);
          // Another call for the key may have brought hits meanwhile.
          const bool denied = leases_ && !ask.grant.decision.allowed && store_.Leases(ask);
          if (denied) store_.Spend(ask, now, nullptr);
        } else if (!reply->decision.allowed) {
          const uint64_t remaining_before = ask.grant.remaining_before;  // as it was looked at
          store_.Learn(ask, *reply, sent_mono_ns_, now, looked);
          ask.grant.remaining_before = remaining_before;
        }
        slots_[index].state = looked ? Slot::State::kLooked : Slot::State::kAnswered;
      }
      Settle(now);
      return;
    }
    if (owed_ == 0) store_.Free(*this);
  }

  // Goes on when no reply of this phase is missing.
  void Settle(const Instant& now) {
    if (owed_ > 0) return;
    if (phase_ == Phase::kLook && Look(now)) return;
    TellAnswered();
  }

  // The hits that earlier asks of the request charge to the key of ask `index`, when it passes.
  uint64_t HitsBefore(std::size_t index) const {
    uint64_t hits = 0;
    for (std::size_t i = 0; i < index; ++i) {
      const bool charges =
          slots_[i].state == Slot::State::kLooked &&
          (asks_[i].grant.decision.allowed || options_.charge_denied == ChargeDenied::kOverOnly);
      if (charges && asks_[i].key == asks_[index].key) hits = AddCapped(hits, asks_[i].hits, kMax);
    }
    return hits;
  }

  // A key that stands in the request twice was looked at as if each were alone: denies what passes
  // alone but not together.
  void JudgeWithEarlier(std::size_t index) {
    const uint64_t before = HitsBefore(index);
    if (before == 0) return;
    const Ask& ask = asks_[index];
    Grant& grant = asks_[index].grant;
    // A check of zero asks for one hit, but on a fixed window only whether the key is over.
    const bool one = ask.hits == 0 && ask.limit->algorithm != Algorithm::kFixedWindow;
    const uint64_t hits = AddCapped(before, one ? 1 : ask.hits, kMax);
    if (grant.decision.allowed && hits > grant.decision.remaining) {
      grant.decision.allowed = false;
      // At the latest: the peek was asked about less.
      grant.decision.retry_after_ns = hits > ask.limit->capacity
                                          ? kNeverNs
                                          : std::max<int64_t>(grant.decision.reset_after_ns, 1);
    }
    grant.remaining_before -= std::min(before, grant.remaining_before);
  }

  // All keys were looked at. Returns whether a second trip is under way.
  bool Look(const Instant& now) {
    Verdict verdict = options_.verdict;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].state == Slot::State::kLooked) JudgeWithEarlier(i);
      verdict.Add(asks_[i].weight, asks_[i].grant.decision.allowed);
    }
    store_.UnspendIfDenied(asks_, options_.verdict, history_);
    phase_ = Phase::kCharge;
    bool any = false;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].state != Slot::State::kLooked) continue;
      slots_[i].denied = !asks_[i].grant.decision.allowed;
      // Over-only drains the keys that deny, also those that only record it.
      const bool charges =
          slots_[i].denied ? asks_[i].hits > 0 && options_.charge_denied == ChargeDenied::kOverOnly
                           : verdict.allowed();
      slots_[i].state = charges ? Slot::State::kOpen : Slot::State::kAnswered;
      any |= charges;
    }
    if (!any) return false;
    SendAll(now);
    store_.remote_.Flush();
    return true;
  }

  void TellAnswered() {
    if (answered_ == nullptr) return;
    DropEndedLeases();
    store_.stats_.waiting.fetch_sub(1, std::memory_order_relaxed);
    Answered& answered = *std::exchange(answered_, nullptr);
    Inbox& inbox = *options_.inbox;
    ++generation_;
    asks_ = {};
    if (owed_ == 0) store_.Free(*this);
    inbox.Put(answered);
  }

  // What an ask spent while others of the request waited may be of no use any more: another primary
  // was met meanwhile, or the process was stopped for longer than the hits live.
  void DropEndedLeases() {
    for (std::size_t i = 0; i < asks_.size(); ++i) {
      Ask& ask = asks_[i];
      if (ask.grant.lease_ends_mono_ns == 0) continue;
      const Instant now = store_.clock_.Now();
      const int64_t window_ns = ask.limit->window_ns;
      const bool edge = ask.limit->algorithm == Algorithm::kFixedWindow &&
                        options_.now.wall_ns / window_ns != now.wall_ns / window_ns;
      const bool ended = ask.grant.lease_ends_mono_ns <= now.mono_ns;
      // What came with a later call was spent just now.
      const bool old = !slots_[i].in_flight && (edge || history_ != store_.remote_.history());
      if (ended || old) store_.AnswerByPolicy(ask, now);
    }
  }

  SharedStore& store_;
  std::span<Ask> asks_;
  AcquireOptions options_;
  Answered* answered_ = nullptr;  // nullptr: told
  absl::InlinedVector<Slot, 4> slots_;
  std::size_t owed_ = 0;  // replies on their way
  int64_t sent_mono_ns_ = 0;
  uint64_t generation_ = 0;
  uint32_t history_ = 0;
  Phase phase_ = Phase::kCharge;
  bool leases_ = true;  // each ask stands for itself
};

}  // namespace weir
