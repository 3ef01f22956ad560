#pragma once

// Text that came over the wire, made fit to be shown.
//
// Thread safety: functions without shared state.

#include <string>
#include <string_view>

namespace weir {

// `text` with every byte that is not part of valid UTF-8 replaced by U+FFFD: one bad byte in a
// label value makes Prometheus refuse the whole scrape.
std::string ValidUtf8(std::string_view text);

}  // namespace weir
