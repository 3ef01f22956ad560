#include "limiter/tools/rule_paths.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "limiter/config/rule_folder.h"

namespace weir {

absl::StatusOr<std::vector<RuleFile>> ReadRulePaths(const std::vector<std::string>& paths) {
  std::vector<RuleFile> files;
  for (const std::string& path : paths) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) {
      absl::StatusOr<std::vector<RuleFile>> folder = ReadRuleFolder(path, {});
      if (!folder.ok()) return folder.status();
      for (RuleFile& file : *folder) files.push_back(std::move(file));
      continue;
    }
    std::ifstream stream(path, std::ios::binary);
    std::string content((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (!stream.is_open() || stream.bad()) {
      return absl::NotFoundError(absl::StrCat(path, ": cannot be read: is the path right?"));
    }
    files.push_back(
        {std::filesystem::path(path).filename().string(), std::move(content), path, ""});
  }
  return files;
}

}  // namespace weir
