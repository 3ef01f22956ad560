#include "tests/sim/naive_schemes.h"

#include <algorithm>

#include "limiter/store/memory_store.h"

namespace weir::sim {
namespace {

constexpr int64_t kSyncNs = 100 * kMs;

class LocalCountScheme : public Scheme {
 public:
  LocalCountScheme(Host& host, Link& link, const FleetOptions& options)
      : host_(host), link_(link), options_(options), states_(options.keys->size()) {
    for (std::size_t i = 0; i < states_.size(); ++i) {
      states_[i].left = (*options.keys)[i].limit.capacity;
    }
    Sync();
  }

  void Check(int key, uint64_t hits, OnNodeAnswer told) override {
    State& state = states_[static_cast<std::size_t>(key)];
    const bool allowed = hits <= state.left;
    if (allowed) {
      state.left -= hits;
      state.unreported += hits;
    }
    state.used = true;
    told({.allowed = allowed, .source = Source::kMemory, .decided = {}});
  }

 private:
  struct State {
    uint64_t left = 0;
    uint64_t unreported = 0;
    bool used = false;
    bool in_flight = false;
  };

  void Sync() {
    for (std::size_t i = 0; i < states_.size(); ++i) {
      if (states_[i].used && !states_[i].in_flight) Report(static_cast<int>(i));
    }
    host_.After(kSyncNs, [this] { Sync(); });
  }

  void Report(int key) {
    State& state = states_[static_cast<std::size_t>(key)];
    const KeySpec& spec = (*options_.keys)[static_cast<std::size_t>(key)];
    const uint64_t hits = state.unreported;
    const ScriptCall call = {
        .limit = spec.limit, .op = hits > 0 ? Op::kReport : Op::kPeek, .hits = hits, .lease = {}};
    state.in_flight = link_.Send(key, spec, call, [&state, hits](const Link::Answer& answer) {
      state.in_flight = false;
      if (!answer.reply.has_value()) return;
      state.unreported -= hits;
      state.left = SubtractCapped(answer.reply->decision.remaining, state.unreported);
    });
  }
  static uint64_t SubtractCapped(uint64_t a, uint64_t b) { return a - std::min(a, b); }

  Host& host_;
  Link& link_;
  const FleetOptions options_;
  std::vector<State> states_;
};

class StaticSplitScheme : public Scheme {
 public:
  StaticSplitScheme(Host& host, const FleetOptions& options)
      : host_(host),
        options_(options),
        store_({.keys_max = 4096, .ring_bytes_max = std::size_t{1} << 20}) {
    for (const KeySpec& spec : *options.keys) {
      const auto n = static_cast<uint32_t>(options.nodes);
      LimitSpec part = {.algorithm = spec.limit.algorithm,
                        .hits = std::max(spec.limit.hits / n, 1U),
                        .window_ns = spec.limit.window_ns,
                        .burst = std::max(spec.limit.capacity / n, 1U),
                        .precision = std::max(spec.limit.precision, 1U)};
      parts_.emplace_back();
      MakeLimit(part, &parts_.back());
    }
  }

  void Check(int key, uint64_t hits, OnNodeAnswer told) override {
    class Nobody : public Answered {
     public:
      void OnAnswered() override {}
    };
    weir::Ask ask;
    ask.limit = &parts_[static_cast<std::size_t>(key)];
    ask.key = (*options_.keys)[static_cast<std::size_t>(key)].key;
    ask.hits = hits;
    AcquireOptions acquire;
    acquire.now = host_.clock().Now();
    Nobody nobody;
    store_.Acquire(std::span<weir::Ask>(&ask, 1), acquire, nobody);
    told({.allowed = ask.grant.decision.allowed, .source = Source::kMemory, .decided = {}});
  }

 private:
  Host& host_;
  const FleetOptions options_;
  MemoryStore store_;
  std::vector<Limit> parts_;
};

}  // namespace

std::unique_ptr<Scheme> MakeLocalCountScheme(Host& host, Link& link, const FleetOptions& options) {
  return std::make_unique<LocalCountScheme>(host, link, options);
}

std::unique_ptr<Scheme> MakeStaticSplitScheme(Host& host, Link&, const FleetOptions& options) {
  return std::make_unique<StaticSplitScheme>(host, options);
}

}  // namespace weir::sim
