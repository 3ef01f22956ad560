#include "limiter/config/settings_print.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/config/rule_node.h"
#include "limiter/config/settings.h"
#include "limiter/config/settings_environment.h"
#include "limiter/config/settings_table.h"

namespace weir {
namespace {

// The native variable, then those of the reference.
std::vector<std::string> VariablesOf(const Setting& setting) {
  std::vector<std::string> names = {NativeVariable(setting.name)};
  for (const ReferenceVariable& variable : AllReferenceVariables()) {
    if (variable.setting == setting.name) names.emplace_back(variable.name);
  }
  return names;
}

std::string Join(const std::vector<std::string>& items, std::string_view separator) {
  std::string out;
  for (size_t i = 0; i < items.size(); ++i) out.append(i > 0 ? separator : "").append(items[i]);
  return out;
}

// A default in `quote`s, and that of compat mode where it is another.
std::string DefaultOf(const Setting& setting, std::string_view quote) {
  const auto quoted = [&](Compat compat) {
    const std::vector<std::string> texts = setting.value.print(DefaultSettings(compat));
    const std::string text = Displayed(setting, texts);
    return text.empty() ? "empty" : std::string(quote).append(text).append(quote);
  };
  std::string native = quoted(Compat::kNone);
  const std::string reference = quoted(Compat::kRatelimit);
  if (setting.name == "compat" || native == reference) return native;
  return native + "; " + reference + " in compat mode";
}

// A double-quoted YAML scalar. UTF-8 passes as it is.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') out += '\\';
    if (byte >= 0x20 && byte != 0x7F) {
      out += c;
      continue;
    }
    std::array<char, 8> escape{};
    std::snprintf(escape.data(), escape.size(), "\\x%02X", byte);
    out += escape.data();
  }
  return out + "\"";
}

// Plain where nothing can take it for something else.
std::string YamlText(ValueKind kind, const std::string& text) {
  if (kind == ValueKind::kBool || kind == ValueKind::kNumber) return text;
  const bool simple = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  YamlNode node;
  node.kind = NodeKind::kScalar;
  node.plain = true;
  node.text = text;
  const bool plain = simple && text.front() != '-' && ResolveScalar(node).type == ScalarType::kText;
  return plain ? text : Quoted(text);
}

std::string YamlValue(const Setting& setting, const Settings& settings) {
  std::vector<std::string> texts = setting.value.print(settings);
  if (setting.secrecy != Secrecy::kNone) return Quoted(Displayed(setting, texts));
  for (std::string& text : texts) text = YamlText(setting.value.kind, text);
  if (setting.value.kind != ValueKind::kList) return texts.front();
  return "[" + Join(texts, ", ") + "]";
}

// One row for neighbours that are treated alike.
std::string ReferenceRows() {
  std::string out;
  std::string names;
  std::string text;
  const auto end_row = [&] {
    if (!names.empty()) out.append("| ").append(names).append(" | ").append(text).append(" |\n");
  };
  for (const ReferenceVariable& variable : AllReferenceVariables()) {
    const std::string next = TreatmentText(variable);
    if (next != text) {
      end_row();
      names.clear();
      text = next;
    }
    names.append(names.empty() ? "`" : ", `").append(variable.name).append("`");
  }
  end_row();
  return out;
}

// A comment ends at the end of its line.
std::string OneLine(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return text;
}

}  // namespace

std::string SettingsHelp() {
  std::string out =
      "Usage: weir serve [--NAME=VALUE | --NAME VALUE]…\n"
      "\n"
      "Serves rate limits until SIGTERM. Each setting is a flag, an environment variable or a key\n"
      "of the server file (--config), in this order of precedence.\n"
      "\n"
      "  --help, -h      this text\n"
      "  --print-config  the effective settings and where each came from, then exit\n";
  int group = -1;
  for (const Setting& setting : AllSettings()) {
    if (static_cast<int>(setting.group) != group) {
      group = static_cast<int>(setting.group);
      out.append("\n").append(SettingGroupTitle(setting.group)).append("\n");
    }
    out.append("  --").append(setting.name).append("\n");
    out.append("      ").append(setting.help).append("\n");
    out.append("      value: ").append(setting.value.form()).append("\n");
    out.append("      default: ").append(DefaultOf(setting, "")).append("\n");
    out.append("      environment: ").append(Join(VariablesOf(setting), ", ")).append("\n");
  }
  return out;
}

