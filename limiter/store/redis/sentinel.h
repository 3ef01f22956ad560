#pragma once

// Where the primary is, by what sentinels say: all are asked at once, the first that knows the name
// wins; and all are listened to, so that a move is followed at once. Whether the server it names is
// a primary the handshake finds out.
//
// Thread safety: the loop's thread only.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/store/redis/backoff.h"
#include "limiter/store/redis/inquiry.h"
#include "limiter/store/redis/primary.h"
#include "limiter/store/redis/reach.h"

namespace weir {

struct SentinelOptions {
  std::vector<RedisAddress> sentinels;
  std::string master;  // its name among the sentinels
  ReachOptions reach;
};

// Each search makes a connection of its own to every sentinel and ends within
// LinkOptions::connect_timeout_ns, names and replies included.
class SentinelAddress final : public Primary::AddressSource {
 public:
  // As Primary has it, with the same life times.
  SentinelAddress(const Primary::Environment& environment, SentinelOptions options)
      : environment_(environment),
        options_(std::move(options)),
        inquiry_(environment, options_.reach) {}

  // UNAVAILABLE: no sentinel named the primary; the message has what each of them said instead. One
  // search at a time: another call drops the one before, whose `found` is not called.
  void Find(Found found) override;

  // A sentinel said so by itself: the next search, if it comes soon, asks nobody. Sentinels that
  // did not hear of it yet would name the old one, which is a primary still.
  void Hint(const RedisAddress& address);

 private:
  const Primary::Environment environment_;
  const SentinelOptions options_;
  std::optional<RedisAddress> hint_;
  int64_t hinted_ns_ = 0;
  std::optional<RedisAddress> address_;  // of the search
  Inquiry inquiry_;
};

// Listens to the sentinels' `+switch-master`, over a connection to each that is kept up. A message
// is a hint: whether the server it names is a primary the handshake finds out. A sentinel that is
// not heard is noted.
class SentinelWatch {
 public:
  using Moved = std::function<void(const RedisAddress& primary)>;
  using Noted = std::function<void(NoteLevel level, std::string_view text)>;

  // `noted`: of lines for the log; may be empty.
  SentinelWatch(const Primary::Environment& environment, SentinelOptions options,
                const BackoffOptions& backoff, uint64_t seed, Moved moved, Noted noted = nullptr);
  ~SentinelWatch();
  SentinelWatch(const SentinelWatch&) = delete;
  SentinelWatch& operator=(const SentinelWatch&) = delete;

  void Start();  // called once

 private:
  class Watcher;

  const SentinelOptions options_;
  Names names_;
  const Moved moved_;
  const Noted noted_;
  std::vector<std::unique_ptr<Watcher>> watchers_;
};

}  // namespace weir
