#include "limiter/config/problem.h"

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>

namespace weir {
namespace {

std::string EscapeControls(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else {
      std::array<char, 8> buffer{};
      std::snprintf(buffer.data(), buffer.size(), "\\x%02x", byte);
      out += buffer.data();
    }
  }
  return out;
}

// Github reads %XX in annotations; a property ends at ',' and its name at ':'.
std::string EscapeGithub(std::string_view text, bool property) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || c == '%' || (property && (c == ':' || c == ','))) {
      std::array<char, 8> buffer{};
      std::snprintf(buffer.data(), buffer.size(), "%%%02X", byte);
      out += buffer.data();
    } else {
      out += c;
    }
  }
  return out;
}

const char* SeverityName(Problem::Severity severity) {
  return severity == Problem::kError ? "error" : "warning";
}

}  // namespace

std::string FormatText(const Problem& problem) {
  std::string out;
  if (!problem.position.file.empty()) out = problem.position.file + ": ";
  if (problem.severity == Problem::kWarning) out += "warning: ";
  out += problem.message;
  if (problem.position.line > 0) {
    out += " (" + std::to_string(problem.position.line) + ":" +
           std::to_string(problem.position.column) + ")";
  }
  if (!problem.remedy.empty()) out += ": " + problem.remedy;
  return EscapeControls(out);
}

std::string FormatGithub(const Problem& problem, std::string_view path) {
  const std::string_view file = path.empty() ? std::string_view(problem.position.file) : path;
  std::string out = std::string("::") + SeverityName(problem.severity) +
                    " file=" + EscapeGithub(file, /*property=*/true);
  if (problem.position.line > 0) {
    out += ",line=" + std::to_string(problem.position.line) +
           ",col=" + std::to_string(problem.position.column);
  }
  out += "::" + EscapeGithub(problem.message, /*property=*/false);
  if (!problem.remedy.empty()) out += ": " + EscapeGithub(problem.remedy, /*property=*/false);
  return out;
}

std::string FormatJson(std::span<const Problem> problems) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Problem& problem : problems) {
    list.push_back({{"severity", SeverityName(problem.severity)},
                    {"file", problem.position.file},
                    {"line", problem.position.line},
                    {"column", problem.position.column},
                    {"message", problem.message},
                    {"remedy", problem.remedy}});
  }
  return list.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace weir
