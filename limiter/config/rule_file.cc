#include "limiter/config/rule_file.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "limiter/config/rule_file_context.h"
#include "limiter/config/rule_file_level.h"
#include "limiter/config/rule_file_limit.h"
#include "limiter/config/rule_file_metadata.h"
#include "limiter/config/rule_node.h"
#include "limiter/core/rule_table.h"

namespace weir {
namespace {

// Comparisons of wildcards for "unreachable" warnings, about 50 ms of them.
constexpr int64_t kWildcardChecksMax = 1'000'000;

// Reads the content of one file.
class RuleFileReader {
 public:
  explicit RuleFileReader(RuleFileContext* context) : context_(*context) {}

  // nullopt after an error that leaves no domain to put rules into; its descriptors are checked
  // all the same.
  std::optional<DomainSpec> ReadRoot(const YamlNode& node) {
    DomainSpec domain;
    domain.position = context_.At(node);
    if (node.kind != NodeKind::kMap) {
      if (node.kind == NodeKind::kNull) {
        context_.Error(node, "config file cannot have empty domain");
      } else {
        // A file that is all one text may be a key or a password in the wrong folder: not shown.
        context_.Error(node, "error loading config file: the file should be a map with 'domain' " +
                                 std::string("and 'descriptors', but found ") +
                                 (node.kind == NodeKind::kList ? FormatValue(node) : "a text"));
      }
      return std::nullopt;
    }
    if (!context_.Enter(node)) return std::nullopt;
    const RuleMap map = context_.ReadMap(node, RulePlace::kRoot);
    const std::optional<std::string> name = context_.Text(map, RuleKey::kDomain);
    domain.position = context_.At(map.Where(RuleKey::kDomain));
    if (name && name->empty()) {
      context_.Error(map.Where(RuleKey::kDomain), "config file cannot have empty domain");
    }
    domain.descriptors = ReadDescriptors(map);
    context_.Leave();
    if (!name || name->empty() || context_.exhausted()) return std::nullopt;
    domain.domain = *name;
    return domain;
  }

 private:
  std::vector<DescriptorSpec> ReadDescriptors(const RuleMap& map) {
    std::vector<DescriptorSpec> descriptors;
    const std::vector<const YamlNode*> items = context_.Maps(map, RuleKey::kDescriptors);
    descriptors.reserve(items.size());
    for (const YamlNode* item : items) {
      if (!context_.Enter(*item)) break;
      descriptors.push_back(ReadDescriptor(*item));
      context_.Leave();
    }
    return descriptors;
  }

  DescriptorSpec ReadDescriptor(const YamlNode& node) {
    const RuleMap map = context_.ReadMap(node, RulePlace::kDescriptor);
    DescriptorSpec descriptor;
    descriptor.position = context_.At(node);
    const std::optional<std::string> key = context_.Text(map, RuleKey::kKey);
    if (key && key->empty()) {
      context_.Error(map.Where(RuleKey::kKey), "descriptor has empty key");
    }
    descriptor.key = key.value_or("");
    descriptor.value = context_.Text(map, RuleKey::kValue).value_or("");
    descriptor.shadow_mode = context_.Bool(map, RuleKey::kShadowMode);
    descriptor.quota_mode = context_.Bool(map, RuleKey::kQuotaMode);
    descriptor.detailed_metric = context_.Bool(map, RuleKey::kDetailedMetric);
    descriptor.value_to_metric = context_.Bool(map, RuleKey::kValueToMetric);
    descriptor.share_threshold = context_.Bool(map, RuleKey::kShareThreshold);
    if (const YamlNode* limit = map.Find(RuleKey::kRateLimit)) {
      descriptor.rate_limit = ReadRateLimit(*limit, &context_);
    }
    if (const YamlNode* metadata = map.Find(RuleKey::kMetadata)) {
      descriptor.metadata = ReadMetadata(*metadata, &context_);
    }
    descriptor.descriptors = ReadDescriptors(map);
    CheckDescriptor(map, descriptor);
    return descriptor;
  }

