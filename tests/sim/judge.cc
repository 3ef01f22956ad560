#include "tests/sim/judge.h"

#include <algorithm>
#include <deque>
#include <map>

namespace weir::sim {
namespace {

constexpr double kNs = 1e-9;

std::string Where(uint64_t hits, double allowed, double from_ns, double to_ns) {
  return std::to_string(hits) + " hits where " + std::to_string(allowed) + " may be, from " +
         std::to_string((from_ns - kWallStartNs) * kNs) + " s to " +
         std::to_string((to_ns - kWallStartNs) * kNs) + " s";
}

bool Touches(const Allowance& allowance, int64_t first_mono_ns, int64_t last_mono_ns) {
  return allowance.first.mono_ns <= last_mono_ns && allowance.last.mono_ns >= first_mono_ns;
}

// The level of a bucket that loses L per nanosecond and gains W per hit is the largest sum over all
// intervals that end now. (Not E, whose rounding is part of what is judged.) With allowances it
// starts below empty, as long as one of them is touched by an interval that starts now.
Judgement JudgeBucket(const Limit& limit, const std::vector<Admission>& admissions,
                      const std::vector<Allowance>& allowances) {
  struct Level {
    int64_t value = 0;
    int64_t since_ns = 0;  // where the worst interval begins
    uint64_t hits = 0;
  };
  Judgement judgement;
  Level plain;
  Level credited;
  std::vector<bool> taken(allowances.size());
  int64_t previous_ns = admissions.empty() ? 0 : admissions.front().time.mono_ns;
  const int64_t hit = limit.window_ns;
  const int64_t full = limit.capacity * hit;
  for (const Admission& admission : admissions) {
    const int64_t now_ns = admission.time.mono_ns;
    const int64_t gained = static_cast<int64_t>(admission.hits) * hit;
    const int64_t lost = (now_ns - previous_ns) * limit.hits;
    previous_ns = now_ns;
    plain.value = std::max<int64_t>(0, plain.value - lost) + gained;
    judgement.worst_ratio = std::max(judgement.worst_ratio,
                                     static_cast<double>(plain.value) / static_cast<double>(full));
    int64_t floor = 0;
    credited.value -= lost;
    for (std::size_t i = 0; i < allowances.size(); ++i) {
      const int64_t extra = static_cast<int64_t>(allowances[i].hits) * hit;
      if (!taken[i] && allowances[i].first.mono_ns <= now_ns) {
        credited.value -= extra;
        taken[i] = true;
      }
      if (Touches(allowances[i], now_ns, now_ns)) floor -= extra;
    }
    if (credited.value < floor) credited = {floor, now_ns, 0};
    credited.value += gained;
    credited.hits += admission.hits;
    if (credited.value <= full) continue;
    const auto excess = static_cast<uint64_t>((credited.value - full + hit - 1) / hit);
    if (excess <= judgement.excess) continue;
    judgement.excess = excess;
    const auto since_ns = static_cast<double>(credited.since_ns);
    judgement.where = Where(credited.hits, static_cast<double>(credited.hits - excess), since_ns,
                            static_cast<double>(now_ns));
  }
  return judgement;
}

Judgement JudgeSliding(const Limit& limit, const std::vector<Admission>& admissions,
                       const std::vector<Allowance>& allowances) {
  Judgement judgement;
  std::size_t first = 0;
  uint64_t inside = 0;
  for (const Admission& admission : admissions) {
    inside += admission.hits;
    // Intervals of length W hold what came less than W before.
    const int64_t now_ns = admission.time.mono_ns;
    for (; admissions[first].time.mono_ns <= now_ns - limit.window_ns; ++first) {
      inside -= admissions[first].hits;
    }
    judgement.worst_ratio =
        std::max(judgement.worst_ratio,
                 static_cast<double>(inside) / static_cast<double>(std::max(limit.hits, 1U)));
    const int64_t since_ns = admissions[first].time.mono_ns;
    uint64_t allowed = limit.hits;
    for (const Allowance& allowance : allowances) {
      if (Touches(allowance, since_ns, now_ns)) allowed += allowance.hits;
    }
    if (inside <= allowed || inside - allowed <= judgement.excess) continue;
    judgement.excess = inside - allowed;
    judgement.where = Where(inside, static_cast<double>(allowed), static_cast<double>(since_ns),
                            static_cast<double>(now_ns));
  }
  return judgement;
}

Judgement JudgeFixed(const Limit& limit, const std::vector<Admission>& admissions,
                     const std::vector<Allowance>& allowances) {
  Judgement judgement;
  std::map<int64_t, uint64_t> windows;
  for (const Admission& admission : admissions) {
    windows[admission.time.wall_ns / limit.window_ns] += admission.hits;
  }
  for (const auto& [window, hits] : windows) {
    judgement.worst_ratio =
        std::max(judgement.worst_ratio,
                 static_cast<double>(hits) / static_cast<double>(std::max(limit.hits, 1U)));
    uint64_t allowed = limit.hits;
    for (const Allowance& allowance : allowances) {
      const int64_t first_ns = std::min(allowance.first.wall_ns, allowance.last.wall_ns);
      const int64_t last_ns = std::max(allowance.first.wall_ns, allowance.last.wall_ns);
      if (first_ns / limit.window_ns <= window && window <= last_ns / limit.window_ns) {
        allowed += allowance.hits;
      }
    }
    if (hits <= allowed || hits - allowed <= judgement.excess) continue;
    judgement.excess = hits - allowed;
    judgement.where =
        Where(hits, static_cast<double>(allowed), static_cast<double>(window * limit.window_ns),
              static_cast<double>((window + 1) * limit.window_ns));
  }
  return judgement;
}

}  // namespace

std::vector<Allowance> AllowancesOf(const std::vector<Exception>& exceptions, std::size_t key,
                                    int64_t linger_ns) {
  std::vector<Allowance> allowances;
  for (const Exception& exception : exceptions) {
    if (exception.hits[key] == 0) continue;
    Allowance allowance = {exception.before, exception.after, exception.hits[key]};
    allowance.last.mono_ns += linger_ns;
    int64_t& last_wall_ns = allowance.last.wall_ns;
    int64_t& first_wall_ns = allowance.first.wall_ns;
    if (last_wall_ns < first_wall_ns) std::swap(last_wall_ns, first_wall_ns);
    last_wall_ns += linger_ns;
    allowances.push_back(allowance);
  }
  return allowances;
}

Judgement Judge(const Limit& limit, std::vector<Admission> admissions,
                const std::vector<Allowance>& allowances) {
  std::stable_sort(
      admissions.begin(), admissions.end(),
      [](const Admission& a, const Admission& b) { return a.time.mono_ns < b.time.mono_ns; });
  if (limit.capacity == 0) {
    Judgement banned;
    for (const Admission& admission : admissions) banned.excess += admission.hits;
    return banned;
  }
  switch (limit.algorithm) {
    case Algorithm::kTokenBucket:
      return JudgeBucket(limit, admissions, allowances);
    case Algorithm::kSlidingWindow:
      return JudgeSliding(limit, admissions, allowances);
    case Algorithm::kFixedWindow:
      break;
  }
  return JudgeFixed(limit, admissions, allowances);
}

}  // namespace weir::sim
