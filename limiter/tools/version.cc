#include "limiter/runtime/version.h"

#include <google/protobuf/stubs/common.h>
#include <grpcpp/grpcpp.h>
#include <openssl/crypto.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/base/config.h"
#include "absl/strings/str_cat.h"
#include "limiter/tools/command_apps.h"
#include "limiter/tools/commands.h"

namespace weir {
namespace {

std::string AbslVersion() {
#if defined(ABSL_LTS_RELEASE_VERSION)
  return absl::StrCat("LTS ", ABSL_LTS_RELEASE_VERSION, ".", ABSL_LTS_RELEASE_PATCH_LEVEL);
#else
  return "no LTS release";
#endif
}

nlohmann::ordered_json VersionJson() {
  nlohmann::ordered_json version;
  version["version"] = kVersion;
  version["revision"] = kRevision;
  version["build_type"] = kBuildType;
  version["compiler"] = kCompiler;
  // Of what is loaded now; the others are linked as they were when Weir was built.
  version["grpc"] = grpc::Version();
  version["protobuf"] = google::protobuf::internal::VersionString(GOOGLE_PROTOBUF_VERSION);
  version["abseil"] = AbslVersion();
  version["openssl"] = OpenSSL_version(OPENSSL_VERSION);
  version["hiredis"] = kHiredisVersion;
  version["libevent"] = kLibeventVersion;
  version["yaml_cpp"] = kYamlCppVersion;
  version["prometheus_cpp"] = kPrometheusCppVersion;
  version["spdlog"] = kSpdlogVersion;
  return version;
}

}  // namespace

void AddVersionOptions(CLI::App& app, bool& json) {
  app.description("What was built, from what and with what.");
  app.add_flag("--json", json, "with the versions of all libraries, as JSON");
  app.footer("Exit codes: 0 done, 2 usage.");
}

int RunVersion(const Arguments& arguments) {
  bool json = false;
  CLI::App app("", "weir version");
  AddVersionOptions(app, json);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (json) {
    std::cout << VersionJson().dump(2) << "\n";
  } else {
    std::cout << "weir " << kVersion << " (" << kRevision << "), grpc " << grpc::Version() << "\n";
  }
  return kExitOk;
}

}  // namespace weir
