#pragma once

// The forms a setting's value is written in. Parse… return false for text that is not in the form
// and leave `value` alone; Format… write a value so that Parse… reads the same again.
//
// Thread safety: functions without shared state.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir {

// "true" and "false" in the spellings of Go's strconv.ParseBool, which the reference takes: 1, t,
// T, TRUE, true, True and their opposites.
bool ParseBool(std::string_view text, bool& value);
std::string FormatBool(bool value);

// Decimal digits only.
bool ParseCount(std::string_view text, uint64_t& value);

// A decimal fraction between 0 and 1.
bool ParseRatio(std::string_view text, float& value);
std::string FormatRatio(float value);

// "65536", "64KiB", "256MiB", "1GiB", in bytes.
bool ParseBytes(std::string_view text, uint64_t& value);
std::string FormatBytes(uint64_t value);

// Nanoseconds, never negative, in the form of Go's time.ParseDuration: "5s", "200ms", "1h30m",
// "1.5s"; "0" needs no unit.
bool ParseDuration(std::string_view text, int64_t& value_ns);
std::string FormatDuration(int64_t value_ns);

// "127.0.0.1:8081", "host:8081", "[::1]:8081"; ":8081" becomes "0.0.0.0:8081".
bool ParseTcpAddress(std::string_view text, std::string& value);
// A TCP address or "unix:PATH".
bool ParseAddress(std::string_view text, std::string& value);
// Brings a host without brackets and a port together; an empty host stands for all interfaces.
std::string JoinHostPort(std::string_view host, std::string_view port);

// The name of an HTTP header.
bool ParseHeaderName(std::string_view text, std::string& value);

// A log level in any case, in the reference's names too: "warning" is warn, "fatal" and "panic"
// are error.
bool ParseLogLevel(std::string_view text, std::string& value);

// The items between commas, without the spaces around them; empty ones are left out.
std::vector<std::string> SplitList(std::string_view text);

// Whether it holds a byte below 0x20, or 0x7F.
bool HasControlCharacter(std::string_view text);

// "name:value".
bool ParseTag(std::string_view text, std::pair<std::string, std::string>& value);

}  // namespace weir
