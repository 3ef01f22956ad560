#pragma once

// Where the primary is, by what sentinels say: all are asked at once, the first that knows the name
// wins. Whether the server it names is a primary the handshake finds out.
//
// Thread safety: the loop's thread only.

#include <event2/event.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/store/redis/link.h"
#include "limiter/store/redis/primary.h"

namespace weir {

struct SentinelOptions {
  std::vector<RedisAddress> sentinels;
  std::string master;                 // its name among the sentinels
  std::function<RedisLogin()> login;  // to the sentinels, asked on each connection; null: none
  const TlsContext* tls = nullptr;    // null: plain
  LinkOptions link;
};

// Each search makes a connection of its own to every sentinel and ends within
// LinkOptions::connect_timeout_ns, names and replies included.
class SentinelAddress final : public Primary::AddressSource {
 public:
  // As Primary has it, with the same life times.
  SentinelAddress(const Primary::Environment& environment, SentinelOptions options);
  ~SentinelAddress();
  SentinelAddress(const SentinelAddress&) = delete;
  SentinelAddress& operator=(const SentinelAddress&) = delete;

  // UNAVAILABLE: no sentinel named the primary; the message has what each of them said instead. One
  // search at a time: another call drops the one before, whose `found` is not called.
  void Find(Found found) override;

 private:
  class Asker;
  struct FreeEvent {
    void operator()(event* e) const { event_free(e); }
  };

  // An asker knows more than before.
  void OnProgress();
  void Finish();

  const Primary::Environment environment_;
  const SentinelOptions options_;
  // Callbacks from elsewhere look here whether this object still lives.
  const std::shared_ptr<SentinelAddress*> alive_;
  std::unique_ptr<event, FreeEvent> end_;  // of the search: its time is over, or it has its answer
  std::vector<std::unique_ptr<Asker>> askers_;
  uint64_t search_ = 0;
  Found found_;  // null: no search
};

}  // namespace weir
