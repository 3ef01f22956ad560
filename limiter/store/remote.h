#pragma once

// The store that several Weirs share, as SharedStore sees it: operations go out, replies come back.
// limiter/store/redis implements it over connections, tests and simulations in memory.
//
// Thread safety: each function says from where.

#include <cstdint>
#include <string_view>

#include "algorithms/decision.h"
#include "algorithms/limit.h"
#include "limiter/core/descriptor.h"
#include "limiter/core/key.h"
#include "limiter/core/siphash.h"
#include "limiter/core/store.h"
#include "limiter/store/lease_ask.h"

namespace weir {

// One operation on one key. `limit` outlives the call of Remote::Send only.
struct RemoteCall {
  const Limit* limit = nullptr;
  Key key;
  Op op = Op::kTake;
  uint64_t hits = 0;
  bool drain = false;            // a denied take costs the hits that are left
  bool with_record = false;      // the reply says what is held, too
  int64_t deadline_mono_ns = 0;  // when the caller stops waiting
  LeaseAsk lease = {};
  // Where the limit is counted together with others; its key is valid during Send only.
  SharedCounter counter = {};
};

struct RemoteReply {
  Decision decision;
  uint64_t remaining_before = 0;  // hits that would have passed before this call charged any
  int64_t store_now_us = 0;       // the store's clock when it decided; 0 where it has none
  uint64_t granted = 0;           // hits charged by a take; those above the request's are leased
  int64_t ttl_ns = 0;             // life of that lease from the time the call was sent
  int64_t window = 0;             // fixed_window: the window it counted in
  std::string_view record;        // with_record: as Ask::record, valid while the sink is told
};

// Told once of each call that was sent, on the loop's thread.
class RemoteSink {
 public:
  virtual void OnReply(const RemoteReply& reply) = 0;
  // An error, or the connection ended: whether the call was charged is then unknown. Why it failed
  // is counted and logged by the remote.
  virtual void OnFailure() = 0;

 protected:
  virtual ~RemoteSink() = default;
};

class Remote {
 public:
  virtual ~Remote() = default;

  // Any thread. Whether calls on keys made under `secret` are worth waiting for: false sends
  // requests to their failure policy at once.
  virtual bool Reachable(const Limit& limit, const Key& key, const Secret& secret) const = 0;
  // The same of a counter that others count on too, by its key: it is made under no secret.
  virtual bool CounterReachable(const Limit& /*limit*/, std::string_view /*counter*/) const {
    return false;
  }
  // Any thread. Nodes that share the store: the largest count of the last minute before it was
  // last heard of; 0: never heard.
  virtual int nodes() const = 0;
  // Any thread. How often the part of the store that has the key was lost so far.
  virtual uint64_t OutagesOf(const Limit& limit, const Key& key) const = 0;

  // Any thread. Changes whenever what was granted before may be forgotten: hits leased under
  // another history are not to be spent.
  virtual uint32_t history() const { return 0; }

  // The rest on the loop's thread.
  // false: not sent, and the sink is not told.
  virtual bool Send(const RemoteCall& call, RemoteSink& sink) = 0;
  // What was sent leaves now.
  virtual void Flush() = 0;
  // A caller gave up waiting for a reply about the key.
  virtual void NoteTimeout(const Limit& limit, const Key& key) = 0;
  virtual void NoteCounterTimeout(const Limit& /*limit*/, std::string_view /*counter*/) {}
};

}  // namespace weir
