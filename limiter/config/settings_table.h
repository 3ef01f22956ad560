#pragma once

// The one table of settings: the flag --NAME, the key NAME of the server file and the variable
// WEIR_NAME all come from it, and so do --help, --print-config and docs/settings.md.
//
// Thread safety: constant data.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/config/settings.h"

namespace weir {

enum class SettingGroup : uint8_t {
  kStart,
  kRules,
  kListeners,
  kLimiting,
  kStore,
  kRedis,
  kRedisPerSecond,
  kAnswers,
  kHealth,
  kLogs,
  kMetrics,
  kRequestBounds,
  kConnectionBounds,
  kRuleBounds,
};
inline constexpr int kSettingGroupCount = 14;
std::string_view SettingGroupTitle(SettingGroup group);

enum class ValueKind : uint8_t { kBool, kNumber, kText, kList };

// How text becomes one field of Settings and back.
struct ValueAccess {
  ValueKind kind;
  // What is accepted, as the end of "must be …": "true or false", "a number from 1 to 256".
  std::string (*form)();
  // Takes one text, or several of a kList. False, and nothing assigned, if they are not in the
  // form. REQUIRES: at least one text.
  bool (*assign)(std::span<const std::string> texts, Settings& settings);
  // The field as texts that assign reads back: one, or any number of a kList.
  std::vector<std::string> (*print)(const Settings& settings);
  // All values there are; empty if they cannot be listed.
  std::vector<std::string> (*choices)();
};

// What of a value is never printed.
enum class Secrecy : uint8_t { kNone, kWhole, kLoginOfUrl };

struct Setting {
  std::string_view name;  // "grpc-listen"
  SettingGroup group;
  ValueAccess value;
  std::string_view help;  // one sentence with unit
  Secrecy secrecy = Secrecy::kNone;
};

// All settings, those of a group together.
std::span<const Setting> AllSettings();

// nullptr if there is none of this name.
const Setting* FindSetting(std::string_view name);

// "WEIR_GRPC_LISTEN" of "grpc-listen".
std::string NativeVariable(std::string_view name);

// The setting whose name a misspelt one is near; nullptr if none is.
const Setting* NearestSetting(std::string_view name);

// Texts as shown to people: joined by commas, "(masked)" in place of a secret that is not empty.
std::string Displayed(const Setting& setting, std::span<const std::string> texts);

}  // namespace weir
