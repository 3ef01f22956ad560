#pragma once

// The commands of the weir program beside `serve`. Each takes its arguments without the program's
// and its own name, writes to standard output (errors to standard error) and returns the exit code.
// Each answers -h and --help.

#include <string>
#include <vector>

#include "limiter/config/settings_environment.h"

namespace weir {

// Exit codes, the same for all commands.
inline constexpr int kExitOk = 0;
inline constexpr int kExitNo = 1;      // invalid rules; over the limit
inline constexpr int kExitUsage = 2;   // a bad command line or setting, or no random bytes at start
inline constexpr int kExitFailed = 3;  // a file, an address or a server could not be reached

using Arguments = std::vector<std::string>;

// validate PATH… [--strict] [--merge-domains] [--format text|json|github]: checks rule files.
int RunValidate(const Arguments& arguments);
// explain -d DOMAIN KEY=VALUE… [--hits N] [--rules PATH]… | [--config FILE] | [--server HOST:PORT]
// [--json]: which rule decides, and why. Reads the rules where a server named `program` with these
// settings would, unless told otherwise.
int RunExplain(const std::string& program, const Arguments& arguments,
               const Environment& environment);
// check -d DOMAIN KEY=VALUE… [--hits N] [--server HOST:PORT] [--json]: asks a server; exit code 1
// when over the limit.
int RunCheck(const Arguments& arguments);
// version [--json]
int RunVersion(const Arguments& arguments);
// man: the manual page.
int RunMan(const Arguments& arguments);
// completion bash|zsh
int RunCompletion(const Arguments& arguments);

}  // namespace weir
