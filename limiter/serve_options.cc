#include "limiter/serve_options.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "limiter/runtime/cpu_quota.h"

namespace weir {

constexpr int kThreadsMax = 4;

RpcOptions RpcOptionsOf(const Settings& settings) {
  RpcOptions options;
  options.bounds = {.descriptors_max = settings.descriptors_max,
                    .entries_max = settings.entries_max,
                    .key_bytes_max = settings.key_bytes_max,
                    .value_bytes_max = settings.value_bytes_max,
                    .hits_max = settings.hits_max,
                    .batch_max = settings.batch_max};
  options.charge_denied = settings.charge_denied;
  options.negative_hits = settings.negative_hits;
  options.allow_reset = settings.allow_reset;
  options.response_headers = settings.response_headers_enabled;
  options.limit_header = settings.limit_header;
  options.remaining_header = settings.remaining_header;
  options.reset_header = settings.reset_header;
  options.response_dynamic_metadata = settings.response_dynamic_metadata;
  return options;
}

GrpcOptions GrpcOptionsOf(const Settings& settings, const ListenerTls& tls) {
  GrpcOptions options;
  options.listen = settings.grpc_listen;
  switch (settings.grpc_socket_access) {
    case SocketAccess::kOwner:
      options.socket_mode = 0700;
      break;
    case SocketAccess::kGroup:
      options.socket_mode = 0770;
      break;
    case SocketAccess::kEveryone:
      options.socket_mode = 0777;
      break;
  }
  options.threads = settings.threads > 0 ? settings.threads : std::min(CpuQuota(), kThreadsMax);
  options.message_bytes_max = settings.message_bytes_max;
  options.header_bytes_max = settings.header_bytes_max;
  options.streams_max = settings.grpc_streams_max;
  options.in_flight_max = settings.in_flight_max;
  options.watchers_max = settings.health_watchers_max;
  options.connection_age_max_ns = settings.grpc_max_connection_age_ns;
  options.connection_age_grace_ns = settings.grpc_max_connection_age_grace_ns;
  options.reflection = settings.reflection;
  options.reflection_streams_max = settings.reflection_streams_max;
  options.certificates = tls.grpc();
  options.tls_client_sans = settings.grpc_tls_client_sans;
  return options;
}

HttpOptions HttpOptionsOf(const Settings& settings, const std::string& name,
                          const std::string& listen, Executor& slow,
                          const CertificateSource* certificates) {
  HttpOptions options;
  options.name = name;
  options.listen = listen;
  options.certificates = certificates;
  options.slow = &slow;
  options.connections_max = settings.http_connections_max;
  options.header_bytes_max = settings.http_header_bytes_max;
  options.body_bytes_max = settings.http_body_bytes_max;
  options.request_time_max_ns = settings.http_request_time_max_ns;
  return options;
}

RuleFolderOptions FolderOptionsOf(const Settings& settings) {
  RuleFolderOptions options;
  options.files_max = settings.rules_files_max;
  options.file_bytes_max = settings.rules_file_bytes_max;
  options.folder_bytes_max = settings.rules_bytes_max;
  return options;
}

RuleWatcherOptions WatcherOptionsOf(const Settings& settings) {
  RuleWatcherOptions options;
  options.debounce_ms = settings.rules_debounce_ns / 1'000'000;
  options.poll_interval_ms = settings.rules_poll_ns / 1'000'000;
  options.folder = FolderOptionsOf(settings);
  return options;
}

std::vector<Tag> TagsOf(const Settings& settings) {
  std::vector<Tag> tags;
  for (const auto& [name, value] : settings.extra_tags) tags.push_back({name, value});
  return tags;
}

std::string WithPort(const std::string& address, int port) {
  const std::size_t colon = address.rfind(':');
  return port == 0 ? address : address.substr(0, colon + 1) + std::to_string(port);
}

}  // namespace weir
