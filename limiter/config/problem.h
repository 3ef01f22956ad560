#pragma once

// What is wrong, or doubtful, in the rule files: one Problem per finding, and the three forms it
// is printed in. The texts of errors are those of envoyproxy/ratelimit wherever it has one.
//
// Thread safety: plain values.

#include <span>
#include <string>
#include <string_view>

#include "limiter/core/rule_spec.h"

namespace weir {

struct Problem {
  // An error rejects the whole set of files; a warning does not.
  enum Severity { kError, kWarning };

  Severity severity = kError;
  Position position;
  std::string message;  // without file and position, on one line
  std::string remedy;   // what to do about it, e.g. "did you mean 'rate_limit'?"; may be empty
};

// "<file>: <message> (line:column)", then ": <remedy>" if there is one. A warning says "warning: "
// before its message. The position is left out where the line is unknown. Control characters are
// escaped, so that a file cannot forge log lines.
std::string FormatText(const Problem& problem);

// Github's annotation: "::error file=F,line=L,col=C::<message>" or "::warning …". `path` is the
// file's path in the repository; empty: the problem's dotted file name stands in.
std::string FormatGithub(const Problem& problem, std::string_view path);

// A JSON array with one object per problem, in the same order: severity, file, line, column,
// message, remedy. Bytes that are not UTF-8 become U+FFFD.
std::string FormatJson(std::span<const Problem> problems);

}  // namespace weir
