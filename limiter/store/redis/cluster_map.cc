#include "limiter/store/redis/cluster_map.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "limiter/store/redis/command.h"

namespace weir {
namespace {

constexpr std::size_t kHostBytesMax = 255;

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

bool IsHost(std::string_view text) {
  const auto printable = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; };
  return !text.empty() && text.size() <= kHostBytesMax &&
         std::all_of(text.begin(), text.end(), printable);
}

template <typename T>
bool ParseWhole(std::string_view text, T& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
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
        primary.element[1]->type != REDIS_REPLY_INTEGER || primary.element[1]->integer <= 0 ||
        primary.element[1]->integer > UINT16_MAX) {
      return NoSlots("a primary without a port");
    }
    SlotRange read;
    read.first = static_cast<Slot>(range.element[0]->integer);
    read.last = static_cast<Slot>(range.element[1]->integer);
    read.primary.port = static_cast<uint16_t>(primary.element[1]->integer);
    // None: the one that was asked goes by the host it was asked at. "?": nobody knows.
    const std::string_view host = TextOf(*primary.element[0]);
    if (host == "?") continue;
    read.primary.host = host.empty() ? std::string_view(asked.host) : host;
    if (!IsHost(read.primary.host)) return NoSlots("a host that is none");
    ranges.push_back(std::move(read));
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
  Redirection read;
  const std::string_view host = where.substr(0, colon);
  read.primary.host = host.empty() ? std::string_view(asked.host) : host;
  if (!ParseWhole(slot, read.slot) || read.slot >= kSlots ||
      !ParseWhole(where.substr(colon + 1), read.primary.port) || read.primary.port == 0 ||
      !IsHost(read.primary.host)) {
    return no_redirection();
  }
  return read;
}

}  // namespace weir
