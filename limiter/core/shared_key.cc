#include "limiter/core/shared_key.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

// What stands for the value of an entry that shares its threshold: the pattern that was matched
// against "<key>_<value>", less what of it is the entry's key. The pattern may have its '*' in the
// key, and then stays whole.
std::string_view PatternOf(const Rule::Level& level, std::string_view key) {
  const std::string_view pattern = level.composite;
  const bool has_key =
      pattern.size() > key.size() && pattern.starts_with(key) && pattern[key.size()] == '_';
  return has_key ? pattern.substr(key.size() + 1) : pattern;
}

}  // namespace

void AppendSharedKey(std::string_view prefix, std::string_view domain,
                     std::span<const Entry> entries, const Rule* rule, int64_t window_start_ns,
                     std::string& text) {
  text.append(prefix).append(domain).append(1, '_');
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    const bool shared = rule != nullptr && rule->any_shared && rule->levels[i].shared;
    text.append(entry.key).append(1, '_');
    text.append(shared ? PatternOf(rule->levels[i], entry.key) : entry.value).append(1, '_');
  }
  std::array<char, 20> digits;
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), window_start_ns / kSecondNs);
  text.append(digits.data(), end.ptr);
}

}  // namespace weir