std::string PrintSettings(const LoadedSettings& loaded) {
  std::string out;
  int group = -1;
  for (const Setting& setting : AllSettings()) {
    if (static_cast<int>(setting.group) != group) {
      group = static_cast<int>(setting.group);
      out.append(out.empty() ? "# " : "\n# ").append(SettingGroupTitle(setting.group)).append("\n");
    }
    // A server file cannot name itself.
    if (setting.name == "config") out += "# ";
    out.append(setting.name).append(": ").append(YamlValue(setting, loaded.settings));
    const auto origin = loaded.origins.find(setting.name);
    if (origin != loaded.origins.end()) {
      out.append("  # ").append(OneLine(FormatOrigin(origin->second)));
    }
    out += '\n';
  }
  return out;
}

std::string SettingsJson(const LoadedSettings& loaded) {
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const Setting& setting : AllSettings()) {
    const std::vector<std::string> texts = setting.value.print(loaded.settings);
    nlohmann::ordered_json& item = all[std::string(setting.name)];
    const std::string text = texts.empty() ? "" : texts.front();
    if (setting.secrecy != Secrecy::kNone) {
      item["value"] = Displayed(setting, texts);
    } else if (setting.value.kind == ValueKind::kList) {
      item["value"] = texts;
    } else if (setting.value.kind == ValueKind::kBool) {
      item["value"] = text == "true";
    } else {
      item["value"] = text;
    }
    const auto origin = loaded.origins.find(setting.name);
    if (origin != loaded.origins.end()) item["origin"] = FormatOrigin(origin->second);
  }
  return all.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string SettingsMarkdown() {
  std::string out =
      "# Settings\n"
      "\n"
      "Every setting has one name and three forms: the flag `--NAME` of `weir serve`, the "
      "environment variable in the last column, and the key `NAME` of the server file, a YAML map "
      "given with `--config`. A flag wins over the environment, the environment over the server "
      "file, the server file over the default. `weir serve --print-config` prints the effective "
      "settings in the form of a server file, each with its origin.\n"
      "\n"
      "A bad value stops the start with an error that names it and the accepted form; so does a "
      "flag or a key that does not exist. Durations are written `5s`, `200ms`, `1h30m`; sizes in "
      "bytes or `64KiB`, `256MiB`, `1GiB`.\n"
      "\n"
      "Passwords, also those inside a URL, are printed nowhere: `(masked)` stands in their place.\n"
      "\n"
      "*Compat mode* is `--compat=ratelimit`, the default of a program named `ratelimit`. The "
      "environment variables of envoyproxy/ratelimit are understood in both modes; `WEIR_…` wins "
      "over them.\n"
      "\n"
      "This page is made by the program from its table of settings; a test keeps both the same.\n";
  int group = -1;
  for (const Setting& setting : AllSettings()) {
    if (static_cast<int>(setting.group) != group) {
      group = static_cast<int>(setting.group);
      out.append("\n## ").append(SettingGroupTitle(setting.group)).append("\n\n");
      out += "| name | meaning | value | default | environment |\n|---|---|---|---|---|\n";
    }
    out.append("| `").append(setting.name).append("` | ").append(setting.help);
    out.append(" | ").append(setting.value.form());
    out.append(" | ").append(DefaultOf(setting, "`"));
    out.append(" | `").append(Join(VariablesOf(setting), "`, `")).append("` |\n");
  }
  out +=
      "\n## Environment variables of envoyproxy/ratelimit\n"
      "\n"
      "What is ignored with a warning changes nothing that is enforced. What would change it and "
      "is not built yet is refused: Weir does not start. A variable that is set to nothing counts "
      "as unset where it is ignored or refused.\n"
      "\n"
      "| variable | Weir |\n|---|---|\n";
  return out + ReferenceRows();
}

}  // namespace weir
