#include "limiter/tools/rule_paths.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace weir {
namespace {

void TellApart(std::vector<RuleFile>* files) {
  std::map<std::string, int> count_by_name;
  for (const RuleFile& file : *files) ++count_by_name[file.name];
  for (RuleFile& file : *files) {
    file.path = std::filesystem::path(file.path).lexically_normal().string();
    if (count_by_name[file.name] > 1) file.name = file.path;
  }
}

}  // namespace

absl::StatusOr<std::vector<RuleFile>> ReadRulePaths(const std::vector<std::string>& paths,
                                                    const RuleFolderOptions& options) {
  std::vector<RuleFile> files;
  for (const std::string& path : paths) {
    std::error_code error;
    const std::filesystem::file_status found = std::filesystem::status(path, error);
    if (std::filesystem::is_directory(found) || !std::filesystem::exists(found)) {
      absl::StatusOr<std::vector<RuleFile>> folder = ReadRuleFolder(path, options);
      if (!folder.ok()) return folder.status();
      for (RuleFile& file : *folder) files.push_back(std::move(file));
      continue;
    }
    // A file named by hand may be a pipe, unlike one in a folder.
    errno = 0;
    std::ifstream stream(path, std::ios::binary);
    std::string content((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (!stream.is_open() || stream.bad()) {
      return absl::NotFoundError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
    }
    files.push_back(
        {std::filesystem::path(path).filename().string(), std::move(content), path, ""});
  }
  TellApart(&files);
  return files;
}

}  // namespace weir
