#pragma once

// One question to several servers at once, each over a connection of its own; the first answer that
// says what was looked for ends it.
//
// Thread safety: the loop's thread only.

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "limiter/store/redis/event.h"
#include "limiter/store/redis/primary.h"
#include "limiter/store/redis/reach.h"

namespace weir {

class Inquiry {
 public:
  // Reads an answer that is no error. OK: it is what was looked for.
  using Read = std::function<absl::Status(const redisReply&, const RedisAddress& server)>;
  // Told once: OK as soon as Read said so, UNAVAILABLE with what each server said instead.
  using Done = std::function<void(const absl::Status&)>;

  // The environment as Primary has it, with the same life times.
  Inquiry(const Primary::Environment& environment, ReachOptions options);
  ~Inquiry();
  Inquiry(const Inquiry&) = delete;
  Inquiry& operator=(const Inquiry&) = delete;

  // Ends within LinkOptions::connect_timeout_ns, names and answers included, and never within the
  // call. One question at a time: another call drops the one before, whose `done` is not called.
  // `wire` is one complete command in RESP. REQUIRES: at least one server.
  void Ask(const std::vector<RedisAddress>& servers, std::string wire, Read read, Done done);
  bool asking() const { return done_ != nullptr; }

 private:
  class Asker;

  // An asker knows more than before.
  void OnProgress();
  void Finish();

  const Primary::Environment environment_;
  const ReachOptions options_;
  Names names_;
  Event end_;  // its time is over, or it has its answer
  std::vector<std::unique_ptr<Asker>> askers_;
  std::string wire_;
  Read read_;
  Done done_;  // null: no question
};

}  // namespace weir
