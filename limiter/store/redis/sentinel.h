#pragma once

// Where the primary is, by what sentinels say: all are asked at once, the first that knows the name
// wins. Whether the server it names is a primary the handshake finds out.
//
// Thread safety: the loop's thread only.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "limiter/store/redis/inquiry.h"
#include "limiter/store/redis/primary.h"

namespace weir {

struct SentinelOptions {
  std::vector<RedisAddress> sentinels;
  std::string master;  // its name among the sentinels
  InquiryOptions reach;
};

// Each search makes a connection of its own to every sentinel and ends within
// LinkOptions::connect_timeout_ns, names and replies included.
class SentinelAddress final : public Primary::AddressSource {
 public:
  // As Primary has it, with the same life times.
  SentinelAddress(const Primary::Environment& environment, SentinelOptions options)
      : options_(std::move(options)), inquiry_(environment, options_.reach) {}

  // UNAVAILABLE: no sentinel named the primary; the message has what each of them said instead. One
  // search at a time: another call drops the one before, whose `found` is not called.
  void Find(Found found) override;

 private:
  const SentinelOptions options_;
  std::optional<RedisAddress> address_;  // of the search
  Inquiry inquiry_;
};

}  // namespace weir
