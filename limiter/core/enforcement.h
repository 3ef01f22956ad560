#pragma once

// For which domains enforcement is switched off while the program runs: their rules and overrides
// are then as in shadow mode, counted and never enforced.
//
// Thread safety: plain values.

#include <string>
#include <vector>

namespace weir {

// What an operator asks for.
struct EnforcementOff {
  bool all = false;                  // every domain, whatever `domains` says
  std::vector<std::string> domains;  // sorted, each once

  bool any() const { return all || !domains.empty(); }
  friend bool operator==(const EnforcementOff&, const EnforcementOff&) = default;
};

// What that means for the rules in force.
struct EnforcementState {
  bool all = false;
  std::vector<std::string> domains;  // of those asked for, the ones that have rules; sorted
  std::vector<std::string> unknown;  // the others, which change nothing; sorted

  bool any() const { return all || !domains.empty(); }
};

}  // namespace weir
