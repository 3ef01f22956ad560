#pragma once

// The command lines of the commands that CLI11 reads: each function adds a command's options to an
// app, and they write into the given structure when that app parses.

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "limiter/config/rule_file.h"
#include "limiter/tools/query.h"

namespace weir {

struct ValidateOptions {
  std::vector<std::string> paths;
  RuleFileOptions rules;
  bool no_extensions = false;
  std::string format = "text";
};

void AddValidateOptions(CLI::App& app, ValidateOptions& options);
void AddQueryOptions(const QueryForm& form, CLI::App& app, Query& query, std::string& hits);
void AddVersionOptions(CLI::App& app, bool& json);

}  // namespace weir
