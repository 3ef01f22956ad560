#include "algorithms/fixed_window.h"

#include <algorithm>
#include <cstdint>

#include "algorithms/saturate.h"

namespace weir::fixed_window {
namespace {

// The window a call at now_ns belongs to and what is charged in it. A small backward step of the
// clock stays in the newer window; a stored window more than one ahead is a clock fault and the
// clock wins, else the key would be stuck until time catches up.
struct Window {
  int64_t id;
  uint64_t count;
  bool clock_fault;
};

Window WindowAt(const Limit& limit, const State& state, int64_t now_ns) {
  const int64_t current = now_ns / limit.window_ns;
  if (state.window == current) return {current, state.count, false};
  if (state.count != 0 && state.window == current + 1) return {state.window, state.count, false};
  return {current, 0, state.count != 0 && state.window > current + 1};
}

Decision Describe(const Limit& limit, const Window& window, int64_t now_ns, uint64_t hits) {
  Decision decision;
  decision.clock_fault = window.clock_fault;
  const int64_t end_after_ns = (window.id + 1) * limit.window_ns - now_ns;
  decision.remaining = limit.hits > window.count ? limit.hits - window.count : 0;
  decision.reset_after_ns = window.count == 0 ? 0 : end_after_ns;
  if (decision.remaining == 0) {
    decision.next_hit_after_ns = limit.hits == 0 ? kNeverNs : end_after_ns;
  }
  if (hits > limit.hits) {
    decision.retry_after_ns = kNeverNs;
  } else if (hits == 0 ? window.count > limit.hits : hits > decision.remaining) {
    decision.retry_after_ns = end_after_ns;
  }
  return decision;
}

Decision Charge(const Limit& limit, State& state, const Window& window, uint64_t count,
                int64_t now_ns, uint64_t hits) {
  state = {window.id, count};
  return Describe(limit, {window.id, count, window.clock_fault}, now_ns, hits);
}

Decision Allowed(Decision decision) {
  decision.allowed = true;
  decision.retry_after_ns = 0;
  return decision;
}

}  // namespace

Decision Peek(const Limit& limit, const State& state, int64_t now_ns, uint64_t hits) {
  Decision decision = Describe(limit, WindowAt(limit, state, now_ns), now_ns, hits);
  decision.allowed = decision.retry_after_ns == 0;
  return decision;
}

Decision Take(const Limit& limit, State& state, int64_t now_ns, uint64_t hits) {
  const Window window = WindowAt(limit, state, now_ns);
  Decision decision = Describe(limit, window, now_ns, hits);
  decision.allowed = decision.retry_after_ns == 0;
  if (!decision.allowed || hits == 0) return decision;
  return Allowed(Charge(limit, state, window, window.count + hits, now_ns, 0));
}

Decision Drain(const Limit& limit, State& state, int64_t now_ns, uint64_t hits) {
  const Window window = WindowAt(limit, state, now_ns);
  if (window.count > limit.hits) return Describe(limit, window, now_ns, hits);
  return Charge(limit, state, window, AddCapped(window.count, hits, kCountMax), now_ns, hits);
}

Decision Report(const Limit& limit, State& state, int64_t now_ns, uint64_t hits) {
  const Window window = WindowAt(limit, state, now_ns);
  return Allowed(Charge(limit, state, window, AddCapped(window.count, hits, kCountMax), now_ns, 0));
}

Decision Refund(const Limit& limit, State& state, int64_t now_ns, uint64_t hits) {
  const Window window = WindowAt(limit, state, now_ns);
  return Allowed(
      Charge(limit, state, window, window.count - std::min(window.count, hits), now_ns, 0));
}

bool Idle(const Limit& limit, const State& state, int64_t now_ns) {
  return WindowAt(limit, state, now_ns).count == 0;
}

}  // namespace weir::fixed_window
