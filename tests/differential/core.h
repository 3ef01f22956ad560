#pragma once

// The C++ algorithms on one key, asked as the memory store asks them: what the scripts must equal.

#include <algorithm>
#include <array>
#include <cstdint>

#include "algorithms/fixed_window.h"
#include "algorithms/limit.h"
#include "algorithms/sliding_window.h"
#include "algorithms/token_bucket.h"
#include "limiter/core/descriptor.h"

namespace weir::test {

// The limit as a store that counts in microseconds sees it: a token bucket that takes longer than
// 2^52 ns to refill, and all windows, in whole microseconds, rounded up.
inline Limit InMicroseconds(Limit limit) {
  const auto ceil_us = [](int64_t ns) { return (ns + 999) / 1'000 * 1'000; };
  limit.window_ns = ceil_us(limit.window_ns);
  limit.bucket_ns = ceil_us(limit.bucket_ns);
  if (limit.burst_ns > int64_t{1} << 52) {
    limit.emission_ns = ceil_us(limit.emission_ns);
    limit.burst_ns = limit.emission_ns * limit.capacity;
  }
  return limit;
}

class Core {
 public:
  struct Answer {
    Decision decision;
    uint64_t remaining_before = 0;
  };

  explicit Core(const Limit& limit) : limit_(InMicroseconds(limit)) {}

  void Forget() { *this = Core(limit_); }

  bool Idle(int64_t now_us) const {
    const int64_t now_ns = now_us * 1'000;
    switch (limit_.algorithm) {
      case Algorithm::kTokenBucket:
        return token_bucket::Idle(bucket_, now_ns);
      case Algorithm::kFixedWindow:
        return fixed_window::Idle(limit_, window_, now_ns);
      case Algorithm::kSlidingWindow:
        break;
    }
    return sliding_window::Idle(limit_, Ring(), now_ns);
  }

  Answer Ask(Op op, int64_t now_us, uint64_t hits, bool drain) {
    const int64_t now_ns = now_us * 1'000;
    Answer answer;
    // Costs reach a script saturated. Seen only where one refund gives back several full counts.
    if (op == Op::kRefund) hits = std::min(hits, kCountMax);
    const uint64_t free = Do(Op::kPeek, false, now_ns, hits).remaining;
    if (op == Op::kReset) Forget();
    answer.decision = Do(op == Op::kReset ? Op::kPeek : op, false, now_ns, hits);
    answer.remaining_before = op == Op::kRefund ? answer.decision.remaining : free;
    if (op == Op::kTake && !answer.decision.allowed && drain && hits > 0) {
      answer.decision = Drain(answer.decision, now_ns, hits);
    }
    return answer;
  }

 private:
  sliding_window::Ring Ring() {
    return sliding_window::Ring(ring_).first(sliding_window::RingWords(limit_.precision));
  }
  sliding_window::ConstRing Ring() const {
    return sliding_window::ConstRing(ring_).first(sliding_window::RingWords(limit_.precision));
  }

  Decision Drain(const Decision& denied, int64_t now_ns, uint64_t hits) {
    // With nothing left to drain the script writes nothing, where the C++ moves its ring to the
    // current sub-bucket: the answer is the same. (After a denied take a fault is put right.)
    if (limit_.algorithm == Algorithm::kSlidingWindow && denied.remaining == 0) {
      Decision decision = denied;
      std::array<uint64_t, sliding_window::kRingWordsMax> copy = ring_;
      const Decision drained = sliding_window::Drain(
          limit_, sliding_window::Ring(copy).first(sliding_window::RingWords(limit_.precision)),
          now_ns, hits);
      decision.retry_after_ns = drained.retry_after_ns;
      decision.reset_after_ns = drained.reset_after_ns;
      return decision;
    }
    Decision decision = Do(Op::kTake, true, now_ns, hits);
    decision.clock_fault = denied.clock_fault;  // the denied take has put it right already
    return decision;
  }

  Decision Do(Op op, bool drain, int64_t now_ns, uint64_t hits) {
    switch (limit_.algorithm) {
      case Algorithm::kTokenBucket:
        if (drain) return token_bucket::Drain(limit_, bucket_, now_ns, hits);
        if (op == Op::kTake) return token_bucket::Take(limit_, bucket_, now_ns, hits);
        if (op == Op::kReport) return token_bucket::Report(limit_, bucket_, now_ns, hits);
        if (op == Op::kRefund) return token_bucket::Refund(limit_, bucket_, now_ns, hits);
        return token_bucket::Peek(limit_, bucket_, now_ns, hits);
      case Algorithm::kFixedWindow:
        if (drain) return fixed_window::Drain(limit_, window_, now_ns, hits);
        if (op == Op::kTake) return fixed_window::Take(limit_, window_, now_ns, hits);
        if (op == Op::kReport) return fixed_window::Report(limit_, window_, now_ns, hits);
        if (op == Op::kRefund) return fixed_window::Refund(limit_, window_, now_ns, hits);
        return fixed_window::Peek(limit_, window_, now_ns, hits);
      case Algorithm::kSlidingWindow:
        break;
    }
    if (drain) return sliding_window::Drain(limit_, Ring(), now_ns, hits);
    if (op == Op::kTake) return sliding_window::Take(limit_, Ring(), now_ns, hits);
    if (op == Op::kReport) return sliding_window::Report(limit_, Ring(), now_ns, hits);
    if (op == Op::kRefund) return sliding_window::Refund(limit_, Ring(), now_ns, hits);
    return sliding_window::Peek(limit_, Ring(), now_ns, hits);
  }

  Limit limit_;
  token_bucket::State bucket_;
  fixed_window::State window_;
  std::array<uint64_t, sliding_window::kRingWordsMax> ring_{};
};

}  // namespace weir::test
