#pragma once

// Settings from the environment: WEIR_GRPC_LISTEN for --grpc-listen and so on, and the variables of
// envoyproxy/ratelimit, each of which sets a setting, is ignored with a warning, has no effect
// because Weir already behaves so, or is refused because to ignore it would change what is
// enforced.
//
// Thread safety: constant data, and functions without shared state.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/config/settings.h"
#include "limiter/config/settings_table.h"

namespace weir {

using Environment = std::map<std::string, std::string>;

// From "NAME=value" entries, ended by a null pointer, as in environ(7).
Environment ReadEnvironment(const char* const* entries);

enum class Treatment : uint8_t {
  kSets,              // the same value as the setting's own
  kMaps,              // sets the setting, in another form or with other variables
  kIgnored,           // one warning
  kIgnoredWhenFalse,  // one warning; no effect when true
  kNoEffect,          // silent
  kRefusedWhenTrue,   // an error; no effect when false
  kConfigType,        // CONFIG_TYPE
  kNeedsTls,          // sets the setting with GRPC_SERVER_USE_TLS, a warning without it
  kNeedsXds,          // belongs to CONFIG_TYPE=GRPC_XDS_SOTW, a warning without it
};

// A variable of the reference. REDIS_… have no effect where the memory store was chosen.
struct ReferenceVariable {
  std::string_view name;  // "STATSD_HOST"; "OTEL_*" is all that begin so
  Treatment treatment;
  std::string_view setting;  // of kSets, kMaps and kNeedsTls: the name of the setting
  std::string_view reason;   // why, or how it maps; empty for kSets
};

// In the order of the reference's documentation.
std::span<const ReferenceVariable> AllReferenceVariables();

// What becomes of a variable that is set, in words.
std::string TreatmentText(const ReferenceVariable& variable);

// What the environment says about one setting.
struct EnvironmentValue {
  const Setting* setting = nullptr;
  std::vector<std::string> texts;  // one, or several of a list
  std::string variables;           // "GRPC_HOST, GRPC_PORT"
};

struct EnvironmentReading {
  std::vector<EnvironmentValue> values;  // at most one per setting
  std::vector<std::string> errors;
  std::vector<std::string> warnings;
};

// Which of the reference's variables say something, by what other sources chose.
struct EnvironmentScope {
  bool redis = true;         // false: the memory store was chosen
  bool shared_keys = false;  // --redis-key-format=ratelimit
};

// `defaults` gives the other half where only a host or only a port is set.
EnvironmentReading ReadSettingsEnvironment(const Environment& environment, const Settings& defaults,
                                           const EnvironmentScope& scope);

}  // namespace weir
