#include "limiter/store/redis/cluster_map.h"

#include <charconv>
#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "limiter/store/redis/command.h"

namespace weir {
namespace {

// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, begins with 0.
uint16_t Crc16(std::string_view bytes) {
  uint16_t crc = 0;
  for (const char byte : bytes) {
    crc = static_cast<uint16_t>(crc ^ (static_cast<uint8_t>(byte) << 8));
    for (int bit = 0; bit < 8; ++bit) {
      const bool top = (crc & 0x8000) != 0;
      crc = static_cast<uint16_t>(crc << 1);
      if (top) crc = static_cast<uint16_t>(crc ^ 0x1021);
    }
  }
  return crc;
}

bool IsSlot(const redisReply& reply) {
  return reply.type == REDIS_REPLY_INTEGER && reply.integer >= 0 && reply.integer < kSlots;
}

absl::Status NoSlots(std::string_view why) {
  std::string text = "not a reply to CLUSTER SLOTS: ";
  return absl::InvalidArgumentError(text.append(why));
}

}  // namespace

Slot SlotOf(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open != std::string_view::npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) {
      key = key.substr(open + 1, close - open - 1);
    }
  }
  return Crc16(key) % kSlots;
}

absl::StatusOr<std::vector<SlotRange>> ReadClusterSlots(const redisReply& reply,
                                                        const RedisAddress& asked) {
  if (reply.type != REDIS_REPLY_ARRAY) return NoSlots("no array");
  std::vector<SlotRange> ranges;
  for (std::size_t i = 0; i < reply.elements; ++i) {
    const redisReply& range = *reply.element[i];
    if (range.type != REDIS_REPLY_ARRAY || range.elements < 3 || !IsSlot(*range.element[0]) ||
        !IsSlot(*range.element[1]) || range.element[0]->integer > range.element[1]->integer) {
      return NoSlots("a range without slots and a primary");
    }
    const redisReply& primary = *range.element[2];
    if (primary.type != REDIS_REPLY_ARRAY || primary.elements < 2 ||
        primary.element[1]->type != REDIS_REPLY_INTEGER) {
      return NoSlots("a primary without a port");
    }
    // None: the one that was asked goes by the host it was asked at. "?": nobody knows.
    const std::string_view host = TextOf(*primary.element[0]);
    if (host == "?") continue;  // and so is a server without a port for this kind of client
    const std::optional<RedisAddress> address =
        HostAndPort(host.empty() ? asked.host : host, absl::StrCat(primary.element[1]->integer));
    if (!address.has_value()) continue;
    ranges.push_back({static_cast<Slot>(range.element[0]->integer),
                      static_cast<Slot>(range.element[1]->integer), *address});
  }
  return ranges;
}

absl::StatusOr<Redirection> ReadRedirection(std::string_view text, const RedisAddress& asked) {
  const auto no_redirection = [&] {
    std::string what = "not a slot and an address: ";
    return absl::InvalidArgumentError(what.append(text));
  };
  const std::size_t slot_at = text.find(' ');
  if (slot_at == std::string_view::npos) return no_redirection();
  const std::size_t where_at = text.find(' ', slot_at + 1);
  if (where_at == std::string_view::npos) return no_redirection();
  const std::string_view slot = text.substr(slot_at + 1, where_at - slot_at - 1);
  const std::string_view where = text.substr(where_at + 1);
  // The last colon: a host may be an IPv6 address, without brackets.
  const std::size_t colon = where.rfind(':');
  if (colon == std::string_view::npos) return no_redirection();
  const std::string_view host = where.substr(0, colon);
  const std::optional<RedisAddress> address =
      HostAndPort(host.empty() ? asked.host : host, where.substr(colon + 1));
  Slot read = 0;
  const auto [end, error] = std::from_chars(slot.data(), slot.data() + slot.size(), read);
  if (!address.has_value() || host == "?" || error != std::errc() ||
      end != slot.data() + slot.size() || read >= kSlots) {
    return no_redirection();
  }
  return Redirection{read, *address};
}

}  // namespace weir
