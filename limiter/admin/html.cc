#include "limiter/admin/html.h"

#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "limiter/core/utf8.h"

namespace weir {

std::string EscapeHtml(std::string_view text) {
  std::string escaped;
  for (const char c : ValidUtf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      case '\n':
      case '\t':
        escaped += c;
        break;
      default:
        if (byte < 0x20 || byte == 0x7f) {
          absl::StrAppend(&escaped, "\\x", absl::Hex(byte, absl::kZeroPad2));
        } else {
          escaped += c;
        }
    }
  }
  return escaped;
}

std::string OneLineText(std::string_view text) {
  std::string line;
  for (const char c : ValidUtf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      absl::StrAppend(&line, "\\x", absl::Hex(byte, absl::kZeroPad2));
    } else {
      line += c;
    }
  }
  return line;
}

std::string IsolatedHtml(std::string_view text) {
  return absl::StrCat("<bdi>", EscapeHtml(text), "</bdi>");
}

std::string EscapeQuery(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = byte < 0x80 && (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.');
    if (plain) {
      escaped += c;
    } else {
      absl::StrAppend(&escaped, "%", absl::Hex(byte, absl::kZeroPad2));
    }
  }
  return escaped;
}

std::string NumberText(double number) {
  if (!std::isfinite(number)) return "–";
  if (number < 100 && number != std::floor(number)) return absl::StrFormat("%.1f", number);
  std::string text = absl::StrFormat("%.0f", number);
  for (std::size_t at = text.size(); at > 3 && text[at - 4] != '-';) {
    at -= 3;
    text.insert(at, 1, ',');
  }
  return text;
}

std::string PercentText(double ratio) {
  return std::isfinite(ratio) ? absl::StrFormat("%.1f %%", 100 * ratio) : "–";
}

std::string DurationText(int64_t duration_ns) {
  const double seconds = static_cast<double>(duration_ns) / 1e9;
  if (seconds < 60) return absl::StrFormat("%.1f s", seconds);
  const auto minutes = static_cast<int64_t>(seconds / 60);
  if (minutes < 60) return absl::StrCat(minutes, " min ", static_cast<int64_t>(seconds) % 60, " s");
  if (minutes < 48 * 60) return absl::StrCat(minutes / 60, " h ", minutes % 60, " min");
  return absl::StrCat(minutes / 1440, " d ", minutes / 60 % 24, " h");
}

std::string TimeText(int64_t wall_ns) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", absl::FromUnixNanos(wall_ns),
                          absl::UTCTimeZone());
}

}  // namespace weir
