#include "tests/sim/explore.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <unordered_set>
#include <vector>

namespace weir::sim {
namespace {

constexpr int kNodesMax = 3;
constexpr int kSlots = 2;
constexpr int kRing = 10;
constexpr int kWindowMax = 8;

// Bytes only, so that states can be compared and hashed as memory. Times count from now.
struct Slot {
  uint8_t hits;
  uint8_t ends;  // ticks it may still be used in; 0: no lease
};

enum Phase : uint8_t { kIdle, kAsked, kReplied };

struct Node {
  Slot slots[kSlots];
  uint8_t phase;    // of the one call in flight
  uint8_t own;      // hits of the waiter it is for: 0 or 1
  uint8_t age;      // kAsked: ticks since it was sent
  uint8_t lease;    // kReplied: hits beyond the waiter's
  uint8_t left;     // kReplied: the lease's ends
  uint8_t back;     // kAsked: hits given back
  uint8_t ghost;    // a copy of an executed call is still on its way: 1 + its own hits
  uint8_t severed;  // it has not met the new primary yet
};

struct Store {
  uint8_t rel;          // token_bucket
  uint8_t count;        // fixed_window
  uint8_t ring[kRing];  // sliding_window: from the oldest sub-bucket that counts
};

struct State {
  Node nodes[kNodesMax];
  Store store;
  Store snapshot;
  uint8_t phase;  // now, within a window or sub-bucket
  uint8_t has_snapshot;
  uint8_t failed_over;
  uint8_t lost;                // hits granted since the snapshot
  uint8_t allowance;           // what the failover may have cost
  uint8_t level;               // admitted: the bucket's level, or the hits of the window
  uint8_t recent[kWindowMax];  // sliding_window: admitted in each of the last W ticks
};
static_assert(std::has_unique_object_representations_v<State>);

enum Kind : uint8_t {
  kStart,
  kTick,
  kSend,
  kExecute,
  kGhost,
  kReply,
  kLose,
  kUse,
  kRefund,
  kSnapshot,
  kFailOver,
  kMeet
};

struct Action {
  Kind kind;
  uint8_t node;
  uint8_t first;   // kSend: own hits; kExecute: granted; kUse, kRefund: the slot
  uint8_t second;  // kSend: hits given back
};

class Explorer {
 public:
  Explorer(const ExploreOptions& options, uint64_t states_max)
      : o_(options), states_max_(states_max), found_(0, Hash{&states_}, Same{&states_}) {}

  ExploreResult Run() {
    State start;
    std::memset(&start, 0, sizeof(start));
    parent_ = 0;
    Emit({kStart, 0, 0, 0}, start);
    ExploreResult result;
    std::size_t at = 0;
    for (; at < states_.size() && broken_ < 0 && states_.size() < states_max_; ++at) {
      parent_ = static_cast<uint32_t>(at);
      const State state = states_[at];
      Successors(state);
    }
    result.states = states_.size();
    result.transitions = transitions_;
    result.complete = broken_ < 0 && at == states_.size();
    if (broken_ >= 0) result.counterexample = WayTo(static_cast<std::size_t>(broken_));
    return result;
  }

 private:
  struct Hash {
    const std::vector<State>* states;
    std::size_t operator()(uint32_t index) const {
      const State& state = (*states)[index];
      return std::hash<std::string_view>()({reinterpret_cast<const char*>(&state), sizeof(state)});
    }
  };
  struct Same {
    const std::vector<State>* states;
    bool operator()(uint32_t a, uint32_t b) const {
      return std::memcmp(&(*states)[a], &(*states)[b], sizeof(State)) == 0;
    }
  };

  bool bucket() const { return o_.algorithm == Algorithm::kTokenBucket; }
  bool sliding() const { return o_.algorithm == Algorithm::kSlidingWindow; }
  int buckets() const { return o_.window / o_.bucket; }  // Bk

