#pragma once

// Calls on counters that envoyproxy/ratelimit counts on too (counter_call.h), over a topology: each
// is one trip of one or two commands, a refund two trips, and what a call must not keep goes after
// its answer.
//
// Thread safety: the loop's thread only.

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "limiter/core/clock.h"
#include "limiter/store/pool.h"
#include "limiter/store/redis/note_limit.h"
#include "limiter/store/redis/topology.h"
#include "limiter/store/remote.h"

namespace weir {

struct CounterOptions {
  // A counter expires its window's length after its last change, and up to this much later: at
  // random, so that counters of one window do not all go at once.
  int64_t jitter_max_s = 300;  // 0: none
  uint64_t seed = 0;           // of the jitter
};

class CounterRemote {
 public:
  class Listener {
   public:
    // A call that was sent has its answer; nullptr: it failed.
    virtual void OnCounted(const RemoteCall& call, const RemoteReply* reply,
                           int64_t duration_ns) = 0;
    virtual void OnNote(NoteLevel level, std::string_view text) = 0;

   protected:
    virtual ~Listener() = default;
  };

  // Arguments but the options outlive the remote.
  CounterRemote(const CounterOptions& options, Clock& clock, Listener& listener);
  ~CounterRemote();

  // As Remote::Send. REQUIRES: the call has a counter and a fixed window of whole seconds.
  bool Send(const RemoteCall& call, Topology& topology, RemoteSink& sink);

 private:
  class Call;

  int64_t ExpirySeconds(const Limit& limit);
  void NoteOnce(std::string_view text, int64_t mono_ns);

  const CounterOptions options_;
  Clock& clock_;
  Listener& listener_;
  std::mt19937_64 random_;
  NoteLimit notes_{1};
  std::string wire_;  // scratch
  Pool<Call> calls_;
};

}  // namespace weir
