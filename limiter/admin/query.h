#pragma once

// The parameters of a link.
//
// Thread safety: functions without shared state.

#include <optional>
#include <string>
#include <string_view>

#include "limiter/admin/http_server.h"

namespace weir {

// The decoded value of the first parameter of this name; nothing if there is none. Any byte may be
// in it.
std::optional<std::string> QueryValue(std::string_view query, std::string_view name);

// As a number from `min` to `max`; `otherwise` if it is absent or anything else.
int QueryNumber(std::string_view query, std::string_view name, int min, int max, int otherwise);

// Whether a program asks: ?format=json, or an Accept that names JSON and not HTML.
bool WantsJson(const HttpRequest& request);

}  // namespace weir
