#include "tests/sim/experiment.h"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/options.h"
#include "tests/sim/table.h"
#include "tests/sim/trial.h"

namespace weir::sim {
namespace {

constexpr Algorithm kAlgorithms[] = {Algorithm::kTokenBucket, Algorithm::kSlidingWindow,
                                     Algorithm::kFixedWindow};
constexpr Arrivals kLoads[] = {Arrivals::kSteady, Arrivals::kOnOff, Arrivals::kFlashCrowd,
                               Arrivals::kHotKey, Arrivals::kEdges, Arrivals::kSkewed};
constexpr int kSeeds = 3;

struct Shape {
  uint32_t hits;
  int64_t window_ns;
  double rate = 0;  // of all nodes together, per second
};

double Ratio(double of, double over) { return over == 0 ? 0 : of / over; }
double Seconds(int64_t ns) { return static_cast<double>(ns) / static_cast<double>(kSecond); }

std::string ShapeName(const LimitSpec& limit) {
  return std::to_string(limit.hits) + "/" + std::to_string(limit.window_ns / kSecond) + "s";
}

// Of several seeds.
struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};

std::vector<Measured> MeasureSeeds(Trial trial) {
  std::vector<Measured> all;
  for (int seed = 1; seed <= kSeeds; ++seed) {
    trial.seed = static_cast<uint64_t>(seed);
    all.push_back(Measure(trial));
  }
  return all;
}

Spread SpreadOf(const std::vector<Measured>& all,
                const std::function<double(const Measured&)>& value) {
  std::vector<double> values;
  values.reserve(all.size());
  for (const Measured& measured : all) values.push_back(value(measured));
  std::sort(values.begin(), values.end());
  return {values[values.size() / 2], values.front(), values.back()};
}

double Calls(const Measured& m) {
  return Ratio(static_cast<double>(m.store_calls), static_cast<double>(m.counted));
}
double Waits(const Measured& m) {
  return Ratio(static_cast<double>(m.waited), static_cast<double>(m.counted));
}
double Policy(const Measured& m) { return static_cast<double>(m.by_policy); }

LeasePlan PlanOf(const Trial& trial) {
  Limit limit;
  MakeLimit(trial.limit, &limit);
  return LeasePlanOf(limit, trial.lease);
}

// A limit that admits `rate` per second of all nodes.
LimitSpec LimitOf(Algorithm algorithm, double rate, int64_t window_ns) {
  return {.algorithm = algorithm,
          .hits = static_cast<uint32_t>(rate * Seconds(window_ns)),
          .window_ns = window_ns};
}

double LimitRate(const Trial& trial) { return trial.limit.hits / Seconds(trial.limit.window_ns); }

void Admitted(bool csv) {
  Table table(csv, {"algorithm", "mode", "limit", "runs", "requests", "admitted", "worst_interval",
                    "excess", "by_policy"});
  for (const Algorithm algorithm : kAlgorithms) {
    for (const char* const scheme : {"shared_store", "shared_store_leased"}) {
      for (const Shape& shape : {Shape{200, kSecond}, Shape{600, 60 * kSecond}}) {
        Trial trial;
        trial.scheme = scheme;
        trial.limit = {.algorithm = algorithm, .hits = shape.hits, .window_ns = shape.window_ns};
        trial.duration_ns = shape.window_ns == kSecond ? 5 * kSecond : 150 * kSecond;
        Measured sum;
        uint64_t runs = 0;
        for (const int nodes : {1, 3, 10}) {
          for (const double demand : {0.5, 1.1, 2., 10.}) {
            for (const Arrivals arrivals : kLoads) {
              trial.nodes = nodes;
              trial.demand = demand;
              trial.arrivals = arrivals;
              for (const Measured& m : MeasureSeeds(trial)) {
                ++runs;
                sum.requests += m.requests;
                sum.admitted += m.admitted;
                sum.by_policy += m.by_policy;
                sum.excess = std::max(sum.excess, m.excess);
                sum.worst_ratio = std::max(sum.worst_ratio, m.worst_ratio);
              }
            }
          }
        }
        table.Text(AlgorithmName(algorithm))
            .Text(trial.scheme == "shared_store" ? "exact" : "leased");
        table.Text(ShapeName(trial.limit)).Whole(runs).Whole(sum.requests).Whole(sum.admitted);
        table.Number(sum.worst_ratio, 4).Whole(sum.excess).Whole(sum.by_policy).End();
      }
    }
  }
}

// What leases may cost an algorithm of what one central limiter admits: a bucket the hits that it
// refills in a lease's life, once; a sliding window the part of time that leased hits count longer.
double Promised(const Trial& trial, const Measured& m) {
  const auto central = static_cast<double>(m.central);
  Limit limit;
  MakeLimit(trial.limit, &limit);
  const auto life_ns = PlanOf(trial).life_ns;
  if (limit.algorithm == Algorithm::kTokenBucket) {
    return central - LimitRate(trial) * Seconds(life_ns);
  }
  if (limit.algorithm != Algorithm::kSlidingWindow) return central;
  const auto window = static_cast<double>(limit.window_ns);
  return central * window / (window + static_cast<double>(life_ns + limit.bucket_ns));
}

void Fairness(bool csv) {
  Table table(csv, {"algorithm", "limit", "nodes", "target", "of_central", "of_promise",
                    "worst_of_promise", "jain", "worst_jain", "by_policy"});
  constexpr struct {
    uint32_t hits;
    int64_t window_ns;
    int nodes;
  } kLimits[] = {{100, kSecond, 3},
                 {1'000, kSecond, 10},
                 {10'000, kSecond, 10},
                 {1'000, 60 * kSecond, 10},
                 {10'000, 60 * kSecond, 10}};
  for (const Algorithm algorithm : kAlgorithms) {
    for (const auto& shape : kLimits) {
      Trial trial;
      trial.limit = {.algorithm = algorithm, .hits = shape.hits, .window_ns = shape.window_ns};
      trial.nodes = shape.nodes;
      trial.demand = 2;
      trial.duration_ns = 20 * std::min(shape.window_ns, 20 * kSecond);
      const auto all = MeasureSeeds(trial);
      const Spread central = SpreadOf(all, [](const Measured& m) {
        return Ratio(static_cast<double>(m.admitted), static_cast<double>(m.central));
      });
      const Spread promised = SpreadOf(all, [&trial](const Measured& m) {
        return Ratio(static_cast<double>(m.admitted), Promised(trial, m));
      });
      const Spread jain = SpreadOf(all, [](const Measured& m) { return m.jain; });
      table.Text(AlgorithmName(algorithm)).Text(ShapeName(trial.limit));
      const bool small = algorithm == Algorithm::kFixedWindow && shape.hits < 1'000;
      table.Whole(static_cast<uint64_t>(shape.nodes)).Number(small ? 0.95 : 0.98, 2);
      table.Number(central.median, 4).Number(promised.median, 4).Number(promised.least, 4);
      table.Number(jain.median, 4).Number(jain.least, 4);
      table.Number(SpreadOf(all, Policy).most, 0).End();
    }
  }
}

void CallsByShape(bool csv) {
  constexpr Shape kShapes[] = {
      {100, 60 * kSecond, 1},
      {10, kSecond, 5},
      {100, kSecond, 50},
      {100, kSecond, 200},
      {1'000, kSecond, 500},
      {1'000, kSecond, 2'000},
      {10'000, kSecond, 5'000},
      {60'000, 60 * kSecond, 500},
      {100'000, 60 * kSecond, 1'000},
  };
  Table table(csv, {"algorithm", "limit", "rate", "nodes", "in_target", "calls", "worst_calls",
                    "waits", "worst_waits", "by_policy"});
  for (const Algorithm algorithm : kAlgorithms) {
    for (const Shape& shape : kShapes) {
      Trial trial;
      trial.limit = {.algorithm = algorithm, .hits = shape.hits, .window_ns = shape.window_ns};
      trial.demand = shape.rate / LimitRate(trial);
      trial.duration_ns = shape.rate < 10 ? 600 * kSecond : 40 * kSecond;
      if (shape.window_ns > kSecond) trial.duration_ns = std::max(trial.duration_ns, 180 * kSecond);
      trial.warm_up_ns = trial.duration_ns / 4;
      const auto all = MeasureSeeds(trial);
      const Spread calls = SpreadOf(all, Calls);
      const Spread waits = SpreadOf(all, Waits);
      table.Text(AlgorithmName(algorithm)).Text(ShapeName(trial.limit)).Number(shape.rate, 0);
      table.Whole(static_cast<uint64_t>(trial.nodes));
      table.Number(shape.rate / trial.nodes * Seconds(PlanOf(trial).target_life_ns), 1);
      table.Number(calls.median, 4).Number(calls.most, 4);
      table.Number(waits.median, 4).Number(waits.most, 4);
      table.Number(SpreadOf(all, Policy).most, 0).End();
    }
  }
}

void CallsBelow(bool csv) {
  Table table(csv, {"algorithm", "window_s", "nodes", "demand", "load", "in_target", "limit",
                    "calls", "worst_calls", "waits", "worst_waits", "by_policy"});
  for (const Algorithm algorithm : kAlgorithms) {
    for (const int64_t window_ns : {kSecond, 60 * kSecond}) {
      for (const int nodes : {1, 3, 10}) {
        for (const double demand : {0.5, 0.8, 0.9}) {
          for (const double in_target : {25., 100.}) {
            Trial trial;
            trial.limit = LimitOf(algorithm, 1'000, window_ns);
            const double life = Seconds(PlanOf(trial).target_life_ns);
            const double rate = in_target / life * nodes;
            trial.limit = LimitOf(algorithm, rate / demand, window_ns);
            trial.nodes = nodes;
            trial.demand = demand;
            trial.duration_ns = window_ns > kSecond ? 70 * kSecond : 10 * kSecond;
            trial.warm_up_ns = trial.duration_ns / 7;
            const auto all = MeasureSeeds(trial);
            const Spread calls = SpreadOf(all, Calls);
            const Spread waits = SpreadOf(all, Waits);
            table.Text(AlgorithmName(algorithm)).Number(Seconds(window_ns), 0);
            table.Whole(static_cast<uint64_t>(nodes)).Number(demand, 1);
            table.Text(ArrivalsName(trial.arrivals)).Number(in_target, 0);
            table.Text(ShapeName(trial.limit)).Number(calls.median, 4).Number(calls.most, 4);
            table.Number(waits.median, 4).Number(waits.most, 4);
            table.Number(SpreadOf(all, Policy).most, 0).End();
          }
        }
      }
    }
  }
}

void CallsAbove(bool csv) {
  Table table(csv, {"algorithm", "window_s", "nodes", "demand", "load", "in_pace", "calls",
                    "worst_calls", "waits", "second_most", "second_bound", "by_policy"});
  const double pace = Seconds(LeaseOptions().pace_ns);
  for (const Algorithm algorithm : kAlgorithms) {
    for (const int64_t window_ns : {kSecond, 60 * kSecond}) {
      for (const int nodes : {1, 3, 10}) {
        for (const double demand : {1.2, 2., 10.}) {
          for (const Arrivals arrivals :
               {Arrivals::kSteady, Arrivals::kFlashCrowd, Arrivals::kEdges}) {
            // A minute's hits are gone soon enough at ten times the limit only.
            if (demand < 10 && window_ns > kSecond) continue;
            if (arrivals != Arrivals::kSteady && (demand < 10 || window_ns > kSecond)) continue;
            Trial trial;
            const double in_pace = 150;
            const double rate = in_pace / pace * nodes;
            trial.limit = LimitOf(algorithm, rate / demand, window_ns);
            trial.nodes = nodes;
            trial.demand = demand;
            trial.arrivals = arrivals;
            trial.duration_ns = window_ns > kSecond ? 20 * kSecond : 10 * kSecond;
            trial.warm_up_ns = kSecond;
            const auto all = MeasureSeeds(trial);
            const Spread calls = SpreadOf(all, Calls);
            const Spread second =
                SpreadOf(all, [](const Measured& m) { return m.calls_second_max; });
            table.Text(AlgorithmName(algorithm)).Number(Seconds(window_ns), 0);
            table.Whole(static_cast<uint64_t>(nodes)).Number(demand, 1);
            table.Text(ArrivalsName(arrivals)).Number(in_pace, 0);
            table.Number(calls.median, 4).Number(calls.most, 4);
            table.Number(SpreadOf(all, Waits).median, 4).Number(second.most, 0);
            table.Number(2 * nodes / pace, 0).Number(SpreadOf(all, Policy).most, 0).End();
          }
        }
      }
    }
  }
}

void Pause(bool csv) {
  Table table(csv, {"algorithm", "limit", "tau_s", "target_life_s", "unaffected",
                    "worst_unaffected", "ridden_ms", "worst_ridden_ms", "of_target_life"});
  for (const int64_t target_life_ns : {4 * kSecond, LeaseOptions().target_life_ns}) {
    for (const Algorithm algorithm : kAlgorithms) {
      for (const uint32_t hits : {6'000U, 60'000U}) {
        Trial trial;
        trial.limit = {.algorithm = algorithm, .hits = hits, .window_ns = 60 * kSecond};
        trial.demand = 0.5;
        trial.lease.target_life_ns = target_life_ns;
        trial.freeze_ns = kSecond;
        std::vector<Measured> all;
        // At moments that have nothing to do with those of calls.
        for (uint64_t seed = 1; seed <= 15; ++seed) {
          trial.seed = seed;
          trial.freeze_at_ns = 35 * kSecond + static_cast<int64_t>(seed) * 1'137 * kMs;
          trial.duration_ns = trial.freeze_at_ns + 2 * kSecond;
          all.push_back(Measure(trial));
        }
        const Spread same = SpreadOf(all, [](const Measured& m) {
          return Ratio(static_cast<double>(m.frozen_same), static_cast<double>(m.frozen_requests));
        });
        const Spread ridden =
            SpreadOf(all, [](const Measured& m) { return 1e3 * Seconds(m.ridden_ns); });
        table.Text(AlgorithmName(algorithm)).Text(ShapeName(trial.limit));
        table.Number(Seconds(target_life_ns), 1);
        const double target_life = Seconds(PlanOf(trial).target_life_ns);
        table.Number(target_life, 2).Number(same.median, 4).Number(same.least, 4);
        table.Number(ridden.median, 0).Number(ridden.least, 0);
        table.Number(ridden.least / 1e3 / target_life, 2).End();
      }
    }
  }
}

// Hits admitted in the second that ends then: a sliding window of a second may hold no more than L.
void Timeline(bool csv) {
  constexpr int64_t kBinNs = 20 * kMs;
  constexpr std::size_t kBinsPerSecond = kSecond / kBinNs;
  Table table(csv, {"scheme", "time_s", "asked", "admitted", "limit"});
  for (const char* const scheme :
       {"shared_store_leased", "shared_store", "local_count", "static_split"}) {
    Trial trial;
    trial.scheme = scheme;
    trial.limit = {.algorithm = Algorithm::kSlidingWindow, .hits = 1'000, .window_ns = kSecond};
    trial.nodes = 10;
    trial.demand = 2;
    trial.arrivals = Arrivals::kQuietCrowd;
    trial.duration_ns = 8 * kSecond;
    trial.bin_ns = kBinNs;
    const Measured m = Measure(trial);
    uint64_t asked = 0;
    uint64_t admitted = 0;
    for (std::size_t i = 0; i < m.admitted_bins.size() - 1; ++i) {
      asked += m.asked_bins[i];
      admitted += m.admitted_bins[i];
      if (i >= kBinsPerSecond) {
        asked -= m.asked_bins[i - kBinsPerSecond];
        admitted -= m.admitted_bins[i - kBinsPerSecond];
      }
      table.Text(scheme).Number(Seconds(static_cast<int64_t>(i + 1) * kBinNs), 2);
      table.Whole(asked).Whole(admitted).Whole(trial.limit.hits).End();
    }
  }
}

void Demand(bool csv) {
  Table table(csv, {"algorithm", "mode", "demand", "calls", "worst_calls", "waits", "worst_waits",
                    "admitted", "by_policy"});
  for (const Algorithm algorithm : kAlgorithms) {
    for (const char* const mode : {"exact", "leased"}) {
      for (const double demand : {0.1, 0.2, 0.4, 0.7, 0.9, 1., 1.2, 1.5, 2., 4., 10., 20.}) {
        Trial trial;
        trial.scheme = std::string(mode) == "exact" ? "shared_store" : "shared_store_leased";
        trial.limit = {.algorithm = algorithm, .hits = 2'000, .window_ns = kSecond};
        trial.demand = demand;
        trial.duration_ns = 6 * kSecond;
        trial.warm_up_ns = 2 * kSecond;
        const auto all = MeasureSeeds(trial);
        const Spread calls = SpreadOf(all, Calls);
        const Spread waits = SpreadOf(all, Waits);
        const Spread admitted = SpreadOf(all, [](const Measured& m) {
          return Ratio(static_cast<double>(m.admitted), static_cast<double>(m.central));
        });
        table.Text(AlgorithmName(algorithm)).Text(mode).Number(demand, 1);
        table.Number(calls.median, 5).Number(calls.most, 5);
        table.Number(waits.median, 5).Number(waits.most, 5).Number(admitted.median, 4);
        table.Number(SpreadOf(all, Policy).most, 0).End();
      }
    }
  }
}

struct Experiment {
  std::string_view name;
  void (*run)(bool csv);
};

constexpr Experiment kExperiments[] = {
    {"admitted", Admitted},      {"fairness", Fairness},      {"calls_by_shape", CallsByShape},
    {"calls_below", CallsBelow}, {"calls_above", CallsAbove}, {"pause", Pause},
    {"timeline", Timeline},      {"demand", Demand},
};

}  // namespace

int RunExperiments(std::string_view name, bool csv) {
  int code = 2;
  for (const Experiment& experiment : kExperiments) {
    if (experiment.name.substr(0, name.size()) != name) continue;
    if (!csv) std::printf("%s\n", std::string(experiment.name).c_str());
    experiment.run(csv);
    code = 0;
  }
  if (code == 0) return code;
  std::fprintf(stderr, "experiments:");
  for (const Experiment& experiment : kExperiments) {
    std::fprintf(stderr, " %s", std::string(experiment.name).c_str());
  }
  std::fprintf(stderr, "\n");
  return code;
}

}  // namespace weir::sim
