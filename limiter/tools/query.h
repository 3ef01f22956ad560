#pragma once

// What explain and check share: the command line of a question and the printing of its answer.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "limiter/tools/client.h"
#include "limiter/tools/commands.h"
#include "weir/v1/limiter.pb.h"

namespace weir {

inline constexpr char kDefaultServer[] = "127.0.0.1:8081";

struct Query {
  std::string domain;
  std::vector<std::string> entries;  // "key=value"; the first '=' divides
  uint64_t hits = 1;
  std::string server;              // "HOST:PORT" or "unix:PATH"
  ClientTls tls;                   // towards the server
  std::vector<std::string> rules;  // explain only: files or folders; empty: where settings say
  std::string config;              // explain only: the server file with the settings
  bool merge_domains = false;      // explain only, with `rules`
  bool json = false;
};

// What the command lines of the two differ in.
struct QueryForm {
  const char* command;
  const char* summary;
  bool offline;        // has the options that name rules
  const char* footer;  // of --help: its exit codes
};
extern const QueryForm kCheckForm;
extern const QueryForm kExplainForm;

// Parses a command line; on failure or --help prints and returns the exit code instead.
std::optional<int> ParseQuery(const QueryForm& form, const Arguments& arguments, Query* query);

// Adds the query's entries to a message's.
void FillEntries(const Query& query, google::protobuf::RepeatedPtrField<v1::Entry>* entries);

// "5 hits per 1h (fixed_window)".
std::string DescribeLimit(const v1::Limit& limit);
// "1.5s", "250ms", "0s".
std::string DescribeDuration(const google::protobuf::Duration& duration);
// One line: the verdict and the numbers that belong to it.
std::string DescribeDecision(const v1::Decision& decision);
std::string ToJson(const google::protobuf::Message& message);

}  // namespace weir