  // By insertion: they are two or three.
  template <typename T, std::size_t kSize>
  static void Sort(T (&items)[kSize], int size) {
    for (int i = 1; i < size; ++i) {
      for (int j = i; j > 0 && std::memcmp(&items[j - 1], &items[j], sizeof(T)) < 0; --j) {
        std::swap(items[j - 1], items[j]);
      }
    }
  }

  // Nodes and slots that could change places are the same state.
  void Canonical(State& state) const {
    for (Node& node : state.nodes) {
      for (Slot& slot : node.slots) {
        if (slot.hits == 0 || slot.ends == 0) slot = {};
      }
      Sort(node.slots, kSlots);
      if (node.phase == kReplied && (node.left == 0 || node.lease == 0)) {
        node.left = node.lease = 0;
      }
    }
    Sort(state.nodes, o_.nodes);
  }

  void Emit(const Action& action, State state) {
    ++transitions_;
    Canonical(state);
    states_.push_back(state);
    const auto index = static_cast<uint32_t>(states_.size() - 1);
    if (!found_.insert(index).second) {
      states_.pop_back();
      return;
    }
    ways_.push_back({parent_, action});
    if (broken_ < 0 && Admitted(state) > o_.hits + state.allowance) broken_ = index;
  }

  int Admitted(const State& state) const {
    if (!sliding()) return state.level;
    int sum = 0;
    for (int i = 0; i < o_.window; ++i) sum += state.recent[i];
    return sum;
  }

  static void Admit(State& state, int hits) {
    state.level = static_cast<uint8_t>(state.level + hits);
    state.recent[0] = static_cast<uint8_t>(state.recent[0] + hits);
  }

  void Successors(const State& state) {
    Emit({kTick, 0, 0, 0}, Ticked(state));
    for (uint8_t i = 0; i < o_.nodes; ++i) NodeSuccessors(state, i);
    if (!o_.fails_over || state.failed_over != 0) return;
    State next = state;
    if (state.has_snapshot == 0) {
      next.has_snapshot = 1;
      next.snapshot = state.store;
      Emit({kSnapshot, 0, 0, 0}, next);
      return;
    }
    next.failed_over = 1;
    next.has_snapshot = 0;
    next.allowance = std::min<uint8_t>(state.lost, static_cast<uint8_t>(o_.hits));
    next.lost = 0;
    next.store = state.snapshot;
    next.snapshot = {};
    for (int i = 0; i < o_.nodes; ++i) {
      Node& node = next.nodes[i];
      node.phase = kIdle;
      node.own = node.age = node.lease = node.left = node.back = node.ghost = 0;
      node.severed = 1;
    }
    Emit({kFailOver, 0, 0, 0}, next);
  }

  void NodeSuccessors(const State& state, uint8_t i) {
    const Node& node = state.nodes[i];
    if (node.severed != 0) {
      State next = state;
      next.nodes[i].severed = 0;
      for (Slot& slot : next.nodes[i].slots) slot = {};
      Emit({kMeet, i, 0, 0}, next);
    } else if (node.phase == kIdle) {
      Send(state, i);
    } else if (node.phase == kAsked) {
      Execute(state, i);
      State next = state;
      Lose(next.nodes[i]);
      Emit({kLose, i, 0, 0}, next);
    } else {
      Reply(state, i);
      State next = state;
      Lose(next.nodes[i]);
      Emit({kLose, i, 0, 0}, next);
    }
    if (node.ghost != 0) {
      State next = state;
      next.nodes[i].ghost = 0;
      const int own = node.ghost - 1;
      const int granted = Available(next, own);
      if (granted > 0) Charge(next, own, std::max(granted, own));
      Emit({kGhost, i, 0, 0}, next);
    }
    for (uint8_t s = 0; s < kSlots; ++s) UseSlot(state, i, s);
  }

  static void Lose(Node& node) {
    node.phase = kIdle;
    node.own = node.age = node.lease = node.left = node.back = 0;
  }

