#pragma once

// What goes to the log, and how often: per kind of message the same text at most once per 10 s, and
// different texts at most once per second.
//
// Thread safety: one thread.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "limiter/store/redis/failure.h"

namespace weir {

inline constexpr std::size_t kNoteBytesMax = 512;

// What servers say goes to logs and pages: one line, of bounded length.
inline std::string OneLine(std::string_view text) {
  std::string clean(text.substr(0, kNoteBytesMax));
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  return clean;
}

// `what` followed by how to help.
inline std::string WithRemedy(std::string_view what, const FailureRow& row) {
  std::string text = OneLine(what);
  if (!row.remedy.empty()) text.append("; ").append(row.remedy);
  return text;
}

class NoteLimit {
 public:
  explicit NoteLimit(std::size_t kinds) : kinds_(kinds) {}

  // False: leave it out.
  bool Allow(std::size_t kind, std::string_view text, int64_t now_ns) {
    Last& last = kinds_[kind];
    const std::size_t hash = std::hash<std::string_view>()(text);
    const int64_t pause_ns = hash == last.hash ? kSamePauseNs : kOtherPauseNs;
    if (last.ever && now_ns - last.at_ns < pause_ns) return false;
    last = {now_ns, hash, true};
    return true;
  }

 private:
  static constexpr int64_t kSamePauseNs = 10'000'000'000;
  static constexpr int64_t kOtherPauseNs = 1'000'000'000;

  struct Last {
    int64_t at_ns = 0;
    std::size_t hash = 0;
    bool ever = false;
  };
  std::vector<Last> kinds_;
};

}  // namespace weir
