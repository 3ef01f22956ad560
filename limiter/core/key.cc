#include "limiter/core/key.h"

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace weir {
namespace {

constexpr char kBase64Url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

}  // namespace

SipHasher KeyPrefix(const Secret& secret, std::string_view prefix, std::string_view domain,
                    std::string_view rule_path, const Limit& limit) {
  SipHasher hasher(secret);
  hasher.String(prefix);
  hasher.String(domain);
  hasher.String(rule_path);
  hasher.Word(static_cast<uint64_t>(limit.algorithm));
  hasher.Word(static_cast<uint64_t>(limit.window_ns));
  if (limit.algorithm == Algorithm::kTokenBucket) {
    hasher.Word(limit.hits);
    hasher.Word(limit.capacity);
  } else if (limit.algorithm == Algorithm::kSlidingWindow) {
    hasher.Word(limit.precision);
  }
  return hasher;
}

std::string StoreKey(std::string_view prefix, const Key& key) {
  std::array<uint8_t, 18> bytes{};  // 16 of the key, 2 of zero to fill whole 6-bit groups
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<uint8_t>(key.hi >> (56 - 8 * i));
    bytes[8 + i] = static_cast<uint8_t>(key.lo >> (56 - 8 * i));
  }
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const uint32_t group =
        uint32_t{bytes[i]} << 16 | uint32_t{bytes[i + 1]} << 8 | uint32_t{bytes[i + 2]};
    for (int shift = 18; shift >= 0; shift -= 6) text += kBase64Url[group >> shift & 63];
  }
  text.resize(22);  // 128 bits
  std::array<char, 16> tag{};
  std::snprintf(tag.data(), tag.size(), "weir1:{s%03u}:", LogicalShard(key));
  return std::string(prefix) + tag.data() + text;
}

}  // namespace weir
