#pragma once

// The effective settings: flag > environment > server file > default, and where each came from.
//
// Thread safety: functions without shared state.
//
// Example:
//   auto loaded = LoadSettings(argv[0], flags, ReadEnvironment(environ));
//   if (!loaded.ok()) …  // one line per error

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/config/settings.h"
#include "limiter/config/settings_environment.h"

namespace weir {

struct Origin {
  enum Kind : uint8_t { kDefault, kFile, kEnvironment, kFlag };

  Kind kind = kDefault;
  // "weir.yaml:3"; the variables' names; of a default that depends on another setting: why.
  std::string detail;
};

// "default", "file weir.yaml:3", "environment GRPC_HOST, GRPC_PORT", "flag".
std::string FormatOrigin(const Origin& origin);

// Where a setting was set, for errors: "flag --threads", "environment variable WEIR_THREADS",
// "weir.yaml:3: threads"; only its name for a default.
std::string PlaceOf(std::string_view name, const Origin& origin);

struct LoadedSettings {
  Settings settings;
  std::map<std::string, Origin, std::less<>> origins;  // by name, of every setting
  std::vector<std::string> warnings;                   // to be logged once at start
  // Asked for on the command line, to be done instead of serving.
  bool help = false;  // nothing else was read then
  bool print_config = false;
};

// The content of a file of at most 1 MiB. Errors: NOT_FOUND, RESOURCE_EXHAUSTED.
absl::StatusOr<std::string> ReadServerFile(const std::string& path);

using FileContent = std::function<absl::StatusOr<std::string>(const std::string& path)>;

// `program_name`: its basename decides the default of --compat. `arguments`: the flags after the
// command. `read_file` is asked for the server file only.
//
// Error: INVALID_ARGUMENT with one line for each bad flag, variable and key, in the form
// "<where>: '<value>' is not accepted, it must be <form>". The values of secrets are left out.
absl::StatusOr<LoadedSettings> LoadSettings(std::string_view program_name,
                                            std::span<const std::string> arguments,
                                            const Environment& environment,
                                            const FileContent& read_file = ReadServerFile);

}  // namespace weir
