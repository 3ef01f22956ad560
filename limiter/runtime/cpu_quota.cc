#include "limiter/runtime/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

namespace weir {
namespace {

// Quota and period in microseconds from cgroup v2 ("max 100000") or v1; 0 when unlimited.
double CgroupProcessors() {
  std::ifstream v2("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period_us = 0;
  if (v2 >> quota >> period_us && quota != "max" && period_us > 0) {
    return std::strtod(quota.c_str(), nullptr) / period_us;
  }
  std::ifstream v1_quota("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream v1_period("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  double quota_us = 0;
  if (v1_quota >> quota_us && v1_period >> period_us && quota_us > 0 && period_us > 0) {
    return quota_us / period_us;
  }
  return 0;
}

}  // namespace

int CpuQuota() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int processors = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
  const double quota = CgroupProcessors();
  if (quota > 0) processors = std::min(processors, static_cast<int>(std::ceil(quota)));
  return std::max(processors, 1);
}

}  // namespace weir
