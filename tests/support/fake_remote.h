#pragma once

// A shared store in memory, whose network a test moves by hand: a call that was sent takes effect
// when the test executes it, at the store's own clock, and its reply arrives when the test delivers
// it, in any order. A sink is told once of each call, as remote.h asks for.
//
// Thread safety: as Remote says; everything else belongs to the loop's thread, but for the setters
// of what Remote answers to any thread.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "algorithms/fixed_window.h"
#include "algorithms/sliding_window.h"
#include "algorithms/token_bucket.h"
#include "limiter/store/remote.h"

namespace weir::test {

// The states of all keys under the algorithms themselves. One clock for all of them, set by the
// owner: that of the store, which no node's clock follows.
class FakeStore {
 public:
  explicit FakeStore(int64_t now_ns) : now_ns_(now_ns) {}

  int64_t now_ns() const { return now_ns_; }
  void Advance(int64_t ns) { now_ns_ += ns; }

  // Leases fixed windows; other limits are charged for the call's own hits alone.
  RemoteReply Apply(const RemoteCall& call);
  // What a take would be answered now; charges nothing.
  Decision Peek(const Limit& limit, const Key& key, uint64_t hits) const;
  // Hits of all takes of the key that were allowed so far.
  uint64_t taken(const Key& key) const;

 private:
  struct State {
    token_bucket::State token_bucket;
    fixed_window::State fixed_window;
    std::array<uint64_t, sliding_window::kRingWordsMax> ring{};
  };
  enum class Step : uint8_t { kTake, kPeek, kReport, kRefund, kDrain };
  RemoteReply Lease(const RemoteCall& call, State& state);
  Decision Do(Step step, const Limit& limit, State& state, uint64_t hits) const;

  using KeyNumbers = std::pair<uint64_t, uint64_t>;
  int64_t now_ns_;
  std::map<KeyNumbers, State> states_;
  std::map<KeyNumbers, uint64_t> taken_;
};

class FakeRemote : public Remote {
 public:
  enum class Sending : uint8_t {
    kSent,     // on its way
    kRefused,  // Send answers false
    kFailed,   // the sink is told of the failure before Send returns
  };
  struct InFlight {
    RemoteCall call;  // its limit and its counter's key are not valid any more:
    Limit limit;      //   they are here
    std::string counter;
    RemoteSink* sink = nullptr;
    bool executed = false;
    RemoteReply reply;  // once executed
  };

  // The store's clock starts at `store_now_ns`.
  explicit FakeRemote(int64_t store_now_ns) : store_(store_now_ns) {}

  // Decides what becomes of each call; every call is sent while it is not set.
  std::function<Sending(const RemoteCall&)> on_send;

  FakeStore& store() { return store_; }
  const FakeStore& store() const { return store_; }

  // Calls that were sent and whose sinks were not told yet, oldest first.
  std::size_t in_flight() const { return in_flight_.size(); }
  const InFlight& in_flight(std::size_t index) const { return in_flight_[index]; }
  // All calls take effect now, in the order they were sent, as on one connection.
  void Execute();
  // Delivers the replies of the calls that are in flight now, oldest first, not those of calls
  // sent meanwhile; what was not executed yet takes effect now. Returns how many.
  std::size_t Deliver();
  // The same for one of them. REQUIRES: index < in_flight().
  void DeliverOne(std::size_t index);
  // The call fails; what it did to the store stays.
  void FailOne(std::size_t index);
  void FailAll();
  // The store is lost: nothing in flight is answered any more, and nobody is to wait.
  void Lose();
  void Recover() { set_reachable(true); }

  // Any thread.
  void set_reachable(bool reachable) { reachable_.store(reachable, std::memory_order_relaxed); }
  void set_nodes(int nodes) { nodes_.store(nodes, std::memory_order_relaxed); }
  void set_history(uint32_t history) { history_.store(history, std::memory_order_relaxed); }
  void set_outages(uint64_t outages) { outages_.store(outages, std::memory_order_relaxed); }
  // REQUIRES: before any other thread asks.
  void set_secret(const Secret& secret) { secret_ = secret; }

  // What was sent so far, refused calls excluded.
  uint64_t calls() const { return calls_; }
  uint64_t calls(const Key& key) const;
  // Flushes that something left with.
  uint64_t trips() const { return trips_; }
  const std::vector<Key>& timeouts() const { return timeouts_; }
  const std::vector<std::string>& counter_timeouts() const { return counter_timeouts_; }

  bool Reachable(const Limit& limit, const Key& key, const Secret& secret) const override;
  bool CounterReachable(const Limit& limit, std::string_view counter) const override;
  int nodes() const override { return nodes_.load(std::memory_order_relaxed); }
  uint64_t OutagesOf(const Limit&, const Key&) const override {
    return outages_.load(std::memory_order_relaxed);
  }
  uint32_t history() const override { return history_.load(std::memory_order_relaxed); }
  bool Send(const RemoteCall& call, RemoteSink& sink) override;
  void Flush() override;
  void NoteTimeout(const Limit& limit, const Key& key) override;
  void NoteCounterTimeout(const Limit& limit, std::string_view counter) override;

 private:
  void Execute(InFlight& flying);
  InFlight Take(std::size_t index);

  FakeStore store_;
  std::deque<InFlight> in_flight_;
  std::atomic<bool> reachable_{true};
  std::atomic<int> nodes_{0};
  std::atomic<uint64_t> outages_{0};
  std::atomic<uint32_t> history_{0};
  Secret secret_;
  uint64_t calls_ = 0;
  uint64_t trips_ = 0;
  bool unflushed_ = false;
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> calls_by_key_;
  std::vector<Key> timeouts_;
  std::vector<std::string> counter_timeouts_;
};

}  // namespace weir::test
