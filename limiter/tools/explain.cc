#include <algorithm>
#include <iostream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "limiter/config/rule_file.h"
#include "limiter/config/rule_folder.h"
#include "limiter/config/settings_load.h"
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

// The rules to explain, and how a server would read and apply them.
struct RuleSource {
  std::vector<std::string> paths;
  std::string origin;  // " (rules-dir: environment RUNTIME_ROOT)"; empty: named by --rules
  RuleFolderOptions folder;
  RuleFileOptions files;
  EngineOptions engine;
};

absl::StatusOr<RuleSource> FindRules(const std::string& program, const Query& query,
                                     const Environment& environment) {
  RuleSource source;
  if (!query.rules.empty()) {
    source.paths = query.rules;
    source.files.merge_domains = query.merge_domains;
    return source;
  }
  Arguments flags;
  if (!query.config.empty()) flags.push_back("--config=" + query.config);
  const absl::StatusOr<LoadedSettings> loaded = LoadSettings(program, flags, environment);
  if (!loaded.ok()) return loaded.status();
  const Settings& settings = loaded->settings;
  source.paths = {settings.rules_dir};
  source.origin = " (rules-dir: " + FormatOrigin(loaded->origins.at("rules-dir")) + ")";
  source.folder.files_max = settings.rules_files_max;
  source.folder.file_bytes_max = settings.rules_file_bytes_max;
  source.folder.folder_bytes_max = settings.rules_bytes_max;
  source.files.merge_domains = settings.merge_domains;
  source.files.file_bytes_max = settings.rules_file_bytes_max;
  source.files.depth_max = settings.rules_depth_max;
  source.files.nodes_max = settings.rules_nodes_max;
  source.engine.shadow_mode = settings.shadow_mode;
  source.engine.quota_mode = settings.quota_mode;
  return source;
}

// Asks an engine of its own, on an empty memory store.
absl::Status ExplainRules(const RuleSource& source, const RuleSet& rules,
                          const v1::ExplainRequest& request, v1::ExplainResponse* response) {
  SystemClock clock;
  ThreadExecutor executor;
  MemoryStore store({.keys_max = 64});
  SeriesRegistry series(0);
  Engine engine(source.engine, clock, store, executor, series);
  engine.SetRules(RuleTable::Build(rules.domains, {}, series));
  const RpcOptions options;
  const LimiterHandler handler(engine, options);
  LimiterHandler::Call call;
  absl::Status status;
  handler.Explain({engine.AddWorker()}, request, response, call,
                  [&](const absl::Status& done) { status = done; });
  // It depends on the secret of the server that holds the state.
  response->clear_store_key();
  response->clear_lease();
  return status;
}

// Returns the exit code; what is wrong is printed.
int ExplainOffline(const RuleSource& source, const v1::ExplainRequest& request,
                   v1::ExplainResponse* response) {
  constexpr char kName[] = "weir explain: ";
  absl::StatusOr<std::vector<RuleFile>> files = ReadRulePaths(source.paths, source.folder);
  const bool none = files.ok() && std::all_of(files->begin(), files->end(), [](const auto& file) {
                      return !file.skip_reason.empty();
                    });
  if (none) files = absl::NotFoundError("no rule files in " + absl::StrJoin(source.paths, ", "));
  if (!files.ok()) {
    std::cerr << kName << files.status().message() << source.origin << ": name "
              << (source.origin.empty() ? "others" : "rule files")
              << " with --rules PATH, or ask a running server with --server HOST:PORT\n";
    return kExitFailed;
  }
  const RuleSet rules = ParseRuleFiles(*files, source.files);
  for (const Problem& problem : rules.problems) {
    if (problem.severity == Problem::kError) std::cerr << FormatText(problem) << "\n";
  }
  if (!rules.ok()) {
    std::cerr << kName << "the rules have errors, so no server would put them in force\n";
    return kExitNo;
  }
  if (const absl::Status status = ExplainRules(source, rules, request, response); !status.ok()) {
    std::cerr << kName << status << "\n";
    return kExitFailed;
  }
  return kExitOk;
}

int ExplainOnServer(const Query& query, const v1::ExplainRequest& request,
                    v1::ExplainResponse* response) {
  absl::StatusOr<Client> client = Client::Create(query.server, query.tls);
  if (!client.ok()) {
    std::cerr << "weir explain: " << client.status().message() << "\n";
    return kExitUsage;
  }
  const absl::Status status = client->Explain(request, response);
  if (status.ok()) return kExitOk;
  std::cerr << "weir explain: " << client->DescribeFailure(status) << "\n";
  return kExitFailed;
}

std::string DescribeLease(const v1::Lease& lease) {
  if (!lease.exact_because().empty()) {
    return absl::StrCat("exactly, because ", lease.exact_because());
  }
  std::string text = absl::StrCat("out of leases of ", DescribeDuration(lease.life()), " at most; ",
                                  lease.hits(), " hits are leased here");
  if (lease.has_ends_after()) {
    absl::StrAppend(&text, " for ", DescribeDuration(lease.ends_after()));
  }
  return absl::StrCat(text, ", the next lease asks for ", lease.want());
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
  if (response.has_lease()) std::cout << "decided:   " << DescribeLease(response.lease()) << "\n";
  if (!response.record().empty()) std::cout << "record:    " << response.record() << "\n";
  std::cout << "now:       " << DescribeDecision(response.decision()) << "\n";
}

}  // namespace

int RunExplain(const std::string& program, const Arguments& arguments,
               const Environment& environment) {
  Query query;
  if (const std::optional<int> exit = ParseQuery(kExplainForm, arguments, &query)) return *exit;
  v1::ExplainRequest request;
  request.set_domain(query.domain);
  request.set_hits(query.hits);
  FillEntries(query, request.mutable_entries());
  v1::ExplainResponse response;
  int exit = kExitOk;
  if (!query.server.empty()) {
    exit = ExplainOnServer(query, request, &response);
  } else {
    const absl::StatusOr<RuleSource> source = FindRules(program, query, environment);
    if (!source.ok()) {
      std::cerr
          << source.status().message()
          << "\nweir explain: these settings say where the rules are; --rules PATH names them "
             "without settings\n";
      return kExitUsage;
    }
    exit = ExplainOffline(*source, request, &response);
  }
  if (exit != kExitOk) return exit;
  if (query.json) {
    std::cout << ToJson(response);
  } else {
    Print(response);
  }
  return kExitOk;
}

}  // namespace weir