  // For a waiter or ahead of need; never with both slots taken.
  void Send(const State& state, uint8_t i) {
    for (uint8_t own = 0; own <= 1; ++own) {
      State next = state;
      Node& node = next.nodes[i];
      node.phase = kAsked;
      node.own = own;
      if (node.slots[1].hits == 0) Emit({kSend, i, own, 0}, next);
      if (!o_.gives_back || node.slots[0].hits == 0) continue;
      node.back = node.slots[0].hits;
      if (o_.zeroed_before_back) node.slots[0] = {};
      Emit({kSend, i, own, node.back}, next);
    }
  }

  // Hits of the largest lease, the caller's own included; at least those where only they pass.
  int Available(const State& state, int own) const {
    const Store& store = state.store;
    int avail = 0;
    int exact = 0;
    if (bucket()) {
      const int life = o_.post_dated ? o_.life : 0;
      avail = o_.hits - std::max<int>(store.rel, life);
      exact = o_.hits - store.rel;
    } else {
      int sum = store.count;
      for (const uint8_t count : store.ring) sum += count;
      avail = exact = o_.hits - sum;
    }
    const int most = std::min(o_.want, avail);
    return most > own ? most : (own > 0 && exact >= own ? own : 0);
  }

  // Returns the ticks a lease of it lives.
  int Charge(State& state, int own, int granted) const {
    Store& store = state.store;
    const int leased = granted - own;
    const int life = o_.post_dated ? o_.life : 0;
    int lives = o_.life;
    if (bucket()) {
      const int rel = store.rel + own;
      store.rel = static_cast<uint8_t>(leased > 0 ? std::max(rel, life) + leased : rel);
    } else if (sliding()) {
      store.ring[buckets()] = static_cast<uint8_t>(store.ring[buckets()] + own);
      uint8_t& last = store.ring[buckets() + (state.phase + life) / o_.bucket];
      last = static_cast<uint8_t>(last + leased);
    } else {
      store.count = static_cast<uint8_t>(store.count + granted);
      if (o_.dies_with_window) lives = std::min(lives, o_.window - state.phase);
    }
    if (state.has_snapshot != 0) {
      state.lost = static_cast<uint8_t>(std::min(state.lost + granted, o_.hits));
    }
    return lives;
  }

  // The store may give any part of what is asked for: the share, and what a node wants, vary.
  void Execute(const State& state, uint8_t i) {
    State charged = state;
    Node& asked = charged.nodes[i];
    charged.store.count =
        static_cast<uint8_t>(charged.store.count - std::min(charged.store.count, asked.back));
    asked.back = 0;
    const int own = asked.own;
    const int most = Available(charged, own);
    for (int granted = most == 0 ? 0 : std::max(own, 1); granted <= most; ++granted) {
      State next = charged;
      Node& node = next.nodes[i];
      const int lives = granted > 0 ? Charge(next, own, granted) : 0;
      // It counts when the store decides, whether or not it is heard of.
      if (granted > 0) Admit(next, own);
      node.phase = kReplied;
      node.lease = static_cast<uint8_t>(granted > 0 ? granted - own : 0);
      const int left = o_.expires_from_send ? lives - node.age : lives;
      node.left = static_cast<uint8_t>(std::max(left, 0));
      node.age = 0;
      if (!o_.zeroed_before_back && state.nodes[i].back > 0) node.slots[0] = {};
      Emit({kExecute, i, static_cast<uint8_t>(granted), 0}, next);
      if (!o_.doubles || node.ghost != 0 || state.nodes[i].back != 0) continue;
      node.ghost = static_cast<uint8_t>(1 + own);
      Emit({kExecute, i, static_cast<uint8_t>(granted), 1}, next);
    }
  }

  void Reply(const State& state, uint8_t i) {
    State next = state;
    Node& node = next.nodes[i];
    if (node.lease > 0 && node.left > 0) {
      Slot& slot = node.slots[0].hits == 0 ? node.slots[0] : node.slots[1];
      if (slot.hits == 0) slot = {node.lease, node.left};
    }
    Lose(node);
    Emit({kReply, i, 0, 0}, next);
  }

