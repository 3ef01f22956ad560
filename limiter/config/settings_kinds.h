#pragma once

// The kinds of values in the table of settings, each a type with Form, Assign and Print for the
// field it is instantiated with.
//
// Example: Access<Duration<&Settings::drain_delay_ns>>()

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "limiter/config/redis_target.h"
#include "limiter/config/settings.h"
#include "limiter/config/settings_table.h"
#include "limiter/config/settings_value.h"

namespace weir {

template <typename Kind>
std::vector<std::string> NamesOf() {
  if constexpr (requires { Kind::Names(); }) return Kind::Names();
  return {};
}

template <typename Kind>
constexpr ValueAccess Access() {
  return {Kind::kKind, &Kind::Form, &Kind::Assign, &Kind::Print, &NamesOf<Kind>};
}

using Texts = std::span<const std::string>;

template <auto kField>
using FieldType = std::remove_reference_t<decltype(std::declval<Settings&>().*kField)>;

// A choice's values and their names in settings.
template <typename Enum>
using Choices = std::span<const std::pair<Enum, std::string_view>>;
Choices<Compat> ChoicesOf(Compat);
Choices<StoreKind> ChoicesOf(StoreKind);
Choices<SocketAccess> ChoicesOf(SocketAccess);
Choices<LogFormat> ChoicesOf(LogFormat);
Choices<RedisType> ChoicesOf(RedisType);
Choices<TlsVersion> ChoicesOf(TlsVersion);
Choices<RedisKeyFormat> ChoicesOf(RedisKeyFormat);
Choices<ChargeDenied> ChoicesOf(ChargeDenied);
Choices<Consistency> ChoicesOf(Consistency);
Choices<OnStoreFailure> ChoicesOf(OnStoreFailure);
Choices<Overflow> ChoicesOf(Overflow);

// "a, b or c".
std::string JoinWithOr(std::span<const std::string> names);

template <auto kField>
struct Bool {
  static constexpr ValueKind kKind = ValueKind::kBool;
  static std::vector<std::string> Names() { return {"true", "false"}; }
  static std::string Form() { return JoinWithOr(Names()); }
  static bool Assign(Texts texts, Settings& settings) {
    return ParseBool(texts.back(), settings.*kField);
  }
  static std::vector<std::string> Print(const Settings& settings) {
    return {FormatBool(settings.*kField)};
  }
};

template <auto kField>
struct Choice {
  static constexpr ValueKind kKind = ValueKind::kText;
  static auto All() { return ChoicesOf(FieldType<kField>()); }
  static std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& choice : All()) names.emplace_back(choice.second);
    return names;
  }
  static std::string Form() { return JoinWithOr(Names()); }
  static bool Assign(Texts texts, Settings& settings) {
    for (const auto& [value, name] : All()) {
      if (name != texts.back()) continue;
      settings.*kField = value;
      return true;
    }
    return false;
  }
  static std::vector<std::string> Print(const Settings& settings) {
    for (const auto& [value, name] : All()) {
      if (value == settings.*kField) return {std::string(name)};
    }
    return {};
  }
};

// In any case of letters, as envoyproxy/ratelimit takes LOG_FORMAT.
template <auto kField>
struct AnyCaseChoice : Choice<kField> {
  static bool Assign(Texts texts, Settings& settings) {
    const std::string lower = absl::AsciiStrToLower(texts.back());
    return Choice<kField>::Assign(Texts(&lower, 1), settings);
  }
};

// Text as it is.
template <auto kField>
struct Text {
  static constexpr ValueKind kKind = ValueKind::kText;
  static std::string Form() { return "a text"; }
  static bool Assign(Texts texts, Settings& settings) {
    settings.*kField = texts.back();
    return true;
  }
  static std::vector<std::string> Print(const Settings& settings) { return {settings.*kField}; }
};

struct PathForm {
  static constexpr std::string_view kText = "a path";
  static bool Parse(std::string_view text, std::string& value) {
    if (text.empty()) return false;
    value = text;
    return true;
  }
};

struct OptionalPathForm {
  static constexpr std::string_view kText = "a path, or empty";
  static bool Parse(std::string_view text, std::string& value) {
    value = text;
    return true;
  }
};

// (masked) is what is printed for a password: read back, it would be a wrong one.
struct PasswordForm {
  static constexpr std::string_view kText =
      "a text without control characters that is not (masked), or empty";
  static bool Parse(std::string_view text, std::string& value) {
    if (HasControlCharacter(text) || text == "(masked)") return false;
    value = text;
    return true;
  }
};

struct UserForm {
  static constexpr std::string_view kText = "a text without control characters, or empty";
  static bool Parse(std::string_view text, std::string& value) {
    if (HasControlCharacter(text)) return false;
    value = text;
    return true;
  }
};

struct ServerNameForm {
  static constexpr std::string_view kText = "a host name, an IP address, or empty";
  static bool Parse(std::string_view text, std::string& value) {
    std::string ignored;
    if (!text.empty() && !ParseTcpAddress(JoinHostPort(text, "1"), ignored)) return false;
    value = text;
    return true;
  }
};

struct SanForm {
  static constexpr std::string_view kText = "a DNS name, a URI or an IP address";
  static bool Parse(std::string_view text, std::string& value) {
    if (text.empty() || HasControlCharacter(text)) return false;
    value = text;
    return true;
  }
};

struct RedisUrlForm {
  static constexpr std::string_view kText =
      "HOST:PORT, /PATH, redis://USER:PASSWORD@HOST:PORT/DB, rediss://… for TLS; with sentinels "
      "MASTER,HOST:PORT,…; of a cluster HOST:PORT,…; or empty";
  static bool Parse(std::string_view text, std::string& value) {
    RedisUrl ignored;
    if (!text.empty() && !ParseRedisUrl(text, ignored)) return false;
    value = text;
    return true;
  }
};

