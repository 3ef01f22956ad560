#pragma once

// Between requests and answers of HttpServer and those of libevent.

#include <event2/http.h>

#include <optional>
#include <string_view>

#include "limiter/admin/http_server.h"

namespace weir {

// "GET"; none for a method that is not taken anywhere.
std::optional<std::string_view> MethodName(evhttp_cmd_type type);

// Sends the answer, with the headers that all answers have; to HEAD without its body.
void SendReply(evhttp_request* request, const HttpResponse& response);

}  // namespace weir