  void UseSlot(const State& state, uint8_t i, uint8_t s) {
    if (state.nodes[i].slots[s].hits == 0) return;
    State next = state;
    --next.nodes[i].slots[s].hits;
    Admit(next, 1);
    Emit({kUse, i, s, 0}, next);
    if (!o_.refunds || !bucket()) return;
    next = state;
    Slot& slot = next.nodes[i].slots[s];
    next.store.rel = static_cast<uint8_t>(next.store.rel - std::min(next.store.rel, slot.hits));
    slot = {};
    Emit({kRefund, i, s, 0}, next);
  }

  static void Down(uint8_t& number) {
    if (number > 0) --number;
  }

  void TickStore(Store& store, bool edge) const {
    Down(store.rel);
    if (!edge) return;
    store.count = 0;
    std::copy(store.ring + 1, store.ring + kRing, store.ring);
    store.ring[kRing - 1] = 0;
  }

  State Ticked(const State& state) const {
    State next = state;
    const int cell = sliding() ? o_.bucket : (bucket() ? 1 : o_.window);
    next.phase = static_cast<uint8_t>((state.phase + 1) % cell);
    const bool edge = next.phase == 0;
    TickStore(next.store, edge);
    if (next.has_snapshot != 0) TickStore(next.snapshot, edge);
    for (Node& node : next.nodes) {
      for (Slot& slot : node.slots) Down(slot.ends);
      if (node.phase == kAsked) {
        node.age = static_cast<uint8_t>(std::min(node.age + 1, o_.life + 1));
      }
      if (node.phase == kReplied && o_.expires_from_send) Down(node.left);
      if (edge && !sliding()) node.back = 0;  // that window is over
    }
    if (bucket()) {
      Down(next.level);
    } else if (edge || sliding()) {
      next.level = 0;
    }
    std::copy_backward(next.recent, next.recent + kWindowMax - 1, next.recent + kWindowMax);
    next.recent[0] = 0;
    if (!sliding()) std::fill(next.recent, next.recent + kWindowMax, 0);
    for (int i = o_.window; i < kWindowMax; ++i) next.recent[i] = 0;
    return next;
  }

  static std::string Text(const Action& action) {
    static constexpr const char* kNames[] = {
        "start", "tick", "sends",   "granted",  "copy",     "hears",
        "loses", "uses", "refunds", "snapshot", "failover", "meets new primary"};
    std::string text = kNames[action.kind];
    if (action.kind == kTick || action.kind == kSnapshot || action.kind == kFailOver) return text;
    text = static_cast<char>('A' + action.node) + (" " + text);
    if (action.kind == kSend && action.first > 0) text += " for a waiter";
    if (action.kind == kSend && action.second > 0) {
      text += " back " + std::to_string(action.second);
    }
    if (action.kind == kExecute) text += " " + std::to_string(action.first);
    return text;
  }

  // Names of nodes change places where they are alike, so they hold from one step to the next only.
  std::string WayTo(std::size_t index) const {
    std::vector<std::string> steps;
    for (; index != 0; index = ways_[index].parent) steps.push_back(Text(ways_[index].action));
    std::string text;
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
      text += (text.empty() ? "" : ", ") + *step;
    }
    return text;
  }

  struct Way {
    uint32_t parent;
    Action action;
  };

  const ExploreOptions o_;
  const uint64_t states_max_;
  std::vector<State> states_;
  std::vector<Way> ways_;
  std::unordered_set<uint32_t, Hash, Same> found_;
  uint32_t parent_ = 0;
  uint64_t transitions_ = 0;
  int64_t broken_ = -1;
};

}  // namespace

ExploreResult Explore(const ExploreOptions& options, uint64_t states_max) {
  return Explorer(options, states_max).Run();
}

}  // namespace weir::sim
