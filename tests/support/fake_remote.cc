#include "tests/support/fake_remote.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace weir::test {
namespace {

std::pair<uint64_t, uint64_t> NumbersOf(const Key& key) { return {key.hi, key.lo}; }

}  // namespace

Decision FakeStore::Do(Step step, const Limit& limit, State& state, uint64_t hits) const {
  const auto choose = [step](auto take, auto peek, auto report, auto refund, auto drain) {
    switch (step) {
      case Step::kTake:
        return take();
      case Step::kReport:
        return report();
      case Step::kRefund:
        return refund();
      case Step::kDrain:
        return drain();
      case Step::kPeek:
        break;
    }
    return peek();
  };
  if (limit.algorithm == Algorithm::kFixedWindow) {
    using namespace fixed_window;  // NOLINT: five functions of one name in three namespaces
    auto& s = state.fixed_window;
    return choose([&] { return Take(limit, s, now_ns_, hits); },
                  [&] { return fixed_window::Peek(limit, s, now_ns_, hits); },
                  [&] { return Report(limit, s, now_ns_, hits); },
                  [&] { return Refund(limit, s, now_ns_, hits); },
                  [&] { return Drain(limit, s, now_ns_, hits); });
  }
  if (limit.algorithm == Algorithm::kTokenBucket) {
    using namespace token_bucket;  // NOLINT
    auto& s = state.token_bucket;
    return choose([&] { return Take(limit, s, now_ns_, hits); },
                  [&] { return token_bucket::Peek(limit, s, now_ns_, hits); },
                  [&] { return Report(limit, s, now_ns_, hits); },
                  [&] { return Refund(limit, s, now_ns_, hits); },
                  [&] { return Drain(limit, s, now_ns_, hits); });
  }
  using namespace sliding_window;  // NOLINT
  const Ring s(state.ring.data(), RingWords(limit.precision));
  return choose([&] { return Take(limit, s, now_ns_, hits); },
                [&] { return sliding_window::Peek(limit, s, now_ns_, hits); },
                [&] { return Report(limit, s, now_ns_, hits); },
                [&] { return Refund(limit, s, now_ns_, hits); },
                [&] { return Drain(limit, s, now_ns_, hits); });
}

// As fixed_window.lua: more than the call's own hits, if the share of what is left allows it.
RemoteReply FakeStore::Lease(const RemoteCall& call, State& state) {
  const Limit& limit = *call.limit;
  RemoteReply reply;
  reply.store_now_us = now_ns_ / 1000;
  reply.window = now_ns_ / limit.window_ns;
  reply.remaining_before = Do(Step::kPeek, limit, state, call.hits).remaining;
  const uint64_t share = (reply.remaining_before + call.lease.share - 1) / call.lease.share;
  const uint64_t most =
      std::min({call.lease.want, std::max(call.hits, share), reply.remaining_before});
  reply.granted = std::max(call.hits, most);
  reply.decision = Do(Step::kTake, limit, state, reply.granted);
  if (!reply.decision.allowed) {
    reply.granted = 0;
    return reply;
  }
  taken_[NumbersOf(call.key)] += reply.granted;
  const int64_t end_ns = (reply.window + 1) * limit.window_ns;
  if (reply.granted > call.hits) reply.ttl_ns = std::min(end_ns - now_ns_, call.lease.life_ns);
  return reply;
}

RemoteReply FakeStore::Apply(const RemoteCall& call) {
  const Limit& limit = *call.limit;
  State& state = states_[NumbersOf(call.key)];
  if (call.lease.back_hits > 0 && call.lease.back_window == now_ns_ / limit.window_ns) {
    Do(Step::kRefund, limit, state, call.lease.back_hits);
  }
  if (call.op == Op::kTake && call.lease.want > 0 && limit.algorithm == Algorithm::kFixedWindow) {
    return Lease(call, state);
  }
  RemoteReply reply;
  reply.store_now_us = now_ns_ / 1000;
  reply.remaining_before = Do(Step::kPeek, limit, state, call.hits).remaining;
  switch (call.op) {
    case Op::kTake:
      reply.decision = Do(Step::kTake, limit, state, call.hits);
      if (reply.decision.allowed) {
        taken_[NumbersOf(call.key)] += call.hits;
      } else if (call.drain && call.hits > 0) {
        const bool clock_fault = reply.decision.clock_fault;
        reply.decision = Do(Step::kDrain, limit, state, call.hits);
        reply.decision.clock_fault |= clock_fault;
      }
      break;
    case Op::kPeek:
      reply.decision = Do(Step::kPeek, limit, state, call.hits);
      break;
    case Op::kReport:
      reply.decision = Do(Step::kReport, limit, state, call.hits);
      break;
    case Op::kRefund:
      reply.decision = Do(Step::kRefund, limit, state, call.hits);
      reply.remaining_before = reply.decision.remaining;
      break;
    case Op::kReset:
      state = State();
      reply.decision = Do(Step::kPeek, limit, state, call.hits);
      break;
  }
  return reply;
}

