#pragma once

#include <string>

namespace weir {

// Processors this process may use: the smallest of its affinity and the CPU quotas of its cgroup
// and those above it, version 1 or 2, rounded up; at least 1. `root` is prefixed to /sys and /proc.
int CpuQuota(const std::string& root = "");

}  // namespace weir
