#include "limiter/tools/command_forms.h"

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "limiter/config/settings_table.h"
#include "limiter/tools/command_apps.h"

namespace weir {
namespace {

// CLI11 writes the type of an option as "TEXT:{a,b}" when its values are listed.
void SetValue(const CLI::Option& option, OptionForm& form) {
  if (option.get_items_expected_max() == 0) return;
  const std::vector<std::string> parts = absl::StrSplit(option.get_type_name(), ":{");
  form.value = parts[0].empty() ? "VALUE" : parts[0];
  if (parts.size() < 2) return;
  form.choices = absl::StrSplit(absl::StripSuffix(parts[1], "}"), ',');
}

std::vector<OptionForm> OptionsOf(const CLI::App& app) {
  std::vector<OptionForm> forms;
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || option == app.get_help_ptr()) continue;
    OptionForm form;
    form.name = absl::StrCat("--", option->get_lnames().front());
    if (!option->get_snames().empty()) {
      form.short_name = absl::StrCat("-", option->get_snames().front());
    }
    form.help = option->get_description();
    SetValue(*option, form);
    forms.push_back(std::move(form));
  }
  return forms;
}

std::vector<OptionForm> ServeOptions() {
  std::vector<OptionForm> forms;
  for (const Setting& setting : AllSettings()) {
    forms.push_back({.name = "--" + std::string(setting.name),
                     .short_name = "",
                     .value = "VALUE",
                     .help = std::string(setting.help),
                     .choices = setting.value.choices()});
  }
  forms.push_back({.name = "--print-config",
                   .short_name = "",
                   .value = "",
                   .help = "the effective settings and where each came from, then exit",
                   .choices = {}});
  return forms;
}

// The options and exit codes of a command that CLI11 reads.
template <typename Add>
CommandForm WithApp(CommandForm form, Add add) {
  CLI::App app;
  add(app);
  form.options = OptionsOf(app);
  form.exit_codes = app.get_footer();
  return form;
}

CommandForm Command(std::string name, std::string arguments, std::string help,
                    std::vector<std::string> choices = {}) {
  return {.name = std::move(name),
          .arguments = std::move(arguments),
          .help = std::move(help),
          .options = {},
          .choices = std::move(choices),
          .exit_codes = ""};
}

CommandForm QueryCommand(const QueryForm& query_form, std::string help) {
  return WithApp(Command(query_form.command, "-d DOMAIN KEY=VALUE…", std::move(help)),
                 [&](CLI::App& app) {
                   Query query;
                   std::string hits;
                   AddQueryOptions(query_form, app, query, hits);
                 });
}

CommandForm ServeCommand() {
  CommandForm form =
      Command("serve", "[--SETTING=VALUE …]", "serves; `weir help serve` lists the settings");
  form.options = ServeOptions();
  return form;
}

CommandForm ValidateCommand() {
  return WithApp(Command("validate", "PATH…", "checks rule files"), [](CLI::App& app) {
    ValidateOptions options;
    AddValidateOptions(app, options);
  });
}

CommandForm VersionCommand() {
  return WithApp(Command("version", "[--json]", "what was built, from what and with what"),
                 [](CLI::App& app) {
                   bool json = false;
                   AddVersionOptions(app, json);
                 });
}

}  // namespace

const char kExitCodes[] =
    "Exit codes: 0 done, 1 invalid rules or over the limit, 2 usage or settings, 3 a file, an\n"
    "address or a server could not be reached, or the server refused.";

std::vector<CommandForm> AllCommandForms() {
  std::vector<CommandForm> forms = {
      ServeCommand(),
      ValidateCommand(),
      QueryCommand(kExplainForm, "which rule decides, and why: from files, or --server HOST:PORT"),
      QueryCommand(kCheckForm, "asks a server"),
      Command("settings", "", "the page about all settings, in Markdown"),
      VersionCommand(),
      Command("man", "", "the manual page weir(1), as roff"),
      Command("completion", "SHELL", "completions for bash or zsh", {"bash", "zsh"}),
  };
  std::vector<std::string> names;
  for (const CommandForm& form : forms) names.push_back(form.name);
  forms.push_back(Command("help", "[COMMAND]", "this, or the options of a command", names));
  return forms;
}

std::string UsageText() {
  std::string text = "weir: a rate limiter that runs beside a service or an Envoy proxy.\n\n";
  for (const CommandForm& form : AllCommandForms()) {
    const std::string name = form.name == "serve" ? "[serve]" : form.name;
    const std::string line =
        absl::StrCat("  weir ", name, form.arguments.empty() ? "" : " ", form.arguments);
    // "…" is one column of three bytes.
    constexpr size_t kColumn = 37;
    const size_t columns = line.size() - (line.find("…") == std::string::npos ? 0 : 2);
    absl::StrAppend(&text, line, std::string(columns < kColumn ? kColumn - columns : 1, ' '),
                    form.help, "\n");
  }
  return absl::StrCat(text, "\n", kExitCodes, "\n");
}

}  // namespace weir
