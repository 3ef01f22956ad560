#pragma once

namespace weir {

// Processors this process may use: the smaller of its affinity and its cgroup's CPU quota rounded
// up, at least 1.
int CpuQuota();

}  // namespace weir
