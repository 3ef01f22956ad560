#include <algorithm>
#include <atomic>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "limiter/admin/html.h"
#include "limiter/admin/pages.h"

namespace weir {
namespace {

using Json = nlohmann::ordered_json;

const char* Bool(bool value) { return value ? "true" : "false"; }

const char* ConsistencyText(Consistency consistency) {
  return consistency == Consistency::kExact ? "exact" : "leased";
}

const char* OnStoreFailureText(OnStoreFailure policy) {
  switch (policy) {
    case OnStoreFailure::kLocalShare:
      return "local_share";
    case OnStoreFailure::kAllow:
      return "allow";
    case OnStoreFailure::kDeny:
      return "deny";
    case OnStoreFailure::kError:
      return "error";
  }
  return "unknown";
}

std::string Line(const Rule& rule) {
  std::string line = rule.domain + "." + rule.path + ": unit=" + UnitName(rule.unit) +
                     " requests_per_unit=" + std::to_string(rule.limit.hits) +
                     ", shadow_mode: " + Bool(rule.shadow_mode) +
                     ", quota_mode: " + Bool(rule.quota_mode);
  if (rule.unlimited) line += ", unlimited: true";
  if (!rule.name.empty()) line += ", name: " + rule.name;
  if (rule.unit_multiplier != 1) {
    line += ", unit_multiplier: " + std::to_string(rule.unit_multiplier);
  }
  if (rule.unlimited || rule.limit.algorithm == Algorithm::kFixedWindow) return line;
  line += std::string(", algorithm: ") + AlgorithmName(rule.limit.algorithm);
  if (rule.limit.algorithm == Algorithm::kTokenBucket) {
    line += ", burst: " + std::to_string(rule.limit.capacity);
  } else {
    line += ", precision: " + std::to_string(rule.limit.precision);
  }
  return line;
}

}  // namespace

std::string RlConfigLine(const Rule& rule) { return OneLineText(Line(rule)); }

std::string StoreText(const StoreSummary& store) {
  std::string text = store.kind;
  if (store.state.empty()) return text;
  text += ": " + store.state + ", " + std::to_string(store.nodes);
  text += store.nodes == 1 ? " node;" : " nodes;";
  for (const StoreSummary::Server& server : store.servers) {
    text += " " + (server.address.empty() ? "(no address yet)" : server.address);
    text += " " + server.state;
  }
  return text;
}

namespace {

Json StoreJson(const StoreSummary& store) {
  Json item;
  item["kind"] = store.kind;
  if (store.state.empty()) return item;
  item["state"] = store.state;
  item["nodes"] = store.nodes;
  item["servers"] = Json::array();
  for (const StoreSummary::Server& server : store.servers) {
    item["servers"].push_back({{"address", server.address}, {"state", server.state}});
  }
  return item;
}

Json LeaseJson(const LeaseState& lease, const LeaseCounters* counters) {
  if (!lease.exact_because.empty()) return {{"exact_because", lease.exact_because}};
  Json item;
  item["life_seconds"] = static_cast<double>(lease.life_ns) / 1e9;
  const auto count = [](const std::atomic<uint64_t>& hits) {
    return hits.load(std::memory_order_relaxed);
  };
  item["hits_granted"] = count(counters->granted);
  item["hits_expired"] = count(counters->expired);
  item["hits_returned"] = count(counters->returned);
  return item;
}

// `off` says that enforcement is switched off for the rule's domain.
Json RuleJson(const Engine& engine, const Rule& rule, bool off) {
  Json item;
  item["domain"] = rule.domain;
  item["path"] = rule.path;
  item["rule"] = rule.label;
  item["position"] = rule.position.file + ":" + std::to_string(rule.position.line);
  if (rule.unlimited) {
    item["unlimited"] = true;
  } else {
    item["algorithm"] = AlgorithmName(rule.limit.algorithm);
    item["hits"] = rule.limit.hits;
    item["unit"] = UnitName(rule.unit);
    item["window_seconds"] = static_cast<double>(rule.limit.window_ns) / 1e9;
    if (rule.limit.algorithm == Algorithm::kTokenBucket) item["burst"] = rule.limit.capacity;
    if (rule.limit.precision > 0) item["precision"] = rule.limit.precision;
    item["consistency"] = ConsistencyText(rule.consistency);
    item["lease"] = LeaseJson(engine.LeaseStateOf(rule), rule.lease_counters);
    item["on_store_failure"] = OnStoreFailureText(rule.on_store_failure);
  }
  item["shadow_mode"] = rule.shadow_mode;
  item["quota_mode"] = rule.quota_mode;
  if (off) item["enforcement_off"] = true;
  if (!rule.replaces.empty()) item["replaces"] = rule.replaces;
  return item;
}

}  // namespace

std::string RulesJson(const Engine& engine, const StoreSummary& store) {
  const std::shared_ptr<const RuleTable> table = engine.rules();
  Json all;
  all["store"] = StoreJson(store);
  const EnforcementState off = engine.enforcement();
  if (off.any() || !off.unknown.empty()) {
    all["enforcement_off"] = {
        {"all", off.all}, {"domains", off.domains}, {"unknown_domains", off.unknown}};
  }
  all["rules"] = Json::array();
  if (table != nullptr) {
    for (const Rule& rule : table->rules()) {
      const bool named = std::binary_search(off.domains.begin(), off.domains.end(), rule.domain);
      all["rules"].push_back(RuleJson(engine, rule, off.all || named));
    }
  }
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace weir
