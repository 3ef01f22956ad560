#pragma once

// The Lua scripts of the store, as they are sent to it: the build embeds the .lua files.
//
// Thread safety: constant data.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "algorithms/limit.h"

namespace weir {

// The first three are numbered as Algorithm.
enum class ScriptId : uint8_t {
  kFixedWindow = 0,
  kSlidingWindow = 1,
  kTokenBucket = 2,
  kNodes = 3,
  kMeta = 4,
};
inline constexpr std::size_t kScripts = 5;

struct Script {
  std::string_view name;  // of the file, without ".lua"
  std::string_view text;
  std::string_view sha1;  // of the text, 40 lower-case hexadecimal digits: its name for EVALSHA
};

// All of them, in the order of ScriptId.
std::span<const Script> AllScripts();

inline const Script& ScriptOf(ScriptId id) { return AllScripts()[static_cast<std::size_t>(id)]; }
inline ScriptId ScriptFor(Algorithm algorithm) { return static_cast<ScriptId>(algorithm); }

}  // namespace weir
