#pragma once

// Text from rule files, callers and settings as parts of an HTML page or of a link.
//
// Thread safety: functions without shared state.

#include <cstdint>
#include <string>
#include <string_view>

namespace weir {

// `text` for a text node or a quoted attribute: what means something to HTML is replaced, control
// characters are spelled out ("\x1b"), and bytes that are not UTF-8 become U+FFFD.
std::string EscapeHtml(std::string_view text);

// `text` for one line of plain text: control characters are spelled out, and bytes that are not
// UTF-8 become U+FFFD.
std::string OneLineText(std::string_view text);

// As EscapeHtml, in an element that keeps text of another direction from reordering its
// neighbours.
std::string IsolatedHtml(std::string_view text);

// `text` for the value of a parameter of a link; every byte survives.
std::string EscapeQuery(std::string_view text);

// 1234567.8 as "1,234,568", 12.345 as "12.3".
std::string NumberText(double number);
// 0.1234 as "12.3 %".
std::string PercentText(double ratio);
// 3723000000000 as "1 h 2 min", 4200000000 as "4.2 s".
std::string DurationText(int64_t duration_ns);
// "2026-01-31 23:59:59 UTC".
std::string TimeText(int64_t wall_ns);

}  // namespace weir
