#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

// "1 file", "2 files", "0 files".
inline std::string Counted(uint64_t count, std::string_view noun) {
  return std::to_string(count).append(" ").append(noun).append(count == 1 ? "" : "s");
}

}  // namespace weir
