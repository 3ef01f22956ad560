#include <iostream>
#include <optional>
#include <string>

#include "limiter/runtime/system_clock.h"
#include "limiter/tools/client.h"
#include "limiter/tools/commands.h"
#include "limiter/tools/query.h"

namespace weir {

int RunCheck(const Arguments& arguments) {
  Query query;
  query.server = kDefaultServer;
  if (const std::optional<int> exit = ParseQuery(kCheckForm, arguments, &query)) return *exit;
  v1::CheckRequest request;
  request.set_domain(query.domain);
  request.set_hits(query.hits);
  FillEntries(query, request.add_descriptors()->mutable_entries());
  v1::CheckResponse response;
  SystemClock clock;
  const int64_t started_ns = clock.Now().mono_ns;
  absl::StatusOr<Client> client = Client::Create(query.server, query.tls);
  if (!client.ok()) {
    std::cerr << "weir check: " << client.status().message() << "\n";
    return kExitUsage;
  }
  const absl::Status status = client->Check(request, &response);
  const int64_t took_ns = clock.Now().mono_ns - started_ns;
  if (!status.ok()) {
    std::cerr << "weir check: " << client->DescribeFailure(status) << "\n";
    return kExitFailed;
  }
  if (query.json) {
    std::cout << ToJson(response);
  } else {
    for (const v1::Decision& decision : response.items()) {
      std::cout << DescribeDecision(decision) << "\n";
      if (!decision.rule().empty()) std::cout << "rule:    " << decision.rule() << "\n";
      if (decision.has_limit()) {
        std::cout << "limit:   " << DescribeLimit(decision.limit()) << "\n"
                  << "source:  " << v1::Source_Name(decision.source()) << "\n";
      }
    }
    std::cout << "latency: " << static_cast<double>(took_ns) / 1e6 << "ms with connecting\n";
  }
  return response.allowed() ? kExitOk : kExitNo;
}

}  // namespace weir
