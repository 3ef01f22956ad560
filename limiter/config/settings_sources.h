#pragma once

// Settings from the command line and from the server file, as text that is not checked yet.
//
// Thread safety: functions without shared state.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/config/settings_table.h"

namespace weir {

struct FlagValue {
  const Setting* setting = nullptr;
  std::vector<std::string> texts;  // of a list: all that were given; else the last
};

struct FlagReading {
  std::vector<FlagValue> values;  // at most one per setting
  std::vector<std::string> errors;
  bool help = false;          // --help or -h
  bool print_config = false;  // --print-config
};

// --NAME=VALUE, --NAME VALUE, and --NAME alone for true.
FlagReading ReadSettingsFlags(std::span<const std::string> arguments);

struct FileValue {
  const Setting* setting = nullptr;
  std::vector<std::string> texts;  // at least one; of a list: its items
  int line = 0;
};

struct FileReading {
  std::vector<FileValue> values;    // at most one per setting
  std::vector<std::string> errors;  // "PATH:LINE: what is wrong"
};

// A YAML map from names of settings to values; a list of values where a setting takes several. A
// file without content sets nothing.
FileReading ReadSettingsYaml(const std::string& path, std::string_view content);

}  // namespace weir
