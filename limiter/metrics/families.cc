#include "limiter/metrics/families.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {
namespace {

constexpr double kNsPerSecond = 1e9;

}  // namespace

void Families::Counter(std::string_view name, std::string_view help, std::size_t series) {
  Begin(name, help, prometheus::MetricType::Counter, series);
}

void Families::Gauge(std::string_view name, std::string_view help, std::size_t series) {
  Begin(name, help, prometheus::MetricType::Gauge, series);
}

void Families::Histogram(std::string_view name, std::string_view help, std::size_t series) {
  Begin(name, help, prometheus::MetricType::Histogram, series);
}

void Families::Begin(std::string_view name, std::string_view help, prometheus::MetricType type,
                     std::size_t series) {
  if (!families_.empty() && families_.back().metric.empty()) families_.pop_back();
  prometheus::MetricFamily& family = families_.emplace_back();
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.reserve(series);
}

prometheus::ClientMetric& Families::NewMetric(std::initializer_list<Label> labels) {
  prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
  metric.label.reserve(tags_.size() + labels.size());
  for (const Tag& tag : tags_) {
    if (!tag.value.empty()) metric.label.push_back({tag.name, tag.value});
  }
  for (const Label& label : labels) {
    if (label.value.empty()) continue;
    prometheus::ClientMetric::Label& added = metric.label.emplace_back();
    added.name = label.name;
    added.value = label.value;
  }
  return metric;
}

void Families::Add(std::initializer_list<Label> labels, double value) {
  const bool counter = families_.back().type == prometheus::MetricType::Counter;
  prometheus::ClientMetric& metric = NewMetric(labels);
  (counter ? metric.counter.value : metric.gauge.value) = value;
}

void Families::Add(std::initializer_list<Label> labels, const DurationSums& durations) {
  prometheus::ClientMetric::Histogram& histogram = NewMetric(labels).histogram;
  histogram.bucket.reserve(kDurationBoundsNs.size() + 1);
  uint64_t count = 0;
  for (std::size_t i = 0; i <= kDurationBoundsNs.size(); ++i) {
    count += durations.buckets[i];
    const double bound = i < kDurationBoundsNs.size()
                             ? static_cast<double>(kDurationBoundsNs[i]) / kNsPerSecond
                             : std::numeric_limits<double>::infinity();
    histogram.bucket.push_back({count, bound});
  }
  // Counted from the buckets, so that _count equals the +Inf bucket in every scrape.
  histogram.sample_count = count;
  histogram.sample_sum = static_cast<double>(durations.sum_ns) / kNsPerSecond;
}

std::vector<prometheus::MetricFamily> Families::Take() {
  if (!families_.empty() && families_.back().metric.empty()) families_.pop_back();
  return std::exchange(families_, {});
}

}  // namespace weir
