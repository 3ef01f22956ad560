#include "limiter/runtime/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <string>

namespace weir {
namespace {

constexpr double kUnlimited = 0;

// Quota over period of one cgroup's folder, whichever version its files are of.
double QuotaOf(const std::string& folder) {
  std::ifstream v2(folder + "/cpu.max");  // "max 100000" or "150000 100000"
  std::string quota;
  double period_us = 0;
  if (v2 >> quota >> period_us && quota != "max" && period_us > 0) {
    return std::strtod(quota.c_str(), nullptr) / period_us;
  }
  std::ifstream v1_quota(folder + "/cpu.cfs_quota_us");  // -1: unlimited
  std::ifstream v1_period(folder + "/cpu.cfs_period_us");
  double quota_us = 0;
  if (v1_quota >> quota_us && v1_period >> period_us && quota_us > 0 && period_us > 0) {
    return quota_us / period_us;
  }
  return kUnlimited;
}

// The smallest quota of the cgroup `path` below `mount` and of all above it.
double SmallestQuota(const std::string& mount, std::string path) {
  double smallest = kUnlimited;
  while (true) {
    const double quota = QuotaOf(mount + path);
    if (quota > 0 && (smallest == kUnlimited || quota < smallest)) smallest = quota;
    if (path.empty()) return smallest;
    path.resize(path.rfind('/'));
  }
}

// Whether `controllers`, as in "cpu,cpuacct", has the one that sets quotas.
bool HasCpu(const std::string& controllers) {
  return ("," + controllers + ",").find(",cpu,") != std::string::npos;
}

// Of this process. In a container the mount begins at its own cgroup, and /proc may name another
// path than the mount has: its root is looked at all the same.
double CgroupProcessors(const std::string& root) {
  const std::string mount = root + "/sys/fs/cgroup";
  double smallest = kUnlimited;
  const auto take = [&](const std::string& folder, const std::string& path) {
    const double quota = SmallestQuota(folder, path);
    if (quota > 0 && (smallest == kUnlimited || quota < smallest)) smallest = quota;
  };
  take(mount, "");
  take(mount + "/cpu", "");
  std::ifstream own(root + "/proc/self/cgroup");  // "0::/a/b" or "4:cpu,cpuacct:/a/b"
  for (std::string line; std::getline(own, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    if (!path.empty() && path[0] != '/') continue;
    if (controllers.empty()) take(mount, path);
    if (HasCpu(controllers)) take(mount + "/cpu", path);
  }
  return smallest;
}

}  // namespace

int CpuQuota(const std::string& root) {
  cpu_set_t set;
  CPU_ZERO(&set);
  int processors = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
  const double quota = CgroupProcessors(root);
  if (quota > 0) processors = std::min(processors, static_cast<int>(std::ceil(quota)));
  return std::max(processors, 1);
}

}  // namespace weir
