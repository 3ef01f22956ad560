#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "limiter/config/problem.h"
#include "limiter/config/rule_file.h"
#include "limiter/tools/commands.h"
#include "limiter/tools/counted.h"
#include "limiter/tools/rule_paths.h"

namespace weir {

int RunValidate(const Arguments& arguments) {
  std::vector<std::string> paths;
  RuleFileOptions options;
  bool no_extensions = false;
  std::string format = "text";
  CLI::App app("Checks rule files: all problems of all of them.", "weir validate");
  app.add_option("paths", paths, "rule files or folders")->required();
  app.add_flag("--strict", options.strict, "known keys in a wrong place are errors");
  app.add_flag("--merge-domains", options.merge_domains, "files may share a domain");
  app.add_flag("--no-extensions", no_extensions,
               "keys of Weir's own are errors, as with --redis-key-format=ratelimit");
  app.add_option("--format", format, "text, json or github")
      ->check(CLI::IsMember({"text", "json", "github"}))
      ->capture_default_str();
  app.footer("Exit codes: 0 valid, 1 invalid, 2 usage, 3 a path cannot be read.");
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  options.extensions = !no_extensions;
  const absl::StatusOr<std::vector<RuleFile>> files = ReadRulePaths(paths);
  if (!files.ok()) {
    std::cerr << "weir validate: " << files.status().message() << "\n";
    return kExitFailed;
  }
  const RuleSet rules = ParseRuleFiles(*files, options);
  if (format == "json") {
    std::cout << FormatJson(rules.problems) << "\n";
  } else {
    std::map<std::string, std::string> paths_by_name;
    for (const RuleFile& file : *files) paths_by_name[file.name] = file.path;
    for (const Problem& problem : rules.problems) {
      std::cout << (format == "github" ? FormatGithub(problem, paths_by_name[problem.position.file])
                                       : FormatText(problem))
                << "\n";
    }
  }
  if (format == "text" && rules.ok()) {
    std::cout << "ok: " << Counted(rules.domains.size(), "domain") << " in "
              << Counted(files->size(), "file") << "\n";
  }
  return rules.ok() ? kExitOk : kExitNo;
}

}  // namespace weir
