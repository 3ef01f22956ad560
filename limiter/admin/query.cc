#include "limiter/admin/query.h"

#include <event2/http.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/numbers.h"

namespace weir {

std::optional<std::string> QueryValue(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::string_view parameter = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), parameter.size() + 1));
    const std::size_t equals = parameter.find('=');
    if (parameter.substr(0, equals) != name) continue;
    const std::string value(equals == std::string_view::npos ? "" : parameter.substr(equals + 1));
    constexpr int kPlusIsSpace = 1;
    std::size_t bytes = 0;
    const std::unique_ptr<char, void (*)(void*)> decoded(
        evhttp_uridecode(value.c_str(), kPlusIsSpace, &bytes), &std::free);
    return decoded == nullptr ? value : std::string(decoded.get(), bytes);
  }
  return std::nullopt;
}

int QueryNumber(std::string_view query, std::string_view name, int min, int max, int otherwise) {
  int number = 0;
  const std::optional<std::string> text = QueryValue(query, name);
  if (!text.has_value() || !absl::SimpleAtoi(*text, &number)) return otherwise;
  return number >= min && number <= max ? number : otherwise;
}

bool WantsJson(const HttpRequest& request) {
  if (const std::optional<std::string> format = QueryValue(request.query, "format")) {
    return *format == "json";
  }
  return request.accept.find("application/json") != std::string_view::npos &&
         request.accept.find("text/html") == std::string_view::npos;
}

}  // namespace weir
