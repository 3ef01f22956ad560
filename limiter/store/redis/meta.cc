#include "limiter/store/redis/meta.h"

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/redis/command.h"
#include "limiter/store/redis/script_call.h"

namespace weir {
namespace {

constexpr std::size_t kSecretDigits = 32;

template <typename T>
bool ParseWhole(std::string_view text, int base, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size();
}

absl::Status Unreadable(std::string_view what, std::string_view value) {
  std::string text = "the META record has a ";
  text.append(what).append(" this release cannot read: ").append(value);
  return absl::FailedPreconditionError(text);
}

}  // namespace

void AppendMetaCall(std::string& wire, std::string_view key, const Meta& proposal) {
  FleetMeta meta;
  meta.format = absl::StrCat(proposal.format);
  meta.shards = absl::StrCat(proposal.shards);
  meta.secret = absl::StrCat(absl::Hex(proposal.secret.k0, absl::kZeroPad16),
                             absl::Hex(proposal.secret.k1, absl::kZeroPad16));
  AppendMeta(key, meta, wire);
}

absl::StatusOr<Meta> DecodeMeta(const redisReply& reply) {
  std::vector<std::string_view> fields;
  if (reply.type == REDIS_REPLY_ARRAY) {
    for (std::size_t i = 0; i < reply.elements; ++i) fields.push_back(TextOf(*reply.element[i]));
  }
  absl::StatusOr<FleetMeta> held = ReadMeta(fields);
  if (!held.ok()) return held.status();
  Meta meta;
  // Whoever writes another format may write its secret otherwise too.
  if (!ParseWhole(held->format, 10, meta.format)) return Unreadable("format", held->format);
  const std::string_view secret = held->secret;
  if (!ParseWhole(held->shards, 10, meta.shards) || meta.shards <= 0) {
    return Unreadable("number of shards", held->shards);
  }
  if (secret.size() != kSecretDigits ||
      !ParseWhole(secret.substr(0, kSecretDigits / 2), 16, meta.secret.k0) ||
      !ParseWhole(secret.substr(kSecretDigits / 2), 16, meta.secret.k1)) {
    return absl::FailedPreconditionError("the META record has no secret this release can read");
  }
  return meta;
}

}  // namespace weir
