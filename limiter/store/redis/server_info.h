#pragma once

// What Redis says about itself in INFO.

#include <string>
#include <string_view>

namespace weir {

// The value of a line "name:value" of INFO; empty: no such line.
std::string_view InfoValue(std::string_view info, std::string_view name);

// "7.0.15", "valkey 9.1.2".
std::string VersionText(std::string_view info_server);

}  // namespace weir
