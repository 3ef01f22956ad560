#include "tests/sim/faults.h"

#include <utility>

namespace weir::sim {

Faults::Faults(World& world, SimStore& store, Fleet& fleet, const SimOptions& options)
    : world_(world), store_(store), fleet_(fleet), options_(options) {}

void Faults::Start(int64_t until_ns) {
  until_ns_ = until_ns;
  const FaultOptions& faults = options_.faults;
  Every(faults.pause_ns, &Faults::PauseNode);
  Every(faults.kill_ns, &Faults::KillNode);
  Every(faults.wall_step_ns, &Faults::StepNodeWall);
  Every(faults.cut_ns, &Faults::CutNode);
  Every(faults.slow_ns, &Faults::SlowNode);
  Every(faults.freeze_ns, &Faults::FreezeStore);
  Every(faults.store_step_ns, &Faults::StepStore);
  Every(faults.fail_over_ns, &Faults::FailOverStore);
  Every(faults.split_ns, &Faults::SplitStore);
  Every(faults.restart_ns, &Faults::RestartStore);
}

void Faults::Heal() {
  healed_ = true;
  if (!store_.running()) store_.Start();
  store_.Thaw();
  if (store_.split()) store_.EndSplit();
  fleet_.StopHolding();
  for (int i = 0; i < fleet_.size(); ++i) {
    Network& network = fleet_.node(i).network;
    network = Network();
    network.jitter_ns = 5 * kUs;  // so that none waits too long by chance
    Host& host = *fleet_.node(i).host;
    if (host.paused()) host.Resume();
  }
}

void Faults::Every(int64_t mean_ns, Fault fault) {
  if (mean_ns == 0) return;
  const int64_t pause_ns = world_.rng().Exponential(static_cast<double>(mean_ns));
  After(pause_ns, [this, mean_ns, fault] {
    if (world_.now_ns() >= until_ns_) return;
    (this->*fault)();
    Every(mean_ns, fault);
  });
}

void Faults::After(int64_t ns, std::function<void()> task) {
  world_.After(ns, [this, task = std::move(task)] {
    if (!healed_) task();
  });
}

int64_t Faults::Length() { return world_.rng().Between(0, options_.faults.longest_ns); }

int Faults::AnyNode() {
  return static_cast<int>(world_.rng().Below(static_cast<uint64_t>(fleet_.size())));
}

void Faults::Trace(const char* what) const {
  if (world_.tracing()) world_.Trace(what);
}

void Faults::PauseNode() {
  const int node = AnyNode();
  Host& host = *fleet_.node(node).host;
  if (host.paused()) return;
  Trace("a node is paused");
  host.Pause();
  After(Length(), [this, &host, incarnation = host.incarnation()] {
    if (!host.paused() || host.incarnation() != incarnation) return;
    Trace("a node runs again");
    host.Resume();
  });
}

void Faults::KillNode() { fleet_.Kill(AnyNode()); }

void Faults::StepNodeWall() {
  Trace("the wall of a node steps");
  const int64_t ns = Length();
  fleet_.StepWall(AnyNode(), world_.rng().Chance(0.5) ? ns : -ns);
}

void Faults::CutNode() {
  Trace("a node is cut off");
  Network& network = fleet_.node(AnyNode()).network;
  const int64_t ways = world_.rng().Between(1, 3);
  network.to_store_cut = (ways & 1) != 0;
  network.from_store_cut = (ways & 2) != 0;
  After(Length(), [&network] { network.to_store_cut = network.from_store_cut = false; });
}

void Faults::SlowNode() {
  Trace("a node's network is slow");
  Network& network = fleet_.node(AnyNode()).network;
  network.delay_ns = Length();
  After(Length(), [this, &network] { network.delay_ns = options_.network.delay_ns; });
}

void Faults::FreezeStore() {
  Trace("the store freezes");
  store_.Freeze();
  After(Length(), [this] { store_.Thaw(); });
}

void Faults::StepStore() {
  Trace("the store's clock steps");
  // Now and then so far that whoever believed the old time would be stuck until long after.
  const int64_t far = world_.rng().Chance(0.3) ? 20 : 1;
  const int64_t ns = far * (world_.rng().Chance(0.5) ? Length() : -Length());
  store_.StepClock(ns);
  // A clock that was wrong is put right.
  if (world_.rng().Chance(0.5)) {
    After(Length(), [this, ns] { store_.StepClock(-ns); });
  }
}

// A replica that lags takes over, at once or after a while without any primary.
void Faults::FailOverStore() {
  if (std::exchange(failing_over_, true)) return;
  Trace("the replica falls behind");
  store_.TakeSnapshot();
  After(Length(), [this] {
    const int64_t gone_ns = world_.rng().Chance(0.5) ? 0 : Length();
    if (gone_ns > 0) store_.Stop();
    After(gone_ns, [this] {
      Trace("the replica is promoted");
      store_.FailOver();
      failing_over_ = false;
    });
  });
}

// A replica that lags takes over, but only some of the nodes find it.
void Faults::SplitStore() {
  if (!store_.running() || std::exchange(failing_over_, true)) return;
  Trace("the replica falls behind");
  store_.TakeSnapshot();
  After(Length(), [this] {
    Trace("there are two primaries");
    store_.Split();
    for (int i = 0; i < fleet_.size(); ++i) {
      if (world_.rng().Chance(0.5)) fleet_.node(i).link->Reset();
    }
    After(Length(), [this] {
      Trace("the old primary is gone");
      store_.EndSplit();
      failing_over_ = false;
    });
  });
}

void Faults::RestartStore() {
  if (failing_over_ || !store_.running()) return;
  Trace("the store restarts");
  store_.Stop();
  const bool empty = world_.rng().Chance(0.5);
  After(Length(), [this, empty] {
    if (store_.running()) return;
    if (empty) store_.LoseEverything();
    store_.Start();
  });
}

}  // namespace weir::sim
