#include "limiter/metrics/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

namespace weir {
namespace {

// Places in /proc/self/stat after the command name (proc(5) numbers them from 1, the state is 3).
constexpr std::size_t kStateField = 3;
constexpr std::size_t kUserTicksField = 14;
constexpr std::size_t kSystemTicksField = 15;
constexpr std::size_t kVirtualBytesField = 23;
constexpr std::size_t kResidentPagesField = 24;

constexpr double kNsPerSecond = 1e9;

// The fields of /proc/self/stat from the state on; the command name before may contain anything.
std::vector<std::string> StatFields() {
  std::ifstream file("/proc/self/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(text.substr(name_end + 1));
  return {std::istream_iterator<std::string>(rest), {}};
}

double Field(const std::vector<std::string>& fields, std::size_t number) {
  return std::strtod(fields[number - kStateField].c_str(), nullptr);
}

std::optional<uint64_t> OpenDescriptors() {
  std::error_code error;
  uint64_t count = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; it != end && !error;
       it.increment(error)) {
    ++count;
  }
  if (error || count == 0) return std::nullopt;
  return count - 1;  // without the one that lists them
}

}  // namespace

void AddProcessFamilies(Families& families, int64_t started_wall_ns) {
  const std::vector<std::string> fields = StatFields();
  if (fields.size() > kResidentPagesField - kStateField) {
    const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
    families.Counter("process_cpu_seconds_total", "Processor time used, user and system.");
    families.Add(
        {}, (Field(fields, kUserTicksField) + Field(fields, kSystemTicksField)) / ticks_per_second);
    families.Gauge("process_resident_memory_bytes", "Memory resident in RAM.");
    families.Add({},
                 Field(fields, kResidentPagesField) * static_cast<double>(sysconf(_SC_PAGESIZE)));
    families.Gauge("process_virtual_memory_bytes", "Address space reserved.");
    families.Add({}, Field(fields, kVirtualBytesField));
  }
  // Not by /proc/stat, which a service with ProcSubset=pid does not see.
  families.Gauge("process_start_time_seconds", "Unix time at which the process started.");
  families.Add({}, static_cast<double>(started_wall_ns) / kNsPerSecond);
  if (const std::optional<uint64_t> open = OpenDescriptors(); open.has_value()) {
    families.Gauge("process_open_fds", "File descriptors open.");
    families.Add({}, *open);
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    families.Gauge("process_max_fds", "File descriptors the process may open.");
    families.Add({}, static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace weir
