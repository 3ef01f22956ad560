#pragma once

// A blocking client of weir.v1 for the command line.

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "weir/v1/limiter.pb.h"

namespace weir {

// How to speak TLS, and with whom. Files are PEM.
struct ClientTls {
  bool on = false;
  std::string ca = {};           // empty: the CAs of the system
  std::string certificate = {};  // that is shown; empty: none
  std::string key = {};          // empty: in the file of the certificate
  std::string server_name = {};  // that the server's certificate must have; empty: its address
};

class Client {
 public:
  // `server` is "host:port" or "unix:/path". INVALID_ARGUMENT names the option of TLS whose file
  // cannot be used, and why.
  static absl::StatusOr<Client> Create(const std::string& server, const ClientTls& tls);
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // Errors are the server's; UNAVAILABLE or DEADLINE_EXCEEDED when there is none within 5 s.
  absl::Status Check(const v1::CheckRequest& request, v1::CheckResponse* response);
  absl::Status Explain(const v1::ExplainRequest& request, v1::ExplainResponse* response);

  // What to print about a call that just failed: the server, the cause, and where nothing of ours
  // answered also what to do.
  std::string DescribeFailure(const absl::Status& status) const;

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weir
