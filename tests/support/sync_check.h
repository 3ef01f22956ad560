#pragma once

// A request whose outcomes are there when Engine::Run returns, as on a store that answers at once.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "limiter/core/engine.h"

namespace weir::test {

using Entries = std::vector<Entry>;

class SyncCheck : public Check {
 public:
  explicit SyncCheck(std::string_view of_domain = "d") { domain = of_domain; }

  // Keeps the list of entries; the texts in it must outlive the check.
  SyncCheck& Add(Entries entries, uint64_t hits = 1, Op op = Op::kTake) {
    kept_.push_back(std::move(entries));
    descriptors.push_back({.entries = kept_.back(), .limit = std::nullopt, .op = op, .hits = hits});
    return *this;
  }
  // The last descriptor brings its own limit.
  SyncCheck& Override(uint32_t requests_per_unit, Unit unit) {
    descriptors.back().limit = LimitOverride{requests_per_unit, unit};
    return *this;
  }

  void OnChecked() override { ++answers_; }
  int answers() const { return answers_; }

  const Outcome& operator[](std::size_t i) const { return outcomes[i]; }

 private:
  std::deque<Entries> kept_;
  int answers_ = 0;
};

}  // namespace weir::test
