// The weir program: `weir [serve]` and the commands beside it.

#include <algorithm>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/config/settings_load.h"
#include "limiter/config/settings_print.h"
#include "limiter/serve.h"
#include "limiter/tools/command_forms.h"
#include "limiter/tools/commands.h"

extern char** environ;

namespace {

using weir::Arguments;

struct Command {
  std::string_view name;
  int (*run)(const std::string& program, const Arguments& arguments);
};

bool AsksForHelp(const std::string& argument) { return argument == "-h" || argument == "--help"; }

int RunServe(const std::string& program, const Arguments& arguments) {
  const weir::Environment environment = weir::ReadEnvironment(environ);
  const auto loaded = weir::LoadSettings(program, arguments, environment);
  if (!loaded.ok()) {
    std::cerr << loaded.status().message() << "\n";
    return weir::kExitUsage;
  }
  if (loaded->help) {
    std::cout << weir::SettingsHelp();
    return weir::kExitOk;
  }
  if (loaded->print_config) {
    std::cout << weir::PrintSettings(*loaded);
    return weir::kExitOk;
  }
  return weir::Serve(*loaded);
}

int RunSettings(const std::string&, const Arguments& arguments) {
  if (arguments.size() == 1 && AsksForHelp(arguments[0])) {
    std::cout << "weir settings: prints every setting with its flag, environment variable and\n"
                 "default as the Markdown of docs/settings.md.\n\nExit codes: 0 done, 2 usage.\n";
    return weir::kExitOk;
  }
  if (!arguments.empty()) {
    std::cerr << "weir settings: takes no argument\n";
    return weir::kExitUsage;
  }
  std::cout << weir::SettingsMarkdown();
  return weir::kExitOk;
}

int RunHelp(const std::string& program, const Arguments& arguments);

constexpr Command kCommands[] = {
    {"serve", RunServe},
    {"validate",
     [](const std::string&, const Arguments& arguments) { return weir::RunValidate(arguments); }},
    {"explain",
     [](const std::string& program, const Arguments& arguments) {
       return weir::RunExplain(program, arguments, weir::ReadEnvironment(environ));
     }},
    {"check",
     [](const std::string&, const Arguments& arguments) { return weir::RunCheck(arguments); }},
    {"settings", RunSettings},
    {"version",
     [](const std::string&, const Arguments& arguments) { return weir::RunVersion(arguments); }},
    {"man", [](const std::string&, const Arguments& arguments) { return weir::RunMan(arguments); }},
    {"completion",
     [](const std::string&, const Arguments& arguments) { return weir::RunCompletion(arguments); }},
    {"help", RunHelp},
};

int Run(const std::string& program, const std::string& name, const Arguments& arguments) {
  const auto* const command =
      std::find_if(std::begin(kCommands), std::end(kCommands),
                   [&](const Command& candidate) { return candidate.name == name; });
  if (command != std::end(kCommands)) return command->run(program, arguments);
  std::cerr << "weir: '" << name << "' is no command\n\n" << weir::UsageText();
  return weir::kExitUsage;
}

int RunHelp(const std::string& program, const Arguments& arguments) {
  if (arguments.empty() || AsksForHelp(arguments[0]) || arguments[0] == "help") {
    std::cout << weir::UsageText();
    return weir::kExitOk;
  }
  return Run(program, arguments[0], {"--help"});
}

}  // namespace

int main(int argc, char** argv) {
  std::string program = argc > 0 ? argv[0] : "weir";
  Arguments arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  // An image's entry point is given the command of a compose file, /bin/ratelimit, as an argument.
  if (!arguments.empty() && arguments[0].ends_with("/ratelimit")) {
    program = arguments[0];
    arguments.erase(arguments.begin());
  }
  if (arguments.size() == 1 && AsksForHelp(arguments[0])) return RunHelp(program, {});
  // Flags without a command are those of `serve`.
  if (arguments.empty() || arguments[0].starts_with('-')) return RunServe(program, arguments);
  const std::string command = arguments[0];
  arguments.erase(arguments.begin());
  return Run(program, command, arguments);
}
