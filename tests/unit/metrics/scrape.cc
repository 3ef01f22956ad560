#include "tests/unit/metrics/scrape.h"

#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/core/rule_table.h"
#include "limiter/metrics/render.h"

namespace weir {
namespace {

constexpr int64_t kMinuteNs = 60'000'000'000;

struct SilentCheck : Check {
  void OnChecked() override {}
};

}  // namespace

DescriptorSpec MinuteRule(std::string key, std::string value, uint32_t hits) {
  DescriptorSpec descriptor;
  descriptor.key = std::move(key);
  descriptor.value = std::move(value);
  RuleSpec rule;
  rule.limit.hits = hits;
  rule.limit.window_ns = kMinuteNs;
  rule.unit = Unit::kMinute;
  descriptor.rate_limit = rule;
  return descriptor;
}

DomainSpec DomainOf(std::string name, std::vector<DescriptorSpec> descriptors) {
  DomainSpec domain;
  domain.domain = std::move(name);
  domain.descriptors = std::move(descriptors);
  return domain;
}

double Scrape::Of(std::string_view series) const {
  const auto found = values.find(std::string(series));
  return found == values.end() ? -1 : found->second;
}

int Scrape::Count(std::string_view prefix) const {
  int count = 0;
  for (const auto& [series, value] : values) count += series.rfind(prefix, 0) == 0 ? 1 : 0;
  return count;
}

Scrape Parse(std::string text) {
  Scrape scrape;
  scrape.text = std::move(text);
  std::istringstream lines(scrape.text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, keyword, name;
    if (line.rfind("# ", 0) == 0) {
      words >> hash >> keyword >> name;
      ++(keyword == "HELP" ? scrape.helps : scrape.types)[name];
      continue;
    }
    const std::size_t space = line.rfind(' ');
    const double value = std::strtod(line.c_str() + space + 1, nullptr);
    scrape.duplicates |= !scrape.values.emplace(line.substr(0, space), value).second;
  }
  return scrape;
}

Tested::Tested(const TestedOptions& options)
    : series(options.series_max),
      store(options.store),
      engine(options.engine, clock, store, executor, series) {}

void Tested::SetRules(const std::vector<DomainSpec>& domains) {
  engine.SetRules(RuleTable::Build(domains, RuleTableOptions{}, series));
}

void Tested::Ask(Worker& worker, std::string_view domain, const Entries& entries, uint64_t hits,
                 Op op) {
  std::vector<Entry> views;
  for (const auto& [key, value] : entries) views.push_back({key, value});
  SilentCheck check;
  check.domain = domain;
  check.descriptors.push_back({.entries = views, .limit = {}, .op = op, .hits = hits});
  engine.Run(worker, check);
}

Scrape Tested::Get(EngineCollectorOptions options) {
  const EngineCollector collector(engine, &store.cells(), config, std::move(options));
  const prometheus::Collectable* const all[] = {&collector};
  return Parse(RenderMetrics(all));
}

}  // namespace weir
