#pragma once

// Denials of the shared store, remembered for a moment: while a cost is known not to pass, no cost
// as large needs a call.
//
// Soundness: the store decided at or after the time the call was sent, so "denied for r" holds at
// least until r after that, less what two clocks drift apart meanwhile. A denial is remembered for
// kDenyCacheMaxNs at most, because refunds and resets through other nodes, and a limit changed
// there, are not seen from here.
//
// Thread safety: the caller holds the lock of the key's shard.

#include <cstdint>

#include "algorithms/limit.h"
#include "limiter/core/cell_table.h"
#include "limiter/core/clock.h"
#include "limiter/core/store.h"

namespace weir {

inline constexpr int64_t kDenyCacheMaxNs = 1'000'000'000;

// Whether the cell knows that the ask cannot pass; then fills its grant. For costs above the one
// that was denied, retry_after of a sliding window is that of the denied cost: a lower bound.
bool AnswerDenied(const Cell& cell, const Instant& now, Ask& ask);

// Notes the store's denial of the ask in the cell. `sent_mono_ns`: when its call was sent.
void NoteDenied(const Ask& ask, int64_t sent_mono_ns, Cell& cell);

// Whether a denial of the ask is worth a cell.
bool WorthNoting(const Ask& ask);

}  // namespace weir
