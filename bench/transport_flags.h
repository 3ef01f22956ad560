// Command lines of the transport programs: --name=value, and nothing else.
//
// The load generator and the null server each take about ten settings. A flag library would be
// most of their compile time, and the strict form below is the only one that the scripts write.
//
//   Flags flags(argc, argv);
//   const int streams = flags.Take("streams", 1);
//   if (!flags.Finish()) return 2;
#pragma once

#include <charconv>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <system_error>

namespace weir::bench {

// Not thread-safe: used once, at the start of main.
class Flags {
 public:
  // The arguments are copied; a word that is not --name=value is remembered as a problem.
  Flags(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      const std::string_view word(argv[i]);
      const size_t equals = word.find('=');
      if (!word.starts_with("--") || equals == std::string_view::npos) {
        Complain("not of the form --name=value", word);
        continue;
      }
      values_.insert_or_assign(std::string(word.substr(2, equals - 2)),
                               std::string(word.substr(equals + 1)));
    }
  }

  // Removes the flag and returns its text, or `absent` if it was not given. Cannot fail.
  std::string TakeText(const std::string& name, std::string_view absent) {
    const auto node = values_.extract(name);
    return node ? node.mapped() : std::string(absent);
  }

  // Removes the flag and returns its number, or `absent` if it was not given. A text that is not
  // a whole number of type T counts as a problem, and `absent` is returned.
  template <typename T>
  T Take(const std::string& name, T absent) {
    const auto node = values_.extract(name);
    if (!node) return absent;
    const std::string& text = node.mapped();
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size() && value >= 0) return value;
    Complain("not a number that fits", "--" + name + "=" + text);
    return absent;
  }

  void Complain(std::string_view problem, std::string_view subject) {
    std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(subject.size()), subject.data(),
                 static_cast<int>(problem.size()), problem.data());
    valid_ = false;
  }

  // True if every flag was taken and no problem was found; problems are on stderr.
  [[nodiscard]] bool Finish() {
    for (const auto& [name, value] : values_) Complain("unknown flag", "--" + name);
    return valid_;
  }

 private:
  std::map<std::string, std::string> values_;
  bool valid_ = true;
};

}  // namespace weir::bench
