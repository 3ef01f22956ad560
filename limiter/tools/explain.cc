#include <iostream>
#include <optional>
#include <string>

#include "limiter/core/engine.h"
#include "limiter/core/rule_table.h"
#include "limiter/core/series.h"
#include "limiter/rpc/limiter_handler.h"
#include "limiter/runtime/system_clock.h"
#include "limiter/runtime/thread_executor.h"
#include "limiter/store/memory_store.h"
#include "limiter/tools/client.h"
#include "limiter/tools/commands.h"
#include "limiter/tools/query.h"
#include "limiter/tools/rule_paths.h"

namespace weir {
namespace {

// Asks an engine of its own, on an empty memory store.
absl::Status ExplainOffline(const Query& query, const v1::ExplainRequest& request,
                            v1::ExplainResponse* response) {
  absl::StatusOr<std::vector<RuleFile>> files = ReadRulePaths(query.rules);
  if (!files.ok()) return files.status();
  const RuleSet rules = ParseRuleFiles(*files, {.merge_domains = query.merge_domains});
  for (const Problem& problem : rules.problems) {
    if (problem.severity == Problem::kError) std::cerr << FormatText(problem) << "\n";
  }
  if (!rules.ok()) return absl::FailedPreconditionError("the rules have errors");
  SystemClock clock;
  ThreadExecutor executor;
  MemoryStore store({.keys_max = 64});
  SeriesRegistry series(0);
  Engine engine({}, clock, store, executor, series);
  engine.SetRules(RuleTable::Build(rules.domains, {}, series));
  const RpcOptions options;
  const LimiterHandler handler(engine, options);
  LimiterHandler::Call call;
  absl::Status status;
  handler.Explain({engine.AddWorker()}, request, response, call,
                  [&](const absl::Status& done) { status = done; });
  // It depends on the secret of the server that holds the state.
  response->clear_store_key();
  return status;
}

void Print(const v1::ExplainResponse& response) {
  for (int i = 0; i < response.path_size(); ++i) {
    const v1::ExplainResponse::Step& step = response.path(i);
    std::cout << i + 1 << ". " << step.entry().key() << "=" << step.entry().value() << "  ->  "
              << (step.matched().empty() ? "nothing" : step.matched()) << "  ("
              << v1::ExplainResponse::Match_Name(step.match()) << ")\n";
  }
  std::cout << response.reason() << "\n";
  if (!response.rule().empty()) {
    std::cout << "rule:      " << response.rule() << " (" << response.position() << ")"
              << (response.unlimited() ? ", unlimited" : "")
              << (response.shadow_mode() ? ", shadow mode" : "")
              << (response.quota_mode() ? ", quota mode" : "") << "\n";
  }
  if (response.has_limit()) std::cout << "limit:     " << DescribeLimit(response.limit()) << "\n";
  if (!response.store_key().empty()) std::cout << "store key: " << response.store_key() << "\n";
  std::cout << "now:       " << DescribeDecision(response.decision()) << "\n";
}

}  // namespace

int RunExplain(const Arguments& arguments) {
  Query query;
  if (const std::optional<int> exit = ParseQuery("explain", arguments, true, &query)) return *exit;
  if (!query.rules.empty() && !query.server.empty()) {
    std::cerr << "weir explain: use --rules or --server, not both\n";
    return kExitUsage;
  }
  if (query.server.empty()) query.server = kDefaultServer;
  v1::ExplainRequest request;
  request.set_domain(query.domain);
  request.set_hits(query.hits);
  FillEntries(query, request.mutable_entries());
  v1::ExplainResponse response;
  const absl::Status status = query.rules.empty() ? Client(query.server).Explain(request, &response)
                                                  : ExplainOffline(query, request, &response);
  if (!status.ok()) {
    std::cerr << "weir explain: " << status << "\n";
    return kExitFailed;
  }
  if (query.json) {
    std::cout << ToJson(response);
  } else {
    Print(response);
  }
  return kExitOk;
}

}  // namespace weir
