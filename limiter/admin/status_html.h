#pragma once

// The debug pages for people: HTML without a script, with one stylesheet inside and nothing to
// fetch. Everything that came from a file or from a caller is escaped.
//
// Thread safety: functions without shared state.

#include <string>
#include <vector>

#include "limiter/admin/status.h"
#include "limiter/core/top_keys.h"

namespace weir {

// The page "/".
std::string StatusHtml(const Status& status);

// The page "/top": the keys of some rules.
struct TopPage {
  std::string domain;
  std::string label;
  TopKeys top;
  bool show_keys = false;
};
std::string TopHtml(const std::vector<TopPage>& rules, bool show_keys, int refresh_s);

// The stylesheet of both, and the hash that allows it ("sha256-…").
const char* StatusStyle();
extern const char kStatusStyleHash[];

}  // namespace weir
