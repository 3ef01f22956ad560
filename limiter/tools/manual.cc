// `weir man`: the manual page, from the same tables as the help.

#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "limiter/config/settings_table.h"
#include "limiter/runtime/version.h"
#include "limiter/tools/command_forms.h"
#include "limiter/tools/commands.h"

namespace weir {
namespace {

// Text as roff shows it: a backslash, a hyphen that can be copied, no request at the start.
std::string Roff(const std::string& text) {
  std::string out =
      absl::StrReplaceAll(text, {{"\\", "\\e"}, {"-", "\\-"}, {"\n", " "}, {"…", "\\&..."}});
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string Synopsis(const CommandForm& form) {
  const std::string name = form.name == "serve" ? "" : " " + form.name;
  return absl::StrCat(".B weir", Roff(name), "\n", Roff(form.arguments), "\n");
}

std::string Option(const OptionForm& option) {
  std::string head = absl::StrCat("\\fB", Roff(option.name), "\\fR");
  if (!option.short_name.empty()) {
    head = absl::StrCat("\\fB", Roff(option.short_name), "\\fR, ", head);
  }
  if (!option.value.empty()) absl::StrAppend(&head, "=\\fI", Roff(option.value), "\\fR");
  return absl::StrCat(".TP\n", head, "\n", Roff(option.help), "\n");
}

std::string Commands() {
  std::string text = ".SH COMMANDS\n";
  for (const CommandForm& form : AllCommandForms()) {
    absl::StrAppend(&text, ".SS \"weir ", form.name, form.arguments.empty() ? "" : " ",
                    Roff(form.arguments), "\"\n", Roff(form.help), "\n");
    // The settings have a section of their own, with their forms and groups.
    if (form.name == "serve") {
      absl::StrAppend(&text, Option(form.options.back()));
      continue;
    }
    for (const OptionForm& option : form.options) absl::StrAppend(&text, Option(option));
    if (!form.exit_codes.empty()) absl::StrAppend(&text, ".PP\n", Roff(form.exit_codes), "\n");
  }
  return text;
}

std::string SettingsSection() {
  std::string text =
      ".SH SETTINGS\n"
      "Each is a flag of \\fBweir serve\\fR, an environment variable (\\fB\\-\\-grpc\\-listen\\fR "
      "is "
      "WEIR_GRPC_LISTEN) and a key of the server file (\\fB\\-\\-config\\fR), in this order of "
      "precedence.\n";
  std::string group;
  for (const Setting& setting : AllSettings()) {
    if (SettingGroupTitle(setting.group) != group) {
      group = SettingGroupTitle(setting.group);
      absl::StrAppend(&text, ".SS \"", Roff(group), "\"\n");
    }
    absl::StrAppend(&text, ".TP\n.B ", Roff("--" + std::string(setting.name)), "\n",
                    Roff(std::string(setting.help)), "\n.br\nValue: ", Roff(setting.value.form()),
                    ".\n");
    const std::string usual =
        Displayed(setting, setting.value.print(DefaultSettings(Compat::kNone)));
    if (!usual.empty()) absl::StrAppend(&text, "Default: ", Roff(usual), ".\n");
  }
  return text;
}

constexpr char kTail[] =
    R"(.SH SIGNALS
.TP
SIGTERM, SIGINT
Health says NOT_SERVING for \-\-drain\-delay; then calls may end within \-\-drain\-max.
.TP
SIGHUP
Reads the rule files, the enforcement file and the certificates at once.
.SH FILES
.TP
.I /etc/weir/weir.yaml
The server file of the packaged service.
.TP
.I /etc/weir/rules
The rule files, watched for changes.
.SH SEE ALSO
.BR systemctl (1)
)";

std::string ManualPage() {
  std::string text = absl::StrCat(".TH WEIR 1 \"\" \"weir ", kVersion, "\" \"User Commands\"\n",
                                  ".SH NAME\nweir \\- rate limiter that runs beside a service or "
                                  "an Envoy proxy\n.SH SYNOPSIS\n");
  std::string separator;
  for (const CommandForm& form : AllCommandForms()) {
    absl::StrAppend(&text, separator, Synopsis(form));
    separator = ".br\n";
  }
  absl::StrAppend(&text, ".SH DESCRIPTION\n",
                  "Callers ask over gRPC whether a request may pass. Weir answers from memory, or "
                  "shares limits with other Weirs through Redis. Rules are the files of a folder; "
                  "a changed file is in force within a second.\n");
  return absl::StrCat(text, Commands(), SettingsSection(), ".SH EXIT STATUS\n", Roff(kExitCodes),
                      "\n", kTail);
}

}  // namespace

int RunMan(const Arguments& arguments) {
  if (!arguments.empty() && arguments != Arguments{"-h"} && arguments != Arguments{"--help"}) {
    std::cerr << "weir man: takes no argument\n";
    return kExitUsage;
  }
  if (!arguments.empty()) {
    std::cout << "weir man: prints the manual page weir(1); `weir man | man -l -` shows it.\n\n"
                 "Exit codes: 0 done, 2 usage.\n";
    return kExitOk;
  }
  std::cout << ManualPage();
  return kExitOk;
}

}  // namespace weir
