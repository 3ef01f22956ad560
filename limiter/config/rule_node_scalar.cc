#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

#include "limiter/config/rule_node.h"

namespace weir {
namespace {

constexpr std::array<std::string_view, 11> kTrue = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                                    "True", "TRUE", "on",  "On",  "ON"};
constexpr std::array<std::string_view, 11> kFalse = {"n",     "N",     "no",  "No",  "NO", "false",
                                                     "False", "FALSE", "off", "Off", "OFF"};
constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 3> kNan = {".nan", ".NaN", ".NAN"};
constexpr std::array<std::string_view, 3> kInfinity = {".inf", ".Inf", ".INF"};

template <size_t N>
bool IsOneOf(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

size_t SkipDigits(std::string_view text, size_t i) {
  while (i < text.size() && IsDigit(text[i])) ++i;
  return i;
}

// [-+]? ( digits [. digits?] | . digits ) ( [eE] [-+]? digits )?
bool IsDecimal(std::string_view text) {
  size_t i = 0;
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  const size_t whole = SkipDigits(text, i);
  if (whole > i) {
    i = whole;
    if (i < text.size() && text[i] == '.') i = SkipDigits(text, i + 1);
  } else {
    if (i >= text.size() || text[i] != '.') return false;
    const size_t fraction = SkipDigits(text, i + 1);
    if (fraction == i + 1) return false;
    i = fraction;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
    const size_t exponent = SkipDigits(text, i);
    if (exponent == i) return false;
    i = exponent;
  }
  return i == text.size();
}

// The magnitude of an integer with its base prefix; nullopt if it is none or above 2^64-1.
std::optional<uint64_t> ParseMagnitude(std::string_view digits) {
  int base = 10;
  if (digits.size() > 1 && digits[0] == '0') {
    const char mark = digits[1];
    if (mark == 'x' || mark == 'X') {
      base = 16;
    } else if (mark == 'b' || mark == 'B') {
      base = 2;
    } else {
      base = 8;
    }
    digits.remove_prefix(mark == 'o' || mark == 'O' || base != 8 ? 2 : 1);
  }
  uint64_t magnitude = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, magnitude, base);
  if (error != std::errc() || stop != end) return std::nullopt;
  return magnitude;
}

Scalar MakeFloat(double number) {
  Scalar scalar;
  scalar.type = ScalarType::kFloat;
  scalar.number = number;
  return scalar;
}

Scalar MakeBool(bool boolean) {
  Scalar scalar;
  scalar.type = ScalarType::kBool;
  scalar.boolean = boolean;
  return scalar;
}

// `text` without underscores. A kText scalar if it is not a number.
Scalar ResolveNumber(const std::string& text) {
  const bool negative = text.starts_with('-');
  const bool sign = negative || text.starts_with('+');
  const auto magnitude = ParseMagnitude(std::string_view(text).substr(sign ? 1 : 0));
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  Scalar scalar;
  if (magnitude && *magnitude <= kMax + (negative ? 1 : 0)) {
    scalar.type = ScalarType::kInt;
    scalar.integer = static_cast<int64_t>(negative ? 0 - *magnitude : *magnitude);
    return scalar;
  }
  if (magnitude) return MakeFloat(static_cast<double>(*magnitude) * (negative ? -1 : 1));
  if (IsDecimal(text)) return MakeFloat(std::strtod(text.c_str(), nullptr));
  scalar.type = ScalarType::kText;
  return scalar;
}

}  // namespace

Scalar ResolveScalar(const YamlNode& node) {
  Scalar scalar;
  if (node.kind != NodeKind::kScalar) return scalar;
  scalar.type = ScalarType::kText;
  const std::string_view text = node.text;
  if (!node.plain) return scalar;
  if (IsOneOf(text, kNull)) return Scalar{};
  if (IsOneOf(text, kTrue)) return MakeBool(true);
  if (IsOneOf(text, kFalse)) return MakeBool(false);
  if (IsOneOf(text, kNan)) return MakeFloat(std::numeric_limits<double>::quiet_NaN());
  const bool sign = text[0] == '-' || text[0] == '+';
  if (IsOneOf(text.substr(sign ? 1 : 0), kInfinity)) {
    const double infinity = std::numeric_limits<double>::infinity();
    return MakeFloat(text[0] == '-' ? -infinity : infinity);
  }
  if (!sign && text[0] != '.' && !IsDigit(text[0])) return scalar;
  std::string digits(text);
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  return ResolveNumber(digits);
}

}  // namespace weir
