#include "limiter/config/settings_value.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace weir {
namespace {

struct Unit {
  std::string_view name;
  uint64_t size;
};

// The longest name first, because "m" begins "ms".
constexpr Unit kDurationUnits[] = {
    {"\xC2\xB5s", 1000},  // both code points of the micro sign, as in Go
    {"\xCE\xBCs", 1000},      {"ms", 1'000'000},     {"us", 1000},         {"ns", 1},
    {"h", 3'600'000'000'000}, {"m", 60'000'000'000}, {"s", 1'000'000'000},
};
constexpr Unit kByteUnits[] = {
    {"GiB", uint64_t{1} << 30}, {"MiB", uint64_t{1} << 20}, {"KiB", uint64_t{1} << 10}};

// sun_path has 108 bytes, the terminating zero included (unix(7)).
constexpr size_t kUnixPathBytesMax = 107;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Reads digits from the front; false without any, or beyond 64 bits.
bool TakeNumber(std::string_view& text, uint64_t& value) {
  if (text.empty() || !IsDigit(text.front())) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

bool TakeUnit(std::string_view& text, uint64_t& size) {
  for (const Unit& unit : kDurationUnits) {
    if (!text.starts_with(unit.name)) continue;
    text.remove_prefix(unit.name.size());
    size = unit.size;
    return true;
  }
  return false;
}

// ".25": the fraction of `unit_size` it stands for, rounded down.
uint64_t FractionOf(std::string_view digits, uint64_t unit_size) {
  uint64_t sum = 0;
  uint64_t place = unit_size;
  for (const char c : digits) {
    place /= 10;
    sum += place * static_cast<uint64_t>(c - '0');
  }
  return sum;
}

bool IsPort(std::string_view text) {
  uint64_t port = 0;
  return ParseCount(text, port) && port <= 65535;
}

// Letters, digits and what else names and IPv4 addresses have; the resolver knows the rest.
bool IsHost(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
  });
}

bool IsIpv6(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == ':' || c == '.' || c == '%' || c == '-' || c == '_';
  });
}

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

bool ParseBool(std::string_view text, bool& value) {
  constexpr std::array<std::string_view, 6> kTrue = {"1", "t", "T", "TRUE", "true", "True"};
  constexpr std::array<std::string_view, 6> kFalse = {"0", "f", "F", "FALSE", "false", "False"};
  const bool is_true = std::find(kTrue.begin(), kTrue.end(), text) != kTrue.end();
  if (!is_true && std::find(kFalse.begin(), kFalse.end(), text) == kFalse.end()) return false;
  value = is_true;
  return true;
}

std::string FormatBool(bool value) { return value ? "true" : "false"; }

bool ParseCount(std::string_view text, uint64_t& value) {
  uint64_t number = 0;
  if (!TakeNumber(text, number) || !text.empty()) return false;
  value = number;
  return true;
}

bool ParseRatio(std::string_view text, float& value) {
  float number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end || !(number >= 0 && number <= 1)) return false;
  value = number;
  return true;
}

std::string FormatRatio(float value) {
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), end};
}

bool ParseBytes(std::string_view text, uint64_t& value) {
  uint64_t number = 0;
  if (!TakeNumber(text, number)) return false;
  uint64_t size = 1;
  for (const Unit& unit : kByteUnits) {
    if (text == unit.name) size = unit.size;
  }
  if (size == 1 && !text.empty()) return false;
  if (number > std::numeric_limits<uint64_t>::max() / size) return false;
  value = number * size;
  return true;
}

std::string FormatBytes(uint64_t value) {
  for (const Unit& unit : kByteUnits) {
    if (value >= unit.size && value % unit.size == 0) {
      return std::to_string(value / unit.size).append(unit.name);
    }
  }
  return std::to_string(value);
}

bool ParseDuration(std::string_view text, int64_t& value_ns) {
  constexpr auto kMax = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (text == "0") {
    value_ns = 0;
    return true;
  }
  if (text.empty()) return false;
  uint64_t sum = 0;
  while (!text.empty()) {
    uint64_t whole = 0;
    if (!TakeNumber(text, whole)) return false;
    std::string_view fraction;
    if (text.starts_with('.')) {
      text.remove_prefix(1);
      const auto digits_end = std::find_if_not(text.begin(), text.end(), IsDigit);
      const auto digits = static_cast<size_t>(digits_end - text.begin());
      fraction = text.substr(0, digits);
      text.remove_prefix(digits);
    }
    uint64_t size = 0;
    if (!TakeUnit(text, size) || whole > kMax / size) return false;
    sum += whole * size;  // both at most 2^63 - 1, checked below before the next addition
    if (sum > kMax) return false;
    sum += FractionOf(fraction, size);
    if (sum > kMax) return false;
  }
  value_ns = static_cast<int64_t>(sum);
  return true;
}

std::string FormatDuration(int64_t value_ns) {
  if (value_ns == 0) return "0";
  auto rest = static_cast<uint64_t>(value_ns);
  std::string out;
  for (const std::string_view name : {"h", "m", "s", "ms", "us", "ns"}) {
    const auto unit = std::find_if(std::begin(kDurationUnits), std::end(kDurationUnits),
                                   [name](const Unit& known) { return known.name == name; });
    if (rest >= unit->size) out.append(std::to_string(rest / unit->size)).append(name);
    rest %= unit->size;
  }
  return out;
}

bool ParseTcpAddress(std::string_view text, std::string& value) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !IsPort(text.substr(colon + 1))) return false;
  const std::string_view host = text.substr(0, colon);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed ? !IsIpv6(host.substr(1, host.size() - 2)) : !IsHost(host)) return false;
  value = JoinHostPort(host, text.substr(colon + 1));
  return true;
}

bool ParseAddress(std::string_view text, std::string& value) {
  constexpr std::string_view kUnix = "unix:";
  if (!text.starts_with(kUnix)) return ParseTcpAddress(text, value);
  const size_t path_bytes = text.size() - kUnix.size();
  if (path_bytes == 0 || path_bytes > kUnixPathBytesMax) return false;
  value = text;
  return true;
}

std::string JoinHostPort(std::string_view host, std::string_view port) {
  std::string out(host.empty() ? "0.0.0.0" : host);
  if (out.find(':') != std::string::npos && out.front() != '[') out = "[" + out + "]";
  return out.append(":").append(port);
}

bool ParseHeaderName(std::string_view text, std::string& value) {
  // token of RFC 9110, 5.6.2.
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  const bool token = std::all_of(text.begin(), text.end(), [kMarks](unsigned char c) {
    return std::isalnum(c) != 0 || kMarks.find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (text.empty() || !token) return false;
  value = text;
  return true;
}

bool ParseLogLevel(std::string_view text, std::string& value) {
  constexpr std::pair<std::string_view, std::string_view> kLevels[] = {
      {"trace", "trace"},  {"debug", "debug"}, {"info", "info"},   {"warn", "warn"},
      {"warning", "warn"}, {"error", "error"}, {"fatal", "error"}, {"panic", "error"}};
  const std::string lower = Lower(text);
  for (const auto& [name, level] : kLevels) {
    if (name != lower) continue;
    value = level;
    return true;
  }
  return false;
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) out.emplace_back(item);
  }
  return out;
}

bool HasControlCharacter(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](unsigned char c) { return c < 0x20 || c == 0x7F; });
}

bool ParseTag(std::string_view text, std::pair<std::string, std::string>& value) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon == 0) return false;
  value = {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
  return true;
}

}  // namespace weir
