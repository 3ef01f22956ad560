// Any bytes as a rule file: never a crash, and whatever is accepted compiles and can be asked.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "limiter/config/rule_file.h"
#include "limiter/core/rule_table.h"
#include "limiter/core/series.h"

namespace {

constexpr int64_t kFileBytesMax = 64 << 10;

void Ask(const weir::RuleTable& table, const std::vector<weir::DescriptorSpec>& descriptors,
         const weir::RuleTable::Domain& domain, std::vector<weir::Entry>& entries) {
  std::string scratch;
  for (const weir::DescriptorSpec& descriptor : descriptors) {
    entries.push_back({descriptor.key, descriptor.value});
    table.Find(domain, entries, scratch);
    Ask(table, descriptor.descriptors, domain, entries);
    entries.pop_back();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string content(reinterpret_cast<const char*>(data), size);
  const weir::RuleFile file{"fuzz.yaml", content, "", ""};
  const weir::RuleSet rules =
      weir::ParseRuleFiles({&file, 1}, {.file_bytes_max = kFileBytesMax, .nodes_max = 10'000});
  for (const weir::Problem& problem : rules.problems) {
    if (weir::FormatText(problem).find('\n') != std::string::npos) std::abort();
  }
  if (!rules.ok()) return 0;
  weir::SeriesRegistry series(1000);
  const auto table = weir::RuleTable::Build(rules.domains, {}, series);
  for (const weir::DomainSpec& spec : rules.domains) {
    const weir::RuleTable::Domain* domain = table->FindDomain(spec.domain);
    if (domain == nullptr) std::abort();
    std::vector<weir::Entry> entries;
    Ask(*table, spec.descriptors, *domain, entries);
  }
  return 0;
}
