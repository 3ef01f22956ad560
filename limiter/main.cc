// The weir program: `weir [serve]` and the commands beside it.

#include <iostream>
#include <string>
#include <vector>

#include "limiter/config/settings_load.h"
#include "limiter/config/settings_print.h"
#include "limiter/serve.h"
#include "limiter/tools/commands.h"

extern char** environ;

namespace {

constexpr char kUsage[] =
    R"(weir: a rate limiter that runs beside a service or an Envoy proxy.

  weir [serve] [--SETTING=VALUE …]   serves; `weir serve --help` lists the settings
  weir validate PATH…                checks rule files
  weir explain -d DOMAIN KEY=VALUE…  which rule decides, and why
  weir check -d DOMAIN KEY=VALUE…    asks a server
  weir version [--json]

Exit codes: 0 done, 1 invalid rules or over the limit, 2 usage, 3 failed.
)";

int RunServe(const std::string& program, const std::vector<std::string>& arguments) {
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

}  // namespace

int main(int argc, char** argv) {
  const std::string program = argc > 0 ? argv[0] : "weir";
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (arguments.empty() || arguments[0].starts_with("--")) {
    if (arguments == std::vector<std::string>{"--help"}) {
      std::cout << kUsage;
      return weir::kExitOk;
    }
    return RunServe(program, arguments);
  }
  const std::string command = arguments[0];
  arguments.erase(arguments.begin());
  if (command == "serve") return RunServe(program, arguments);
  if (command == "validate") return weir::RunValidate(arguments);
  if (command == "explain") return weir::RunExplain(arguments);
  if (command == "check") return weir::RunCheck(arguments);
  if (command == "version") return weir::RunVersion(arguments);
  if (command == "settings") {  // docs/settings.md, for whoever changed the table
    std::cout << weir::SettingsMarkdown();
    return weir::kExitOk;
  }
  if (command == "help") {
    std::cout << kUsage;
    return weir::kExitOk;
  }
  std::cerr << "weir: '" << command << "' is no command\n\n" << kUsage;
  return weir::kExitUsage;
}
