#pragma once

// What each command takes: the one description that help, the manual and the completions print.
//
// Thread safety: functions without shared state.

#include <string>
#include <vector>

namespace weir {

struct OptionForm {
  std::string name;                  // "--domain"
  std::string short_name;            // "-d"; mostly empty
  std::string value;                 // "NAME"; empty: a flag
  std::string help;                  // one sentence or the words of one
  std::vector<std::string> choices;  // all values; empty: any
};

struct CommandForm {
  std::string name;                  // "check"
  std::string arguments;             // "-d DOMAIN KEY=VALUE…"
  std::string help;                  // "asks a server"
  std::vector<OptionForm> options;   // but --help, which all take
  std::vector<std::string> choices;  // of the first argument; empty: any, files among them
  std::string exit_codes;            // "Exit codes: 0 …"; empty: those of all commands
};

// All commands in the order of the help. `serve`'s options are the settings.
std::vector<CommandForm> AllCommandForms();

// What `weir help` says.
std::string UsageText();

// What the commands' exit codes mean together.
extern const char kExitCodes[];

}  // namespace weir
