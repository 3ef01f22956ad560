#pragma once

// A blocking client of weir.v1 for the command line.

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "weir/v1/limiter.pb.h"

namespace weir {

class Client {
 public:
  // "host:port" or "unix:/path".
  explicit Client(const std::string& server);
  ~Client();

  // Errors are the server's; UNAVAILABLE or DEADLINE_EXCEEDED when there is none within 5 s.
  absl::Status Check(const v1::CheckRequest& request, v1::CheckResponse* response);
  absl::Status Explain(const v1::ExplainRequest& request, v1::ExplainResponse* response);

  // What to print about a call that just failed: the server, the cause, and where nothing of ours
  // answered also what to do.
  std::string DescribeFailure(const absl::Status& status) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
