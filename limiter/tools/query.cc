#include "limiter/tools/query.h"

#include <CLI/CLI.hpp>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "limiter/tools/command_apps.h"
#include "limiter/tools/counted.h"

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

// Digits alone: neither a sign nor a blank, which the library's own reading would take.
bool ParseNumber(std::string_view text, uint64_t* number) {
  const char* const end = text.data() + text.size();
  const auto [read, error] = std::from_chars(text.data(), end, *number);
  return error == std::errc() && read == end;
}

// gRPC would take an address without a port for one with port 443.
bool IsAddress(std::string_view text) {
  if (text.starts_with("unix:")) return text.size() > 5;
  const std::size_t colon = text.rfind(':');
  if (colon == 0 || colon == std::string_view::npos) return false;
  uint64_t port = 0;
  return ParseNumber(text.substr(colon + 1), &port) && port >= 1 && port <= 65'535;
}

// As FindProblem. Any option of TLS asks for TLS.
std::string FindTlsProblem(Query* query) {
  ClientTls& tls = query->tls;
  tls.on = tls.on || !tls.ca.empty() || !tls.certificate.empty() || !tls.key.empty() ||
           !tls.server_name.empty();
  if (!tls.on) return "";
  if (!tls.key.empty() && tls.certificate.empty()) {
    return "--tls-key: it needs --tls-cert, the certificate that the key is for";
  }
  if (query->server.empty()) return "--tls is about a running server: use it with --server";
  if (query->server.starts_with("unix:")) {
    return "--tls: the Unix socket of a server is not TLS";
  }
  return "";
}

// What is wrong with options that parsed; empty if nothing is.
std::string FindProblem(const std::string& hits, Query* query) {
  if (!ParseNumber(hits, &query->hits)) {
    return "--hits: '" + hits +
           "' is not accepted, it must be a whole number from 0 to 18446744073709551615";
  }
  if (!query->server.empty() && !IsAddress(query->server)) {
    return "--server: '" + query->server + "' is not accepted, it must be HOST:PORT or unix:PATH";
  }
  for (const std::string& entry : query->entries) {
    if (entry.find('=') == std::string::npos) {
      return "'" + entry + "' is not an entry: write KEY=VALUE";
    }
  }
  const int sources = (query->rules.empty() ? 0 : 1) + (query->config.empty() ? 0 : 1) +
                      (query->server.empty() ? 0 : 1);
  if (sources > 1) return "use one of --rules, --config and --server";
  if (query->merge_domains && query->rules.empty()) {
    return "--merge-domains is about files: use it with --rules";
  }
  return FindTlsProblem(query);
}

}  // namespace

const QueryForm kCheckForm = {"check",
                              "Asks a server whether a request may pass, charging its hits.", false,
                              "Exit codes: 0 allowed, 1 over the limit, 2 usage, 3 the server "
                              "could not be asked or refused."};
const QueryForm kExplainForm = {
    "explain",
    "Which rule decides a descriptor, and why. Reads rule files, by default those that a server "
    "with the settings of this environment would read.",
    true,
    "Exit codes: 0 explained, 1 the rules have errors, 2 usage or settings, 3 no rules there, or "
    "the server could not be asked or refused."};

void AddQueryOptions(const QueryForm& form, CLI::App& app, Query& query, std::string& hits) {
  app.description(form.summary);
  app.add_option("-d,--domain", query.domain, "the namespace of rules")
      ->type_name("NAME")
      ->required();
  app.add_option("entries", query.entries, "entries of the descriptor in order, as KEY=VALUE")
      ->type_name("")
      ->required();
  app.add_option("--hits", hits, "hits to ask for")->type_name("N")->capture_default_str();
  app.add_option(
         "--server", query.server,
         form.offline ? "ask the running server with this gRPC address" : "its gRPC address")
      ->type_name("HOST:PORT")
      ->capture_default_str();
  app.add_flag("--tls", query.tls.on, "speak TLS; implied by the options that follow");
  app.add_option("--tls-ca", query.tls.ca, "PEM file with CAs; without it those of the system")
      ->type_name("FILE");
  app.add_option("--tls-cert", query.tls.certificate, "PEM file with the certificate to show")
      ->type_name("FILE");
  app.add_option("--tls-key", query.tls.key, "PEM file with its key, if not in the same file")
      ->type_name("FILE");
  app.add_option("--tls-server-name", query.tls.server_name,
                 "name that the server's certificate must have; without it that of --server")
      ->type_name("NAME");
  app.add_flag("--json", query.json, "print the answer as JSON");
  if (form.offline) {
    // One path each, so that the entries may follow.
    app.add_option("--rules", query.rules, "a rule file or folder to read; may be repeated")
        ->type_name("PATH")
        ->allow_extra_args(false);
    app.add_flag("--merge-domains", query.merge_domains, "files of --rules may share a domain");
    app.add_option("--config", query.config, "the server file whose settings say where rules are")
        ->type_name("FILE");
  }
  app.footer(form.footer);
}

std::optional<int> ParseQuery(const QueryForm& form, const Arguments& arguments, Query* query) {
  CLI::App app("", std::string("weir ") + form.command);
  std::string hits = std::to_string(query->hits);
  AddQueryOptions(form, app, *query, hits);
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  const std::string problem = FindProblem(hits, query);
  if (problem.empty()) return std::nullopt;
  std::cerr << "weir " << form.command << ": " << problem << "\n";
  return kExitUsage;
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
  std::string text =
      absl::StrCat(Counted(limit.hits(), "hit"), " per ", DescribeDuration(limit.window()), " (",
                   AlgorithmText(limit.algorithm()));
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
