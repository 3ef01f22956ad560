#include "limiter/rpc/explain.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "limiter/rpc/messages.h"

namespace weir {
namespace {

std::string Quoted(std::string_view text) { return absl::StrCat("'", std::string(text), "'"); }

std::string MatchWords(RuleTable::Match match) {
  switch (match) {
    case RuleTable::Match::kExact:
      return "by key and value";
    case RuleTable::Match::kWildcard:
      return "by the first wildcard in file order";
    case RuleTable::Match::kKey:
      return "by its bare key";
    case RuleTable::Match::kNone:
      break;
  }
  return "by nothing";
}

std::string Reason(const Explanation& explanation, std::string_view domain,
                   const Descriptor& descriptor) {
  if (!explanation.domain_known) {
    return absl::StrCat("domain ", Quoted(domain), " is in no rule file, so nothing is limited");
  }
  const std::size_t walked = explanation.steps.size();
  const RuleTable::Step& last = explanation.steps.back();
  if (explanation.outcome.rule != nullptr) {
    return absl::StrCat("entry ", walked, " of ", descriptor.entries.size(), " matches ",
                        Quoted(last.matched), " ", MatchWords(last.match),
                        ", which has a rate_limit");
  }
  if (last.match == RuleTable::Match::kNone) {
    return absl::StrCat("entry ", walked, " (", std::string(descriptor.entries[walked - 1].key),
                        ") matches no descriptor at its level, so nothing is limited");
  }
  if (walked < descriptor.entries.size()) {
    return absl::StrCat(Quoted(last.matched), " has no descriptors below it, but the request has ",
                        descriptor.entries.size() - walked,
                        " more entries: a limit counts only on the last entry");
  }
  if (last.has_children) {
    return absl::StrCat(Quoted(last.matched), " has no rate_limit of its own; the limits below it ",
                        "need more entries");
  }
  return absl::StrCat(Quoted(last.matched),
                      " has neither rate_limit nor descriptors: it is allowed");
}

void FillRule(const Rule& rule, v1::ExplainResponse* response) {
  response->set_rule(rule.label);
  response->set_position(absl::StrCat(rule.position.file, ":", rule.position.line));
  response->set_shadow_mode(rule.shadow_mode);
  response->set_quota_mode(rule.quota_mode);
  response->set_unlimited(rule.unlimited);
}

void FillLease(const LeaseState& lease, int64_t now_mono_ns, v1::Lease* message) {
  message->set_exact_because(lease.exact_because);
  if (!lease.exact_because.empty()) return;
  FillDuration(lease.life_ns, message->mutable_life());
  message->set_want(std::max<uint64_t>(lease.want, 1));
  message->set_hits(lease.hits);
  if (lease.hits > 0) {
    FillDuration(std::max<int64_t>(lease.ends_mono_ns - now_mono_ns, 0),
                 message->mutable_ends_after());
  }
}

}  // namespace

void FillExplanation(const Explanation& explanation, std::string_view domain,
                     const Descriptor& descriptor, v1::ExplainResponse* response) {
  for (std::size_t i = 0; i < explanation.steps.size(); ++i) {
    v1::ExplainResponse::Step* step = response->add_path();
    step->mutable_entry()->set_key(std::string(descriptor.entries[i].key));
    step->mutable_entry()->set_value(std::string(descriptor.entries[i].value));
    step->set_matched(std::string(explanation.steps[i].matched));
    step->set_match(static_cast<v1::ExplainResponse::Match>(explanation.steps[i].match));
  }
  response->set_reason(Reason(explanation, domain, descriptor));
  const Outcome& outcome = explanation.outcome;
  if (outcome.rule != nullptr) FillRule(*outcome.rule, response);
  if (outcome.shadowed()) response->set_shadow_mode(true);  // also where enforcement is off
  if (outcome.kind == Outcome::Kind::kLimited) {
    FillLimit(outcome.limit, response->mutable_limit());
    FillLease(explanation.lease, explanation.now.mono_ns, response->mutable_lease());
    response->set_store_key(explanation.counter_key.empty()
                                ? StoreKey(explanation.table->options().key_prefix, outcome.key)
                                : explanation.counter_key);
  }
}

}  // namespace weir
