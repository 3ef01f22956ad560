#include "limiter/admin/json_text.h"

#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "limiter/admin/html.h"

namespace weir {
namespace {

using Json = nlohmann::ordered_json;

std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

double Rounded(double number) { return std::round(number * 1000) / 1000; }

Json NamesJson(const RuleNames& rules) { return {{"count", rules.count}, {"rules", rules.names}}; }

Json ReloadJson(const Reload& reload) {
  Json item;
  item["time"] = TimeText(reload.wall_ns);
  item["unix_ns"] = reload.wall_ns;
  item["in_force"] = reload.in_force;
  item["rules"] = reload.rules;
  item["hash"] = reload.hash;
  item["added"] = NamesJson(reload.added);
  item["changed"] = NamesJson(reload.changed);
  item["removed"] = NamesJson(reload.removed);
  item["errors_count"] = reload.errors_count;
  item["errors"] = reload.errors;
  return item;
}

Json TopJson(const TopPage& page) {
  Json item;
  item["domain"] = page.domain;
  item["rule"] = page.label;
  item["hits_per_minute"] = Rounded(page.top.hits);
  item["keys"] = Json::array();
  for (const KeyHits& key : page.top.keys) {
    Json entry;
    entry["key_hash"] = KeyDigits(key.key);
    if (page.show_keys) entry["key"] = key.text;
    entry["hits_per_minute"] = Rounded(key.hits);
    entry["error_at_most"] = Rounded(key.error);
    entry["share"] = page.top.hits > 0 ? Rounded(key.hits / page.top.hits) : 0;
    entry["denied_share"] = key.hits > 0 ? Rounded(key.denied / key.hits) : 0;
    item["keys"].push_back(std::move(entry));
  }
  return item;
}

Json RuleJson(const RuleStatus& rule) {
  Json item;
  item["domain"] = rule.domain;
  item["rule"] = rule.label;
  item["limit"] = rule.limit;
  item["position"] = rule.place;
  item["leased"] = rule.leased;
  item["shadow_mode"] = rule.shadow;
  item["quota_mode"] = rule.quota;
  item["decisions_per_second"] = Rounded(rule.decisions_per_s);
  if (std::isfinite(rule.denied_ratio)) item["denied_ratio"] = Rounded(rule.denied_ratio);
  item["decisions"] = rule.sums.decisions;
  item["denied"] = rule.sums.denied;
  item["lease_hits"] = {
      {"granted", rule.sums.granted}, {"live", rule.sums.live()}, {"admitted", rule.sums.admitted}};
  return item;
}

}  // namespace

std::string StatusJson(const Status& status) {
  Json all;
  all["version"] = status.version;
  all["time"] = TimeText(status.wall_ns);
  all["interval_seconds"] = static_cast<double>(status.interval_ns) / 1e9;
  all["interval_since_start"] = status.since_start;
  all["shadow_mode"] = status.shadow_mode;
  all["quota_mode"] = status.quota_mode;
  all["enforcement_off_domains"] = status.enforcement_off_domains;
  all["rules_count"] = status.rules_count;
  all["rules"] = Json::array();
  for (const RuleStatus& rule : status.rules) all["rules"].push_back(RuleJson(rule));
  all["store"] = {{"kind", status.store.kind},
                  {"state", status.store.state},
                  {"nodes", status.store.nodes},
                  {"failovers", status.store.failovers},
                  {"servers", Json::array()}};
  for (const StoreSummary::Server& server : status.store.servers) {
    all["store"]["servers"].push_back({{"address", server.address}, {"state", server.state}});
  }
  return Dump(all);
}

std::string ReloadsJson(const std::vector<Reload>& reloads) {
  Json all;
  all["reloads"] = Json::array();
  for (const Reload& reload : reloads) all["reloads"].push_back(ReloadJson(reload));
  return Dump(all);
}

std::string TopJson(const std::vector<TopPage>& rules) {
  Json all;
  all["rules"] = Json::array();
  for (const TopPage& page : rules) all["rules"].push_back(TopJson(page));
  return Dump(all);
}

}  // namespace weir
