#pragma once

// Reads the rules folder: every regular file in it and below it, except dotfiles and what editors
// leave behind. A Kubernetes ConfigMap mount needs no switch: its `..data` link and `..2024_…`
// folders are dotfiles, and the files beside them, links themselves, are followed.
//
// Thread safety: functions without shared state.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "limiter/config/rule_file.h"

namespace weir {

// Bounds: a folder beyond one is an error, because to leave out rules would lift limits.
struct RuleFolderOptions {
  int files_max = 10'000;
  int depth_max = 16;                 // folders below folders; also ends loops of links
  int64_t file_bytes_max = 32 << 20;  // a longer file is cut one byte above: ParseRuleFiles
                                      // then refuses it by name
  int64_t folder_bytes_max = int64_t{128} << 20;
};

// The files, sorted by name: the path below the folder joined by dots. Files left out come with a
// skip_reason and no content, so that ParseRuleFiles warns about them; Kubernetes' own `..` names
// and folders with a dot come not at all. An empty folder gives no files. A `path` that is a file
// gives that file.
//
// Errors: NOT_FOUND if the folder is missing; FAILED_PRECONDITION if something in it cannot be
// read, a link without a target included; RESOURCE_EXHAUSTED beyond a bound; UNAVAILABLE if it
// kept changing.
absl::StatusOr<std::vector<RuleFile>> ReadRuleFolder(const std::string& path,
                                                     const RuleFolderOptions& options);

// SHA-256 over names and contents of the files that are not skipped, as 64 hexadecimal digits:
// equal if and only if the rules are, whatever times, inodes and paths say.
std::string HashRuleFiles(std::span<const RuleFile> files);

}  // namespace weir
