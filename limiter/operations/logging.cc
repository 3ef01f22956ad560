#include "limiter/operations/logging.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "limiter/core/mutex.h"
#include "limiter/operations/log_repeats.h"

namespace weir {
namespace {

constexpr char kDenyLogger[] = "weir-deny";

// The text as a JSON string, quotes included; ASCII, so that no byte of it means anything to a
// terminal.
std::string JsonText(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

class Message final : public spdlog::custom_flag_formatter {
 public:
  explicit Message(bool json) : json_(json) {}

  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    const std::string_view payload(message.payload.data(), message.payload.size());
    const std::string text = json_ ? JsonText(payload) : EscapedForLog(payload);
    out.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<Message>(json_);
  }

 private:
  const bool json_;
};

// Leaves repeats out on the way to another sink.
class RepeatSink final : public spdlog::sinks::sink {
 public:
  explicit RepeatSink(spdlog::sink_ptr out) : out_(std::move(out)) {}

  void Expire(int64_t wall_ns) {
    MutexLock lock(mutex_);
    ExpireLocked(wall_ns);
  }

  void log(const spdlog::details::log_msg& message) override {
    const int64_t wall_ns =
        std::chrono::duration_cast<std::chrono::nanoseconds>(message.time.time_since_epoch())
            .count();
    const std::string_view text(message.payload.data(), message.payload.size());
    MutexLock lock(mutex_);
    ExpireLocked(wall_ns);
    if (repeats_.Pass(message.level, text, wall_ns)) out_->log(message);
  }
  void flush() override { out_->flush(); }
  void set_pattern(const std::string& pattern) override { out_->set_pattern(pattern); }
  void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
    out_->set_formatter(std::move(formatter));
  }

 private:
  void ExpireLocked(int64_t wall_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const LogRepeats::Line& line : repeats_.Expire(wall_ns)) {
      out_->log({spdlog::source_loc(), "weir", static_cast<spdlog::level::level_enum>(line.level),
                 line.text});
    }
  }

  const spdlog::sink_ptr out_;
  Mutex mutex_;
  LogRepeats repeats_ ABSL_GUARDED_BY(mutex_);
};

std::shared_ptr<RepeatSink>& Repeats() {
  static std::shared_ptr<RepeatSink> sink;
  return sink;
}

bool& Json() {
  static bool json = false;
  return json;
}

// U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: what follows would be shown in another order.
bool IsBidiControl(std::string_view utf8) {
  if (utf8.size() < 3 || utf8[0] != '\xE2') return false;
  const auto last = static_cast<unsigned char>(utf8[2]);
  if (utf8[1] == '\x81') return last >= 0xA6 && last <= 0xA9;
  return utf8[1] == '\x80' && (last == 0x8E || last == 0x8F || (last >= 0xAA && last <= 0xAE));
}

// A value of a `key=value` line: quoted where it would not end at the next space.
std::string FieldText(std::string_view value) {
  std::string escaped;
  for (const char c : value) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  escaped = EscapedForLog(escaped);
  if (!escaped.empty() && escaped.find_first_of(" \"=\\") == std::string::npos) return escaped;
  return '"' + escaped + '"';
}

}  // namespace

std::string EscapedForLog(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters too: a terminal may take U+009B for ESC [.
    const bool c1 =
        byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    const bool bidi = IsBidiControl(text.substr(i, 3));
    const std::size_t size = bidi ? 3 : c1 ? 2 : 1;
    if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\r') {
      out += "\\r";
    } else if (byte == '\t') {
      out += "\\t";
    } else if (byte < ' ' || byte == 0x7F || c1 || bidi) {
      for (std::size_t at = i; at < i + size; ++at) {
        absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned char>(text[at]));
      }
    } else {
      out += text[i];
    }
    i += size;
  }
  return out;
}

void StartLogging(const std::string& level, bool json) {
  Json() = json;
  const auto formatter = [json](std::string_view message) {
    auto made = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
    const std::string start = json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":)"
                                   : "%Y-%m-%dT%H:%M:%S.%eZ %l ";
    made->add_flag<Message>('*', json).set_pattern(start + std::string(message) +
                                                   (json ? "}" : ""));
    return made;
  };
  const auto threshold = spdlog::level::from_str(level == "warn" ? "warning" : level);
  Repeats() = std::make_shared<RepeatSink>(std::make_shared<spdlog::sinks::stderr_sink_mt>());
  auto logger = std::make_shared<spdlog::logger>("weir", Repeats());
  logger->set_formatter(formatter("%*"));
  logger->set_level(threshold);
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));

  // Its messages are escaped by who writes them: they have parts.
  auto denials = std::make_shared<spdlog::logger>(
      kDenyLogger, std::make_shared<spdlog::sinks::stderr_sink_mt>());
  denials->set_formatter(formatter("%v"));
  denials->set_level(threshold);
  denials->flush_on(spdlog::level::trace);
  spdlog::drop(kDenyLogger);
  spdlog::register_logger(std::move(denials));
}

void ExpireLogRepeats(int64_t wall_ns) {
  if (Repeats() != nullptr) Repeats()->Expire(wall_ns);
}

bool LogsInfo() { return spdlog::should_log(spdlog::level::info); }

void LogDenial(const Denial& denial, std::string_view store_state) {
  const std::shared_ptr<spdlog::logger> logger = spdlog::get(kDenyLogger);
  if (logger == nullptr) return;
  const std::string_view source = kSourceNames[static_cast<std::size_t>(denial.source)];
  const std::string_view mode = denial.shadow ? "shadow" : "enforce";
  const std::string key = absl::StrFormat("%016x", denial.key_hash);
  if (Json()) {
    logger->info(R"("denied","domain":{},"rule":{},"source":"{}","store":{},"mode":"{}",)"
                 R"("key":"{}","suppressed":{})",
                 JsonText(denial.domain), JsonText(denial.rule), source, JsonText(store_state),
                 mode, key, denial.suppressed);
  } else {
    logger->info("denied domain={} rule={} source={} store={} mode={} key={} suppressed={}",
                 FieldText(denial.domain), FieldText(denial.rule), source, FieldText(store_state),
                 mode, key, denial.suppressed);
  }
}

}  // namespace weir
