#include <CLI/CLI.hpp>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "limiter/config/problem.h"
#include "limiter/config/rule_file.h"
#include "limiter/tools/command_apps.h"
#include "limiter/tools/commands.h"
#include "limiter/tools/counted.h"
#include "limiter/tools/rule_paths.h"

namespace weir {

void AddValidateOptions(CLI::App& app, ValidateOptions& options) {
  app.description("Checks rule files: all problems of all of them.");
  app.add_option("paths", options.paths, "rule files or folders")->required();
  app.add_flag("--strict", options.rules.strict, "known keys in a wrong place are errors");
  app.add_flag("--merge-domains", options.rules.merge_domains, "files may share a domain");
  app.add_flag("--no-extensions", options.no_extensions,
               "keys of Weir's own are errors, as with --redis-key-format=ratelimit");
  app.add_option("--format", options.format, "text, json or github")
      ->check(CLI::IsMember({"text", "json", "github"}))
      ->capture_default_str();
  app.footer("Exit codes: 0 valid, 1 invalid, 2 usage, 3 a path cannot be read.");
}

int RunValidate(const Arguments& arguments) {
  ValidateOptions options;
  CLI::App app("", "weir validate");
  AddValidateOptions(app, options);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  options.rules.extensions = !options.no_extensions;
  const absl::StatusOr<std::vector<RuleFile>> files = ReadRulePaths(options.paths);
  if (!files.ok()) {
    std::cerr << "weir validate: " << files.status().message() << "\n";
    return kExitFailed;
  }
  const RuleSet rules = ParseRuleFiles(*files, options.rules);
  if (options.format == "json") {
    std::cout << FormatJson(rules.problems) << "\n";
  } else {
    std::map<std::string, std::string> paths_by_name;
    for (const RuleFile& file : *files) paths_by_name[file.name] = file.path;
    for (const Problem& problem : rules.problems) {
      std::cout << (options.format == "github"
                        ? FormatGithub(problem, paths_by_name[problem.position.file])
                        : FormatText(problem))
                << "\n";
    }
  }
  if (options.format == "text" && rules.ok()) {
    std::cout << "ok: " << Counted(rules.domains.size(), "domain") << " in "
              << Counted(files->size(), "file") << "\n";
  }
  return rules.ok() ? kExitOk : kExitNo;
}

}  // namespace weir
