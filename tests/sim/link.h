#pragma once

// One node's way to the store: a connection over a network that delays, loses, doubles and cuts,
// and what a node does about it. A connection ends when a call stays unanswered for too long, and
// when the store it led to is no more; then everything on it fails and a new one is tried.
//
// A message is lost or overtaken alone, as in no TCP: what the protocol survives here, it survives
// there. Only a call that gives hits back is never doubled, because nothing doubles it in TCP and
// the node sends it once.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "limiter/store/redis/script_call.h"
#include "tests/sim/host.h"
#include "tests/sim/sim_store.h"

namespace weir::sim {

// The network between a node and the store; the faults change it while the run lasts.
struct Network {
  int64_t delay_ns = 100 * kUs;  // at least, one way
  int64_t jitter_ns = 50 * kUs;  // mean of what is added
  double tail = 0;               // share of messages that take tail_ns more, mean
  int64_t tail_ns = 0;
  double lost = 0;      // share of requests, and of replies
  double doubled = 0;   // share of requests that are executed twice
  bool ordered = true;  // messages do not overtake one another
  bool to_store_cut = false;
  bool from_store_cut = false;
};

struct LinkOptions {
  int64_t patience_ns = 100 * kMs;  // without an answer to a call, before the connection ends
  int64_t backoff_ns = 50 * kMs;    // largest pause before a new try
};

class Link {
 public:
  // What came back: nothing if the connection ended.
  struct Answer {
    std::optional<ScriptReply> reply;
    StoreTime time;  // when the store decided
    int64_t sent_mono_ns = 0;
  };
  using OnAnswer = std::function<void(const Answer&)>;

  Link(Host& host, SimStore& store, Network& network, const LinkOptions& options);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  bool connected() const { return connected_; }
  // How often the store was lost.
  uint64_t outages() const { return outages_; }
  // Told when a new connection meets another primary than the one before.
  void OnNewPrimary(std::function<void()> told) { on_new_primary_.push_back(std::move(told)); }

  // The connection ends as if by the network.
  void Reset() {
    if (connected_) Close("reset");
  }

  // One call on the key of that index. false: not sent and never answered.
  bool Send(int index, const KeySpec& key, const ScriptCall& call, OnAnswer on_answer);

 private:
  struct Flying {
    ScriptCall call;
    OnAnswer on_answer;
    int64_t sent_mono_ns;
    int64_t sent_true_ns;
  };

  // When a message that leaves now arrives; nothing: never. `newest`: of those before it.
  std::optional<int64_t> Arrival(bool cut, int64_t& newest_ns);
  void Deliver(uint64_t connection, uint64_t id, const SimStore::About& about,
               const std::string& wire);
  void Arrived(uint64_t connection, uint64_t id, const SimStore::Executed& executed);
  void Connect();
  void Connected();
  void Watch();
  void Close(const char* why);

  Host& host_;
  SimStore& store_;
  Network& network_;
  const LinkOptions options_;
  const uint64_t incarnation_;
  std::vector<std::function<void()>> on_new_primary_;
  bool connected_ = false;
  uint64_t connection_ = 0;      // counted, so that what belongs to an older one is dropped
  uint64_t replication_id_ = 0;  // of the primary it leads to; 0: never met one
  uint64_t outages_ = 0;
  uint64_t next_id_ = 0;
  int64_t newest_request_ns_ = 0;
  int64_t newest_reply_ns_ = 0;
  std::map<uint64_t, Flying> flying_;
};

}  // namespace weir::sim
