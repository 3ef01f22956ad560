#pragma once

// Which lines of the log are repeats: a few of the same text pass, the next ones within a time are
// counted, and one line says how many they were.
//
//   LogRepeats repeats;
//   if (repeats.Pass(text, now_ns)) write(text);
//   for (const LogRepeats::Line& line : repeats.Expire(now_ns)) write(line);
//
// Thread safety: one thread.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace weir {

class LogRepeats {
 public:
  // Lines of one text that pass within the time: three, because off, on and off again is news.
  static constexpr uint64_t kPassing = 3;
  static constexpr int64_t kTimeNs = 10'000'000'000;
  // Texts remembered at once. Of more than this in 10 s, the further ones all pass.
  static constexpr std::size_t kTextsMax = 256;

  struct Line {
    int level = 0;
    std::string text;  // "<text> (repeated 17 times within 10 s)"
  };

  // False: leave the line out. `level` is only kept for Expire.
  bool Pass(int level, std::string_view text, int64_t now_ns) {
    auto found = texts_.find(text);
    if (found == texts_.end()) {
      if (texts_.size() < kTextsMax) texts_.emplace(text, Seen{level, now_ns, 1});
      return true;
    }
    return ++found->second.count <= kPassing;
  }

  // Forgets texts that were first seen longer than kTimeNs ago; those that were left out come with
  // their number. Called before each Pass, and now and then.
  std::vector<Line> Expire(int64_t now_ns) {
    std::vector<Line> lines;
    for (auto it = texts_.begin(); it != texts_.end();) {
      // A clock that was set back ends the time too.
      const int64_t age_ns = now_ns - it->second.since_ns;
      if (age_ns >= 0 && age_ns < kTimeNs) {
        ++it;
        continue;
      }
      if (it->second.count > kPassing) {
        lines.push_back({it->second.level, it->first + " (repeated " +
                                               std::to_string(it->second.count - kPassing) +
                                               " times within 10 s)"});
      }
      it = texts_.erase(it);
    }
    return lines;
  }

 private:
  struct Seen {
    int level = 0;
    int64_t since_ns = 0;
    uint64_t count = 0;
  };
  std::map<std::string, Seen, std::less<>> texts_;
};

}  // namespace weir
