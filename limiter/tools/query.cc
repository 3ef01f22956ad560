#include "limiter/tools/query.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"

namespace weir {
namespace {

const char* AlgorithmText(v1::Algorithm algorithm) {
  switch (algorithm) {
    case v1::FIXED_WINDOW:
      return "fixed_window";
    case v1::SLIDING_WINDOW:
      return "sliding_window";
    case v1::TOKEN_BUCKET:
      return "token_bucket";
    default:
      return "unknown algorithm";
  }
}

}  // namespace

std::optional<int> ParseQuery(const std::string& command, const Arguments& arguments,
                              bool with_rules, Query* query) {
  CLI::App app(with_rules ? "Which rule decides a descriptor, and why."
                          : "Asks a server whether a request may pass, charging its hits.",
               "weir " + command);
  app.add_option("-d,--domain", query->domain, "the namespace of rules")->required();
  app.add_option("entries", query->entries, "entries of the descriptor in order, as KEY=VALUE")
      ->required();
  app.add_option("--hits", query->hits, "hits to ask for")->capture_default_str();
  app.add_option("--server", query->server,
                 std::string("a server's gRPC address (default ") + kDefaultServer + ")");
  app.add_flag("--json", query->json, "print the answer as JSON");
  if (with_rules) {
    app.add_option("--rules", query->rules, "rule files or folders to ask instead of a server");
    app.add_flag("--merge-domains", query->merge_domains, "rule files may share a domain");
  }
  app.footer("Exit codes: 0 allowed or explained, 1 over the limit, 2 usage, 3 failed.");
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  for (const std::string& entry : query->entries) {
    if (entry.find('=') != std::string::npos) continue;
    std::cerr << "weir " << command << ": '" << entry << "' is not an entry: write KEY=VALUE\n";
    return kExitUsage;
  }
  return std::nullopt;
}

void FillEntries(const Query& query, google::protobuf::RepeatedPtrField<v1::Entry>* entries) {
  for (const std::string& text : query.entries) {
    const std::size_t equals = text.find('=');
    v1::Entry* entry = entries->Add();
    entry->set_key(text.substr(0, equals));
    entry->set_value(text.substr(equals + 1));
  }
}

std::string DescribeDuration(const google::protobuf::Duration& duration) {
  if (duration.seconds() == 0 && duration.nanos() != 0) {
    return absl::StrCat(duration.nanos() / 1e6, "ms");
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g",
                static_cast<double>(duration.seconds()) + duration.nanos() / 1e9);
  return std::string(text.data()) + "s";
}

std::string DescribeLimit(const v1::Limit& limit) {
  std::string text = absl::StrCat(limit.hits(), " hits per ", DescribeDuration(limit.window()),
                                  " (", AlgorithmText(limit.algorithm()));
  if (limit.algorithm() == v1::TOKEN_BUCKET) absl::StrAppend(&text, ", burst ", limit.burst());
  if (limit.precision() > 0) absl::StrAppend(&text, ", precision ", limit.precision());
  return text + ")";
}

std::string DescribeDecision(const v1::Decision& decision) {
  if (!decision.has_limit()) return "allowed: nothing is limited";
  std::string text = decision.allowed() ? "allowed" : "over the limit";
  if (decision.would_deny()) text = "allowed in shadow mode, would be over the limit";
  absl::StrAppend(&text, ": ", decision.remaining(), " remaining, reset in ",
                  DescribeDuration(decision.reset_after()));
  if (decision.never()) absl::StrAppend(&text, ", these hits can never pass");
  if (decision.has_retry_after()) {
    absl::StrAppend(&text, ", retry in ", DescribeDuration(decision.retry_after()));
  }
  return text;
}

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  return status.ok() ? text : absl::StrCat("cannot print: ", status.ToString());
}

}  // namespace weir