struct HttpPathForm {
  static constexpr std::string_view kText = "a path that begins with /";
  static bool Parse(std::string_view text, std::string& value) {
    return text.starts_with('/') && PathForm::Parse(text, value);
  }
};

struct HeaderForm {
  static constexpr std::string_view kText = "the name of an HTTP header";
  static constexpr auto Parse = &ParseHeaderName;
};

struct LogLevelForm {
  static constexpr std::string_view kText = "trace, debug, info, warn or error";
  static constexpr auto Parse = &ParseLogLevel;
};

struct TcpForm {
  static constexpr std::string_view kText = "HOST:PORT, with [HOST] for IPv6";
  static constexpr auto Parse = &ParseTcpAddress;
};

struct OptionalTcpForm {
  static constexpr std::string_view kText = "HOST:PORT, with [HOST] for IPv6, or empty";
  static bool Parse(std::string_view text, std::string& value) {
    if (!text.empty()) return ParseTcpAddress(text, value);
    value.clear();
    return true;
  }
};

struct AddressForm {
  static constexpr std::string_view kText =
      "HOST:PORT, with [HOST] for IPv6, or unix:PATH with at most 107 bytes";
  static constexpr auto Parse = &ParseAddress;
};

struct TagForm {
  static constexpr std::string_view kText = "NAME:VALUE";
  static constexpr auto Parse = &ParseTag;
};

// A string in a form of its own.
template <auto kField, typename TheForm>
struct Formed {
  static constexpr ValueKind kKind = ValueKind::kText;
  static std::string Form() { return std::string(TheForm::kText); }
  static bool Assign(Texts texts, Settings& settings) {
    return TheForm::Parse(texts.back(), settings.*kField);
  }
  static std::vector<std::string> Print(const Settings& settings) { return {settings.*kField}; }
};

inline std::string ItemText(const std::string& item) { return item; }
inline std::string ItemText(const std::pair<std::string, std::string>& item) {
  return item.first + ":" + item.second;
}

// Items in a form, at least kItemsMin; each text may hold several between commas.
template <auto kField, typename TheForm, int kItemsMin>
struct List {
  static constexpr ValueKind kKind = ValueKind::kList;
  static std::string Form() { return std::string(TheForm::kText) + "; several between commas"; }
  static bool Assign(Texts texts, Settings& settings) {
    FieldType<kField> items;
    for (const std::string& text : texts) {
      for (const std::string& item : SplitList(text)) {
        if (!TheForm::Parse(item, items.emplace_back())) return false;
      }
    }
    if (static_cast<int>(items.size()) < kItemsMin) return false;
    settings.*kField = std::move(items);
    return true;
  }
  static std::vector<std::string> Print(const Settings& settings) {
    std::vector<std::string> out;
    for (const auto& item : settings.*kField) out.push_back(ItemText(item));
    return out;
  }
};

template <auto kField, uint64_t kMin, uint64_t kMax>
struct Count {
  static constexpr ValueKind kKind = ValueKind::kNumber;
  static std::string Form() {
    return "a number from " + std::to_string(kMin) + " to " + std::to_string(kMax);
  }
  static bool Assign(Texts texts, Settings& settings) {
    uint64_t value = 0;
    if (!ParseCount(texts.back(), value) || value < kMin || value > kMax) return false;
    settings.*kField = static_cast<FieldType<kField>>(value);
    return true;
  }
  static std::vector<std::string> Print(const Settings& settings) {
    return {std::to_string(settings.*kField)};
  }
};

template <auto kField, uint64_t kMin, uint64_t kMax>
struct Bytes {
  static constexpr ValueKind kKind = ValueKind::kNumber;
  static std::string Form() {
    return "a size from " + FormatBytes(kMin) + " to " + FormatBytes(kMax) +
           ", in bytes or with KiB, MiB or GiB";
  }
  static bool Assign(Texts texts, Settings& settings) {
    uint64_t value = 0;
    if (!ParseBytes(texts.back(), value) || value < kMin || value > kMax) return false;
    settings.*kField = static_cast<FieldType<kField>>(value);
    return true;
  }
  static std::vector<std::string> Print(const Settings& settings) {
    return {FormatBytes(static_cast<uint64_t>(settings.*kField))};
  }
};

template <auto kField, int64_t kMinNs = 0>
struct Duration {
  static constexpr ValueKind kKind = ValueKind::kText;
  static std::string Form() {
    const std::string form = "a duration such as 5s, 200ms or 1h30m";
    return kMinNs == 0 ? form : form + ", at least " + FormatDuration(kMinNs);
  }
  static bool Assign(Texts texts, Settings& settings) {
    int64_t value_ns = 0;
    if (!ParseDuration(texts.back(), value_ns) || value_ns < kMinNs) return false;
    settings.*kField = value_ns;
    return true;
  }
  static std::vector<std::string> Print(const Settings& settings) {
    return {FormatDuration(settings.*kField)};
  }
};

template <auto kField>
struct Ratio {
  static constexpr ValueKind kKind = ValueKind::kNumber;
  static std::string Form() { return "a fraction from 0 to 1"; }
  static bool Assign(Texts texts, Settings& settings) {
    return ParseRatio(texts.back(), settings.*kField);
  }
  static std::vector<std::string> Print(const Settings& settings) {
    return {FormatRatio(settings.*kField)};
  }
};

}  // namespace weir
