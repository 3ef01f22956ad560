#include "limiter/store/redis/server_info.h"

#include <string>
#include <string_view>

namespace weir {

std::string_view InfoValue(std::string_view info, std::string_view name) {
  while (!info.empty()) {
    const std::size_t end = info.find('\n');
    std::string_view line = info.substr(0, end);
    info.remove_prefix(end == std::string_view::npos ? info.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':') {
      return line.substr(name.size() + 1);
    }
  }
  return {};
}

std::string VersionText(std::string_view info_server) {
  const std::string_view valkey = InfoValue(info_server, "valkey_version");
  if (!valkey.empty()) return "valkey " + std::string(valkey);
  return std::string(InfoValue(info_server, "redis_version"));
}

}  // namespace weir
