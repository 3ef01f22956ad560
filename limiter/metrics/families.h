#pragma once

// Builds the metric families of one scrape, one after the other. A family that received no series
// is left out.
//
// Thread safety: one thread at a time.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/core/counters.h"
#include "limiter/core/utf8.h"
#include "limiter/metrics/tag.h"
#include "prometheus/metric_family.h"

namespace weir {

// The sums over workers of one method's latency histogram.
struct DurationSums {
  uint64_t buckets[kDurationBoundsNs.size() + 1] = {};  // not cumulative; the last is +Inf
  uint64_t sum_ns = 0;
};

class Families {
 public:
  struct Label {
    std::string_view name;
    std::string_view value;
  };

  // Every series carries `tags`, which outlive the object.
  explicit Families(std::span<const Tag> tags) : tags_(tags) {}

  // Starts a family with room for about `series` series. `help` is written as it is: one line
  // without a backslash.
  void Counter(std::string_view name, std::string_view help, std::size_t series = 1);
  void Gauge(std::string_view name, std::string_view help, std::size_t series = 1);
  void Histogram(std::string_view name, std::string_view help, std::size_t series = 1);

  // Adds a series to the family started last. Label values are valid UTF-8. A label with an empty
  // value is left out, which to Prometheus is the same.
  void Add(std::initializer_list<Label> labels, double value);
  void Add(std::initializer_list<Label> labels, uint64_t value) {
    Add(labels, static_cast<double>(value));
  }
  void Add(std::initializer_list<Label> labels, const DurationSums& durations);

  std::vector<prometheus::MetricFamily> Take();

 private:
  void Begin(std::string_view name, std::string_view help, prometheus::MetricType type,
             std::size_t series);
  prometheus::ClientMetric& NewMetric(std::initializer_list<Label> labels);

  std::span<const Tag> tags_;
  std::vector<prometheus::MetricFamily> families_;
};

}  // namespace weir
