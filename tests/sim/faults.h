#pragma once

// What goes wrong, each class at its own random times until the safety phase ends.

#include <cstdint>
#include <functional>

#include "tests/sim/fleet.h"
#include "tests/sim/options.h"
#include "tests/sim/world.h"

namespace weir::sim {

class Faults {
 public:
  Faults(World& world, SimStore& store, Fleet& fleet, const SimOptions& options);

  // Faults from now until then. Lives until the world ends.
  void Start(int64_t until_ns);
  // Nothing is wrong any more, and nothing will be.
  void Heal();

 private:
  using Fault = void (Faults::*)();

  // The fault, again and again.
  void Every(int64_t mean_ns, Fault fault);
  // Unless healed meanwhile.
  void After(int64_t ns, std::function<void()> task);
  int64_t Length();
  int AnyNode();
  void Trace(const char* what) const;

  void PauseNode();
  void KillNode();
  void StepNodeWall();
  void CutNode();
  void SlowNode();
  void FreezeStore();
  void StepStore();
  void FailOverStore();
  void SplitStore();
  void RestartStore();

  World& world_;
  SimStore& store_;
  Fleet& fleet_;
  const SimOptions& options_;
  int64_t until_ns_ = 0;
  bool healed_ = false;
  bool failing_over_ = false;
};

}  // namespace weir::sim
