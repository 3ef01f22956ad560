// `weir completion`: what a shell completes, from the same tables as the help.

#include <iostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "limiter/tools/command_forms.h"
#include "limiter/tools/commands.h"

namespace weir {
namespace {

std::string Names(const std::vector<CommandForm>& forms) {
  return absl::StrJoin(forms, " ", [](std::string* out, const CommandForm& form) {
    absl::StrAppend(out, form.name);
  });
}

constexpr char kBashHead[] = R"(# bash completion for weir
_weir() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  local command=serve options='' values='' arguments=''
  # Readline takes --name=value for three words.
  if [[ $cur == '=' ]]; then
    cur=''
  elif [[ $prev == '=' ]]; then
    prev=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} != -* ]]; then command=${COMP_WORDS[1]}; fi
)";

constexpr char kBashTail[] = R"(
  if [[ -n $values ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$values" -- "$cur")
  elif [[ $cur == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
  elif [[ -n $arguments ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$arguments" -- "$cur")
  fi
  # What nothing above completes is a file: complete -o default.
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi
}
complete -o default -F _weir weir
)";

std::string Bash() {
  const std::vector<CommandForm> forms = AllCommandForms();
  std::string text(kBashHead);
  std::string values;
  absl::StrAppend(&text, "  if [[ $COMP_CWORD -eq 1 ]]; then arguments='", Names(forms),
                  "'; fi\n  case $command in\n");
  for (const CommandForm& form : forms) {
    std::string options = "--help";
    for (const OptionForm& option : form.options) {
      absl::StrAppend(&options, " ", option.name, option.value.empty() ? "" : "=");
      if (option.choices.empty()) continue;
      absl::StrAppend(&values, "    ", form.name, ":", option.name, ") values='",
                      absl::StrJoin(option.choices, " "), "' ;;\n");
    }
    absl::StrAppend(&text, "    ", form.name, ")\n      options='", options, "'\n");
    if (!form.choices.empty()) {
      absl::StrAppend(&text, "      arguments='", absl::StrJoin(form.choices, " "), "'\n");
    }
    absl::StrAppend(&text, "      ;;\n");
  }
  return absl::StrCat(text, "  esac\n  case $command:$prev in\n", values, "  esac", kBashTail);
}

// Inside an _arguments or _describe text in single quotes.
std::string Zsh(const std::string& text) {
  return absl::StrReplaceAll(
      text, {{"\\", "\\\\"}, {"'", "'\\''"}, {"[", "\\["}, {"]", "\\]"}, {":", "\\:"}});
}

std::string ZshOption(const OptionForm& option) {
  const std::string action = option.choices.empty()
                                 ? "_files"
                                 : absl::StrCat("(", absl::StrJoin(option.choices, " "), ")");
  const std::string value =
      option.value.empty() ? "" : absl::StrCat(":", Zsh(option.value), ":", action);
  const std::string help = absl::StrCat("[", Zsh(option.help), "]", value, "'");
  std::string text =
      absl::StrCat("        '*", option.name, option.value.empty() ? "" : "=", help, " \\\n");
  if (!option.short_name.empty()) {
    absl::StrAppend(&text, "        '*", option.short_name, help, " \\\n");
  }
  return text;
}

constexpr char kZshTail[] = R"(  esac
}
if [[ $funcstack[1] == _weir ]]; then _weir "$@"; else compdef _weir weir; fi
)";

std::string ZshText() {
  std::string text = "#compdef weir\n_weir() {\n  local -a commands=(\n";
  const std::vector<CommandForm> forms = AllCommandForms();
  for (const CommandForm& form : forms) {
    absl::StrAppend(&text, "    '", form.name, ":", Zsh(form.help), "'\n");
  }
  absl::StrAppend(&text, "  )\n",
                  "  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n"
                  "    _describe command commands\n    return\n  fi\n"
                  "  local command=serve\n"
                  "  if [[ $words[2] != -* ]]; then\n"
                  "    command=$words[2]\n    shift words\n    (( CURRENT-- ))\n  fi\n"
                  "  case $command in\n");
  for (const CommandForm& form : forms) {
    absl::StrAppend(&text, "    ", form.name, ")\n      _arguments \\\n");
    for (const OptionForm& option : form.options) absl::StrAppend(&text, ZshOption(option));
    const std::string rest =
        form.choices.empty() ? "_files" : absl::StrCat("(", absl::StrJoin(form.choices, " "), ")");
    absl::StrAppend(&text, "        '(- *)--help[the options of this command]' \\\n",
                    "        '*:argument:", rest, "'\n      ;;\n");
  }
  return absl::StrCat(text, kZshTail);
}

}  // namespace

int RunCompletion(const Arguments& arguments) {
  if (arguments == Arguments{"-h"} || arguments == Arguments{"--help"}) {
    std::cout << "weir completion bash|zsh: prints what the shell completes. For this bash alone:\n"
                 "source <(weir completion bash)\n\nExit codes: 0 done, 2 usage.\n";
    return kExitOk;
  }
  if (arguments == Arguments{"bash"}) {
    std::cout << Bash();
  } else if (arguments == Arguments{"zsh"}) {
    std::cout << ZshText();
  } else {
    std::cerr << "weir completion: name the shell, bash or zsh\n";
    return kExitUsage;
  }
  return kExitOk;
}

}  // namespace weir
