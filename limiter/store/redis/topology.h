#pragma once

// Which primary a call goes to: one, the one that sentinels name, or one of a cluster's.
//
// Thread safety: Reachable, Visit, outages and redirects from any thread, the rest on the loop's
// thread.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>

#include "limiter/store/redis/cluster_map.h"
#include "limiter/store/redis/command.h"
#include "limiter/store/redis/primary.h"

namespace weir {

class Topology {
 public:
  // Who is told. All on the loop's thread.
  class Listener {
   public:
    virtual void OnMeta(const Meta& meta) = 0;
    // Calls can be sent, perhaps again.
    virtual void OnConnected() = 0;
    // A primary takes no calls any more.
    virtual void OnLost() = 0;
    virtual void OnFailover() = 0;
    virtual void OnNote(NoteLevel level, std::string_view text) = 0;

   protected:
    virtual ~Listener() = default;
  };

  virtual ~Topology() = default;

  virtual void Start() = 0;

  // Whether the primary of the slot takes calls.
  virtual bool Reachable(Slot slot) const = 0;
  // Times that the primary of the slot was lost, whichever it was. Once somebody sees that it takes
  // no calls, that time is counted.
  virtual uint64_t outages(Slot slot) const = 0;
  // Commands that were sent on to another primary.
  virtual uint64_t redirects() const { return 0; }
  // For exporters: all primaries ever known.
  virtual void Visit(const std::function<void(const Primary&)>& visit) const = 0;

  // As Primary::Send, to the primary of the slot.
  virtual bool Send(Slot slot, std::string_view wire, const Script* script, CommandSink& sink) = 0;
  virtual void Flush() = 0;
  virtual void NoteTimeout(Slot slot) = 0;
};

// One primary for all slots, wherever `source` says it is.
class SingleTopology final : public Topology, private Primary::Listener {
 public:
  // Arguments but the options outlive the topology.
  SingleTopology(const Primary::Environment& environment, Primary::AddressSource& source,
                 Topology::Listener& listener, Primary::Options options)
      : listener_(listener), primary_(environment, source, *this, std::move(options)) {}

  void Start() override { primary_.Start(); }
  bool Reachable(Slot /*slot*/) const override;
  uint64_t outages(Slot /*slot*/) const override {
    return outages_.load(std::memory_order_relaxed);
  }
  void Visit(const std::function<void(const Primary&)>& visit) const override { visit(primary_); }
  bool Send(Slot /*slot*/, std::string_view wire, const Script* script,
            CommandSink& sink) override {
    return primary_.Send(wire, script, sink);
  }
  void Flush() override { primary_.Flush(); }
  void NoteTimeout(Slot /*slot*/) override { primary_.NoteTimeout(); }
  // Somebody says that the primary is there now. The source was told before.
  void OnMoved(const RedisAddress& to);

 private:
  void OnState(PrimaryState state) override;
  void OnOutage() override { outages_.fetch_add(1, std::memory_order_relaxed); }
  void OnMeta(const Meta& meta) override { listener_.OnMeta(meta); }
  void OnFailover() override { listener_.OnFailover(); }
  void OnNote(NoteLevel level, std::string_view text) override { listener_.OnNote(level, text); }

  Topology::Listener& listener_;
  std::atomic<uint64_t> outages_{0};
  Primary primary_;
};

}  // namespace weir
