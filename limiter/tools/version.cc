#include "limiter/runtime/version.h"

#include <google/protobuf/stubs/common.h>
#include <grpcpp/grpcpp.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "limiter/tools/commands.h"

namespace weir {

int RunVersion(const Arguments& arguments) {
  if (arguments == Arguments{"-h"} || arguments == Arguments{"--help"}) {
    std::cout << "weir version [--json]: what was built, from what and with what.\n\n"
                 "Exit codes: 0 done, 2 usage.\n";
    return kExitOk;
  }
  const bool json = arguments.size() == 1 && arguments[0] == "--json";
  if (!arguments.empty() && !json) {
    std::cerr << "weir version: takes no argument but --json\n";
    return kExitUsage;
  }
  if (!json) {
    std::cout << "weir " << kVersion << " (" << kRevision << "), grpc " << grpc::Version() << "\n";
    return kExitOk;
  }
  nlohmann::ordered_json version;
  version["version"] = kVersion;
  version["revision"] = kRevision;
  version["compiler"] = __VERSION__;
  version["grpc"] = grpc::Version();
  version["protobuf"] = google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION);
  std::cout << version.dump(2) << "\n";
  return kExitOk;
}

}  // namespace weir
