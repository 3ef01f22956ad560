#pragma once

// The settings as text for people, all from the one table.
//
// Thread safety: functions without shared state.

#include <string>

#include "limiter/config/settings_load.h"

namespace weir {

// What `weir serve --help` says: each setting with meaning, form, default and variables.
std::string SettingsHelp();

// The effective settings as a server file, each with its origin in a comment; secrets are masked.
std::string PrintSettings(const LoadedSettings& loaded);

// The same as a JSON object: by name the value (a list of texts for a list) and its origin.
std::string SettingsJson(const LoadedSettings& loaded);

// docs/settings.md.
std::string SettingsMarkdown();

}  // namespace weir
