#pragma once

// Reads rule files: the YAML of envoyproxy/ratelimit with all its keys, and Weir's extensions
// under `rate_limit`. docs/rules.md lists the keys, what each means, and the errors.
//
// The steps, one file each: rule_node (YAML to nodes), rule_file_context (maps, keys and scalars),
// rule_file_limit and rule_file_metadata (the contents of a descriptor), rule_file (files and
// descriptors), rule_file_level (what only shows beside a descriptor's siblings).
//
// Thread safety: functions without shared state.
//
// Example:
//   auto files = ReadRuleFolder("/etc/weir/rules", {});
//   if (!files.ok()) …
//   RuleSet rules = ParseRuleFiles(*files, {});
//   for (const Problem& problem : rules.problems) log(FormatText(problem));
//   if (rules.ok()) table = RuleTable::Build(rules.domains);

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "limiter/config/problem.h"
#include "limiter/core/rule_spec.h"

namespace weir {

struct RuleFile {
  std::string name;         // path below the rules folder joined by dots: "team.search.yaml"
  std::string content;      // YAML
  std::string path;         // where it was read, for tools; may be empty
  std::string skip_reason;  // not empty: the file is not a rule file; it only causes a warning
};

struct RuleFileOptions {
  // Behaviour.
  bool merge_domains = false;  // several files may share a domain (MERGE_DOMAIN_CONFIG)
  bool strict = false;         // a known key in a wrong place is an error instead of a warning
  bool extensions = true;      // false: Weir's own keys are errors, wherever they stand

  // Bounds, per file; a file beyond one is an error.
  int64_t file_bytes_max = 32 << 20;  // 100,000 rules are about 11 MB
  int depth_max = 32;                 // nested YAML lists and maps: 15 levels of descriptors
  int64_t nodes_max = 3000000;        // YAML nodes, an alias counted again at each use

  // Over all files: of more problems than this, of each severity, only the number is reported.
  int problems_max = 1000;
};

struct RuleSet {
  // In the order of the files' names, merged ones at their first file. Complete only if ok().
  std::vector<DomainSpec> domains;
  // Of all files, ordered by file, line and column.
  std::vector<Problem> problems;

  // No errors; warnings do not count.
  bool ok() const;
};

// Reads all files, in the order of their names whatever their order in `files`, and reports all
// problems of all of them; only a file that is not YAML stops at its first. No files give an empty
// set, which is ok. Cannot fail otherwise, and throws nothing but std::bad_alloc.
RuleSet ParseRuleFiles(std::span<const RuleFile> files, const RuleFileOptions& options);

}  // namespace weir
