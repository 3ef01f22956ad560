#pragma once

// One thread, one heap of events in the order of (time, insertion), one source of chance: a world
// made from the same seed does the same again. Times are nanoseconds of true time, which no part of
// the fleet can read; each has a clock of its own (clocks.h).

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <queue>
#include <string>
#include <utility>
#include <vector>

namespace weir::sim {

inline constexpr int64_t kUs = 1'000;
inline constexpr int64_t kMs = 1'000'000;
inline constexpr int64_t kSecond = 1'000'000'000;

// SplitMix64 (Steele, Lea and Flood, 2014). The distributions of <random> differ between libraries;
// these do not.
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // In [0, end); 0 for an end of 0.
  uint64_t Below(uint64_t end) { return end == 0 ? 0 : Next() % end; }
  // In [first, last].
  int64_t Between(int64_t first, int64_t last) {
    return first + static_cast<int64_t>(Below(static_cast<uint64_t>(last - first) + 1));
  }
  // In [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  bool Chance(double probability) { return Unit() < probability; }
  // Between two events of a Poisson process.
  int64_t Exponential(double mean_ns);
  template <typename T>
  T Pick(std::initializer_list<T> from) {
    return *(from.begin() + Below(from.size()));
  }

 private:
  uint64_t state_;
};

class World {
 public:
  using Task = std::function<void()>;

  // `trace`: print what happens.
  World(uint64_t seed, bool trace) : rng_(seed), trace_(trace) {}

  int64_t now_ns() const { return now_ns_; }
  Rng& rng() { return rng_; }
  uint64_t events() const { return events_; }
  // How often a place that asks takes its rare branch: the simulator's way into corners of the
  // store that no fault of the network reaches.
  void SetRare(double probability) { rare_ = probability; }
  bool Rare() { return rare_ > 0 && rng_.Chance(rare_); }

  // An event in the past happens now.
  void At(int64_t time_ns, Task task);
  void After(int64_t delay_ns, Task task) { At(now_ns_ + delay_ns, std::move(task)); }
  // Runs what is due until then; afterwards it is `time_ns`.
  void RunUntil(int64_t time_ns);

  bool tracing() const { return trace_; }
  // Prints one line with the time. Callers ask tracing() first: making the text is what costs.
  void Trace(const std::string& text) const;

 private:
  struct Event {
    int64_t time_ns;
    uint64_t sequence;
    Task task;
    bool operator>(const Event& other) const {
      return std::pair(time_ns, sequence) > std::pair(other.time_ns, other.sequence);
    }
  };

  Rng rng_;
  double rare_ = 0;
  const bool trace_;
  int64_t now_ns_ = 0;
  uint64_t events_ = 0;
  uint64_t sequence_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> heap_;
};

}  // namespace weir::sim
