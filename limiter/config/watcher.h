#pragma once

// Watches the rules folder and reports new content: writes in place, atomic renames, the two-step
// link swap of ConfigMaps, files and the whole folder removed and created again, a link on the way
// to the folder pointed elsewhere. Content decides, not times: the folder is read after every sign
// of change, and every `poll_interval_ms` for signs that were missed (inotify is blind on network
// file systems and may run out of watches).
//
// Thread safety: Poke may be called from any thread and from signal handlers. The callbacks run on
// the watcher's thread, one at a time; they must not destroy the watcher. The destructor waits for
// a running callback and returns within milliseconds otherwise.
//
// Invariants:
//  1. on_change is called only for content whose hash differs from the one reported last.
//  2. Every change is read after the watches that would tell of the next one are in place, so the
//     last change is never missed.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "limiter/config/rule_file.h"
#include "limiter/config/rule_folder.h"

namespace weir {

struct RuleWatcherOptions {
  int64_t debounce_ms = 200;          // quiet time before the folder is read; five times this at
                                      // most under a stream of changes
  int64_t poll_interval_ms = 30'000;  // reads without any sign of change; 0: never
  bool inotify = true;                // false: poll only
  RuleFolderOptions folder;
};

// What the caller read of the folder last, so that only what differs from it is reported.
struct KnownRules {
  std::string hash;     // of the content it has; empty: none
  absl::Status status;  // of that reading
};

struct RuleWatcherCallbacks {
  // New content; the files as ReadRuleFolder returns them and their hash. Not null.
  std::function<void(std::vector<RuleFile> files, std::string hash)> on_change;
  // The folder cannot be read, or can be again (OK); called when that changes, after the
  // on_change of content that came with it. What was reported last stays in force. May be null.
  std::function<void(const absl::Status& status)> on_status;
};

class RuleWatcher {
 public:
  // Starts the thread. What differs from `known` by now is reported at once. Fails with
  // RESOURCE_EXHAUSTED without file descriptors or threads; a folder that does not exist is not an
  // error, it is waited for.
  static absl::StatusOr<std::unique_ptr<RuleWatcher>> Start(std::string path, KnownRules known,
                                                            const RuleWatcherOptions& options,
                                                            RuleWatcherCallbacks callbacks);
  ~RuleWatcher();

  RuleWatcher(const RuleWatcher&) = delete;
  RuleWatcher& operator=(const RuleWatcher&) = delete;

  // Has the folder read now, as SIGHUP asks for. Async-signal-safe.
  void Poke();

 private:
  class Loop;

  explicit RuleWatcher(std::unique_ptr<Loop> loop);

  std::unique_ptr<Loop> loop_;
  std::thread thread_;
};

}  // namespace weir
