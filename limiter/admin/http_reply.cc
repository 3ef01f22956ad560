#include "limiter/admin/http_reply.h"

#include <event2/buffer.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace weir {
namespace {

// The phrase of RFC 6585, which evhttp does not know; null leaves it to evhttp.
const char* Phrase(int status) { return status == 429 ? "Too Many Requests" : nullptr; }

}  // namespace

std::optional<std::string_view> MethodName(evhttp_cmd_type type) {
  switch (type) {
    case EVHTTP_REQ_GET:
      return "GET";
    case EVHTTP_REQ_HEAD:
      return "HEAD";
    case EVHTTP_REQ_POST:
      return "POST";
    case EVHTTP_REQ_PUT:
      return "PUT";
    case EVHTTP_REQ_DELETE:
      return "DELETE";
    case EVHTTP_REQ_OPTIONS:
      return "OPTIONS";
    case EVHTTP_REQ_PATCH:
      return "PATCH";
    default:
      return std::nullopt;
  }
}

void SendReply(evhttp_request* request, const HttpResponse& response) {
  evkeyvalq* headers = evhttp_request_get_output_headers(request);
  evhttp_add_header(headers, "Content-Type", response.content_type.c_str());
  evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
  std::string policy = "default-src 'none'; base-uri 'none'; form-action 'none'";
  if (!response.style_hash.empty())
    absl::StrAppend(&policy, "; style-src '", response.style_hash, "'");
  policy += "; frame-ancestors 'none'";
  evhttp_add_header(headers, "Content-Security-Policy", policy.c_str());
  evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
  evhttp_add_header(headers, "Cache-Control", "no-store");
  evhttp_add_header(headers, "Content-Length", std::to_string(response.body.size()).c_str());
  evbuffer* body = evbuffer_new();
  if (evhttp_request_get_command(request) != EVHTTP_REQ_HEAD) {
    evbuffer_add(body, response.body.data(), response.body.size());
  }
  evhttp_send_reply(request, response.status, Phrase(response.status), body);
  evbuffer_free(body);
}

}  // namespace weir