  void CheckDescriptor(const RuleMap& map, const DescriptorSpec& descriptor) {
    const std::string composite = CompositeKey(descriptor);
    if (descriptor.share_threshold && !descriptor.key.empty() &&
        composite.find('*') == std::string::npos) {
      context_.Error(map.Where(RuleKey::kShareThreshold),
                     "share_threshold can only be used with wildcard values (containing '*'), "
                     "but found key '" +
                         composite + "'");
    }
    if (map.Has(RuleKey::kRateLimit)) return;
    if (map.At(RuleKey::kRateLimit).key != nullptr) {
      context_.Warn(*map.At(RuleKey::kRateLimit).key,
                    "rate_limit is empty: this descriptor limits nothing");
    }
    for (const RuleKey key :
         {RuleKey::kShadowMode, RuleKey::kQuotaMode, RuleKey::kDetailedMetric}) {
      if (!map.Has(key)) continue;
      context_.Warn(*map.At(key).key,
                    std::string("key '") + RuleKeyName(key) + "' has no effect without rate_limit");
    }
  }

  RuleFileContext& context_;
};

std::optional<DomainSpec> ReadFile(const RuleFile& file, const RuleFileOptions& options,
                                   ProblemList* problems) {
  if (static_cast<int64_t>(file.content.size()) > options.file_bytes_max) {
    problems->Add({Problem::kError,
                   {file.name, 0, 0},
                   "error loading config file: the file has more than " +
                       std::to_string(options.file_bytes_max) + " bytes",
                   ""});
    return std::nullopt;
  }
  YamlDocument document;
  if (const std::optional<YamlError> error =
          document.Parse(file.content, {options.depth_max, options.nodes_max})) {
    problems->Add({Problem::kError,
                   {file.name, error->line, error->column},
                   "error loading config file: " + error->message,
                   ""});
    return std::nullopt;
  }
  RuleFileContext context(file.name, options, problems);
  return RuleFileReader(&context).ReadRoot(Resolve(document.root()));
}

std::vector<const RuleFile*> SortByName(std::span<const RuleFile> files) {
  std::vector<const RuleFile*> sorted;
  for (const RuleFile& file : files) sorted.push_back(&file);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const RuleFile* a, const RuleFile* b) { return a->name < b->name; });
  return sorted;
}

}  // namespace

bool RuleSet::ok() const {
  return std::none_of(problems.begin(), problems.end(),
                      [](const Problem& problem) { return problem.severity == Problem::kError; });
}

RuleSet ParseRuleFiles(std::span<const RuleFile> files, const RuleFileOptions& options) {
  RuleSet rules;
  ProblemList problems(options.problems_max);
  std::unordered_map<std::string, size_t> by_name;
  for (const RuleFile* file : SortByName(files)) {
    if (!file->skip_reason.empty()) {
      problems.Add({Problem::kWarning, {file->name, 0, 0}, "skipped: " + file->skip_reason, ""});
      continue;
    }
    std::optional<DomainSpec> domain = ReadFile(*file, options, &problems);
    if (!domain) continue;
    const auto [it, inserted] = by_name.try_emplace(domain->domain, rules.domains.size());
    if (!inserted && options.merge_domains) {
      std::vector<DescriptorSpec>& merged = rules.domains[it->second].descriptors;
      std::move(domain->descriptors.begin(), domain->descriptors.end(), std::back_inserter(merged));
      continue;
    }
    if (!inserted) {
      problems.Add({Problem::kError, domain->position,
                    "duplicate domain '" + domain->domain + "' in config file",
                    "it is in " + rules.domains[it->second].position.file +
                        " too; MERGE_DOMAIN_CONFIG=true merges them"});
    }
    rules.domains.push_back(*std::move(domain));
  }
  int64_t checks_left = kWildcardChecksMax;
  for (const DomainSpec& domain : rules.domains) CheckDomain(domain, &checks_left, &problems);
  rules.problems = problems.Take();
  return rules;
}

}  // namespace weir
