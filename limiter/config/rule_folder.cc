#include "limiter/config/rule_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weir {
namespace {

// A file can vanish between the listing and the reading of it; then the folder is read again.
constexpr int kAttemptsMax = 3;
constexpr size_t kReadBytes = 1 << 16;

constexpr std::array<std::string_view, 5> kLeftovers = {"~", ".swp", ".tmp", ".bak", ".orig"};

absl::Status ErrnoStatus(const std::string& path, int error) {
  const std::string text = "cannot read " + path + ": " + std::strerror(error);
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(text);
  return absl::FailedPreconditionError(text);
}

// Why a file of this name is no rule file; empty if it may be one.
std::string SkipReason(std::string_view name) {
  if (name.starts_with('.')) return "its name begins with a dot";
  for (const std::string_view ending : kLeftovers) {
    if (name.ends_with(ending)) return "its name ends with '" + std::string(ending) + "'";
  }
  return "";
}

absl::StatusOr<std::vector<std::string>> ListFolder(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir(path.c_str()), closedir);
  if (folder == nullptr) return ErrnoStatus(path, errno);
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return ErrnoStatus(path, errno);
  std::sort(names.begin(), names.end());
  return names;
}

// Reads at most `bytes_max` + 1 bytes.
absl::Status ReadContent(const std::string& path, int64_t bytes_max, std::string* content) {
  // Not blocking, because a FIFO could have taken the file's place since it was looked at.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return ErrnoStatus(path, errno);
  absl::Status status;
  while (static_cast<int64_t>(content->size()) <= bytes_max) {
    const size_t old_size = content->size();
    const size_t room = std::min(kReadBytes, static_cast<size_t>(bytes_max + 1) - old_size);
    content->resize(old_size + room);
    const ssize_t count = read(fd, content->data() + old_size, room);
    content->resize(old_size + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) status = ErrnoStatus(path, errno);
    if (count <= 0) break;
  }
  close(fd);
  return status;
}

class FolderReader {
 public:
  explicit FolderReader(const RuleFolderOptions& options) : options_(options) {}

  // `path` with its trailing slash; `prefix` is its name with a trailing dot, or empty.
  absl::Status ReadFolder(const std::string& path, const std::string& prefix, int depth) {
    if (depth > options_.depth_max) {
      return absl::ResourceExhaustedError("folders are nested more than " +
                                          std::to_string(options_.depth_max) + " deep at " + path);
    }
    absl::StatusOr<std::vector<std::string>> names = ListFolder(path);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      if (name.starts_with("..")) continue;  // a ConfigMap's own links and folders
      absl::Status status = ReadEntry(path + name, prefix + name, name, depth);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status ReadFile(const std::string& path, const std::string& name) {
    RuleFile& file = Add(path, name);
    absl::Status status = ReadContent(path, options_.file_bytes_max, &file.content);
    if (!status.ok()) return status;
    bytes_ += static_cast<int64_t>(file.content.size());
    if (bytes_ > options_.folder_bytes_max) {
      return absl::ResourceExhaustedError("the rule files have more than " +
                                          std::to_string(options_.folder_bytes_max) + " bytes");
    }
    return absl::OkStatus();
  }

  std::vector<RuleFile> Take() {
    std::sort(files_.begin(), files_.end(),
              [](const RuleFile& a, const RuleFile& b) { return a.name < b.name; });
    return std::move(files_);
  }

 private:
  RuleFile& Add(const std::string& path, const std::string& name) {
    RuleFile& file = files_.emplace_back();
    file.name = name;
    file.path = path;
    return file;
  }

  absl::Status ReadEntry(const std::string& path, const std::string& name,
                         std::string_view base_name, int depth) {
    struct stat info {};
    const std::string skip_reason = SkipReason(base_name);
    if (stat(path.c_str(), &info) != 0) {
      // What would be skipped anyway may be broken; an editor's lock file is a dangling link.
      return skip_reason.empty() ? ErrnoStatus(path, errno) : absl::OkStatus();
    }
    if (S_ISDIR(info.st_mode)) {
      return skip_reason.empty() ? ReadFolder(path + "/", name + ".", depth + 1) : absl::OkStatus();
    }
    if (static_cast<int>(files_.size()) >= options_.files_max) {
      return absl::ResourceExhaustedError("the rules folder has more than " +
                                          std::to_string(options_.files_max) + " files");
    }
    if (!skip_reason.empty()) {
      Add(path, name).skip_reason = skip_reason;
      return absl::OkStatus();
    }
    if (!S_ISREG(info.st_mode)) {
      Add(path, name).skip_reason = "it is not a regular file";
      return absl::OkStatus();
    }
    return ReadFile(path, name);
  }

  const RuleFolderOptions& options_;
  std::vector<RuleFile> files_;
  int64_t bytes_ = 0;
};

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

absl::StatusOr<std::vector<RuleFile>> ReadOnce(const std::string& path,
                                               const RuleFolderOptions& options) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(path, errno);
  FolderReader reader(options);
  const absl::Status status = S_ISDIR(info.st_mode) ? reader.ReadFolder(path + "/", "", 0)
                                                    : reader.ReadFile(path, BaseName(path));
  if (!status.ok()) return status;
  return reader.Take();
}

void HashText(EVP_MD_CTX* context, std::string_view text) {
  const uint64_t size = text.size();  // in front of the text, so that no two sets hash alike
  EVP_DigestUpdate(context, &size, sizeof(size));
  EVP_DigestUpdate(context, text.data(), text.size());
}

}  // namespace

absl::StatusOr<std::vector<RuleFile>> ReadRuleFolder(const std::string& path,
                                                     const RuleFolderOptions& options) {
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<std::vector<RuleFile>> files = ReadOnce(path, options);
    if (!absl::IsNotFound(files.status())) return files;
    struct stat info {};
    if (stat(path.c_str(), &info) != 0) return files;
    if (attempt == kAttemptsMax) {
      return absl::FailedPreconditionError(files.status().message());
    }
  }
}

std::string HashRuleFiles(std::span<const RuleFile> files) {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  for (const RuleFile& file : files) {
    if (!file.skip_reason.empty()) continue;
    HashText(context.get(), file.name);
    HashText(context.get(), file.content);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_DigestFinal_ex(context.get(), digest.data(), &size);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

}  // namespace weir
