#include "limiter/config/watcher_inotify.h"

#include <dirent.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace weir {
namespace {

// Bounds of a walk over a folder that may be anything.
constexpr int kWatchesMax = 4096;
constexpr int kDepthMax = 16;
constexpr int kLinksMax = 40;  // the kernel's own bound on a path (ELOOP)

// What happens to entries of a folder, and to the folder itself.
constexpr uint32_t kFolderEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                   IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF |
                                   IN_MOVE_SELF;
// A folder on the way: only which entry stands there. IN_MASK_ADD, because the rules folder's own
// watch may be on the same inode.
constexpr uint32_t kWayEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                IN_DELETE_SELF | IN_MOVE_SELF | IN_MASK_ADD;
// A file that a link in the folder points to; IN_ATTRIB tells that its name went away.
constexpr uint32_t kFileEvents =
    IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_MASK_ADD;

std::deque<std::string> SplitPath(std::string_view path) {
  std::deque<std::string> parts;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return parts;
}

std::string ReadLink(const std::string& path) {
  std::array<char, PATH_MAX> target{};
  const ssize_t size = readlink(path.c_str(), target.data(), target.size());
  return size <= 0 ? "" : std::string(target.data(), static_cast<size_t>(size));
}

}  // namespace

FolderWatches::~FolderWatches() {
  if (fd_ >= 0) close(fd_);
}

void FolderWatches::Watch(const std::string& path) {
  if (fd_ >= 0) close(fd_);
  names_.clear();
  watches_left_ = kWatchesMax;
  fd_ = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd_ < 0) return;
  WatchWay(path);
  WatchFolder(path, 0);
}

// Follows the path as the kernel does, one name at a time.
void FolderWatches::WatchWay(const std::string& path) {
  std::string folder = "/";
  if (!path.starts_with('/')) {
    std::array<char, PATH_MAX> current{};
    if (getcwd(current.data(), current.size()) == nullptr) return;
    folder = std::string(current.data()) + "/";
  }
  std::deque<std::string> parts = SplitPath(path);
  int links_left = kLinksMax;
  while (!parts.empty()) {
    const std::string name = std::move(parts.front());
    parts.pop_front();
    if (name == "..") {
      folder += "../";  // the kernel resolves it; links before it were replaced by their targets
      continue;
    }
    WatchName(folder, name);
    const std::string target = ReadLink(folder + name);
    if (target.empty()) {
      folder += name + "/";
      continue;
    }
    if (--links_left == 0) return;
    if (target.starts_with('/')) folder.assign(1, '/');
    std::deque<std::string> target_parts = SplitPath(target);
    parts.insert(parts.begin(), target_parts.begin(), target_parts.end());
  }
}

void FolderWatches::WatchName(const std::string& folder, const std::string& name) {
  if (watches_left_ <= 0) return;
  const int watch = inotify_add_watch(fd_, folder.c_str(), kWayEvents);
  if (watch < 0) return;
  --watches_left_;
  names_.emplace(watch, name);
}

void FolderWatches::WatchFolder(const std::string& path, int depth) {
  if (depth > kDepthMax || watches_left_ <= 0) return;
  const int watch = inotify_add_watch(fd_, path.c_str(), kFolderEvents | IN_MASK_ADD);
  if (watch < 0) return;
  --watches_left_;
  names_.emplace(watch, "");
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (folder == nullptr) return;
  while (const dirent* entry = readdir(folder.get())) {
    const std::string name = entry->d_name;
    const bool known_file = entry->d_type == DT_REG;  // covered by the folder's watch
    if (name.starts_with('.') || known_file) continue;
    const std::string child = path + "/" + name;
    struct stat info {};
    if (stat(child.c_str(), &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      WatchFolder(child, depth + 1);
    } else if (S_ISREG(info.st_mode) && entry->d_type == DT_LNK && watches_left_ > 0) {
      const int file_watch = inotify_add_watch(fd_, child.c_str(), kFileEvents);
      if (file_watch < 0) continue;
      --watches_left_;
      names_.emplace(file_watch, "");
    }
  }
}

bool FolderWatches::Drain() {
  if (fd_ < 0) return false;
  alignas(inotify_event) std::array<char, 16 * 1024> buffer{};
  bool concerns = false;
  for (;;) {
    const ssize_t size = read(fd_, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return concerns;
    for (size_t at = 0; at < static_cast<size_t>(size);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof(event));
      const char* name = event.len == 0 ? "" : buffer.data() + at + sizeof(event);
      at += sizeof(event) + event.len;
      // Without a name it concerns the folder itself, or the queue overflowed.
      concerns = concerns || event.len == 0;
      const auto [begin, end] = names_.equal_range(event.wd);
      for (auto it = begin; it != end && !concerns; ++it) {
        concerns = it->second.empty() || it->second == name;
      }
    }
  }
}

}  // namespace weir
