#pragma once

// The inotify watches of one rules folder. Private to the watcher.
//
// Thread safety: one thread.

#include <string>
#include <unordered_map>

namespace weir {

class FolderWatches {
 public:
  FolderWatches() = default;
  ~FolderWatches();
  FolderWatches(const FolderWatches&) = delete;
  FolderWatches& operator=(const FolderWatches&) = delete;

  // Forgets all watches and watches anew: the folder and those below it, the targets of links in
  // them, and every link and folder on the way to it, so that a swap of any of them is seen. What
  // cannot be watched is left to polling. `path` may be a file.
  void Watch(const std::string& path);

  // Becomes readable on a sign of change; -1 if inotify is not to be had.
  int fd() const { return fd_; }

  // Takes all events; true if one concerns the rules.
  bool Drain();

 private:
  void WatchWay(const std::string& path);
  void WatchName(const std::string& folder, const std::string& name);
  void WatchFolder(const std::string& path, int depth);

  int fd_ = -1;
  int watches_left_ = 0;
  // By watch: the name of interest in a folder that is only passed through; "" for all.
  std::unordered_multimap<int, std::string> names_;
};

}  // namespace weir