Decision FakeStore::Peek(const Limit& limit, const Key& key, uint64_t hits) const {
  const auto it = states_.find(NumbersOf(key));
  State state = it == states_.end() ? State() : it->second;
  return Do(Step::kPeek, limit, state, hits);
}

uint64_t FakeStore::taken(const Key& key) const {
  const auto it = taken_.find(NumbersOf(key));
  return it == taken_.end() ? 0 : it->second;
}

bool FakeRemote::Reachable(const Limit& /*limit*/, const Key& /*key*/, const Secret& secret) const {
  return reachable_.load(std::memory_order_relaxed) && secret == secret_;
}

bool FakeRemote::CounterReachable(const Limit& /*limit*/, std::string_view /*counter*/) const {
  return reachable_.load(std::memory_order_relaxed);
}

bool FakeRemote::Send(const RemoteCall& call, RemoteSink& sink) {
  const Sending sending = on_send ? on_send(call) : Sending::kSent;
  if (sending == Sending::kRefused) return false;
  ++calls_;
  ++calls_by_key_[NumbersOf(call.key)];
  if (sending == Sending::kFailed) {
    sink.OnFailure();
    return true;
  }
  InFlight& flying = in_flight_.emplace_back();
  flying.call = call;
  flying.call.limit = nullptr;
  flying.limit = *call.limit;
  flying.counter = call.counter.key;
  flying.call.counter.key = {};
  flying.sink = &sink;
  unflushed_ = true;
  return true;
}

void FakeRemote::Flush() {
  if (std::exchange(unflushed_, false)) ++trips_;
}

void FakeRemote::NoteTimeout(const Limit& /*limit*/, const Key& key) { timeouts_.push_back(key); }

void FakeRemote::NoteCounterTimeout(const Limit& /*limit*/, std::string_view counter) {
  counter_timeouts_.emplace_back(counter);
}

void FakeRemote::Execute(InFlight& flying) {
  if (std::exchange(flying.executed, true)) return;
  RemoteCall call = flying.call;
  call.limit = &flying.limit;
  flying.reply = store_.Apply(call);
}

void FakeRemote::Execute() {
  for (InFlight& flying : in_flight_) Execute(flying);
}

FakeRemote::InFlight FakeRemote::Take(std::size_t index) {
  InFlight flying = in_flight_[index];
  in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(index));
  return flying;
}

std::size_t FakeRemote::Deliver() {
  const std::size_t count = in_flight_.size();
  for (std::size_t i = 0; i < count; ++i) DeliverOne(0);
  return count;
}

void FakeRemote::DeliverOne(std::size_t index) {
  InFlight flying = Take(index);  // before the sink, which may send
  Execute(flying);
  flying.sink->OnReply(flying.reply);
}

void FakeRemote::FailOne(std::size_t index) { Take(index).sink->OnFailure(); }

void FakeRemote::FailAll() {
  const std::size_t count = in_flight_.size();
  for (std::size_t i = 0; i < count; ++i) FailOne(0);
}

void FakeRemote::Lose() {
  set_reachable(false);
  outages_.fetch_add(1, std::memory_order_relaxed);
  FailAll();
}

uint64_t FakeRemote::calls(const Key& key) const {
  const auto it = calls_by_key_.find(NumbersOf(key));
  return it == calls_by_key_.end() ? 0 : it->second;
}

}  // namespace weir::test
