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
constexpr char kReplacement[] = "\xEF\xBF\xBD";

// Bytes of the well-formed sequence at `at` (Unicode 15, table 3-7), 0 if there is none.
std::size_t SequenceBytes(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0U;
  };
  const auto continues = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    const unsigned low = lead == 0xE0 ? 0xA0 : 0x80;   // no overlong forms
    const unsigned high = lead == 0xED ? 0x9F : 0xBF;  // no surrogates
    return byte(1) >= low && byte(1) <= high && continues(2) ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const unsigned low = lead == 0xF0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xF4 ? 0x8F : 0xBF;  // nothing above U+10FFFF
    return byte(1) >= low && byte(1) <= high && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string ValidUtf8(std::string_view text) {
  std::string valid;
  valid.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bytes = SequenceBytes(text, at);
    if (bytes == 0) {
      valid += kReplacement;
      ++at;
    } else {
      valid.append(text, at, bytes);
      at += bytes;
    }
  }
  return valid;
}

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
