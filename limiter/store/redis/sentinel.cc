#include "limiter/store/redis/sentinel.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace weir {
namespace {

constexpr std::size_t kHostBytesMax = 255;

// What a sentinel answered; nullopt: no address.
std::optional<RedisAddress> ReadAddress(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements != 2) return std::nullopt;
  const std::string_view host = TextOf(*reply.element[0]);
  const std::string_view port = TextOf(*reply.element[1]);
  const auto printable = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; };
  if (host.empty() || host.size() > kHostBytesMax ||
      !std::all_of(host.begin(), host.end(), printable)) {
    return std::nullopt;
  }
  RedisAddress address;
  address.host = host;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size() || address.port == 0) {
    return std::nullopt;
  }
  return address;
}

}  // namespace

void SentinelAddress::Find(Found found) {
  address_.reset();
  std::string wire;
  AppendCommand(wire, {"SENTINEL", "get-master-addr-by-name", options_.master});
  inquiry_.Ask(
      options_.sentinels, std::move(wire),
      [this](const redisReply& reply, const RedisAddress& /*sentinel*/) {
        if (reply.type == REDIS_REPLY_NIL ||
            (reply.type == REDIS_REPLY_ARRAY && reply.elements == 0)) {
          return absl::NotFoundError("knows no master " + options_.master);
        }
        if (!address_.has_value()) address_ = ReadAddress(reply);
        return address_.has_value()
                   ? absl::OkStatus()
                   : absl::InvalidArgumentError("its answer is not a host and a port");
      },
      [this, found = std::move(found)](const absl::Status& status) {
        if (status.ok()) {
          found(*address_);
        } else {
          std::string text = "no sentinel names the master " + options_.master + "; ";
          found(absl::UnavailableError(absl::StrCat(text, status.message())));
        }
      });
}

}  // namespace weir
