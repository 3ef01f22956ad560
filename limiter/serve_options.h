#pragma once

// The options of the parts that a serving process is made of, out of its settings.

#include <string>
#include <vector>

#include "limiter/admin/http_server.h"
#include "limiter/config/rule_folder.h"
#include "limiter/config/settings.h"
#include "limiter/config/watcher.h"
#include "limiter/grpc/server.h"
#include "limiter/listener_tls.h"
#include "limiter/metrics/tag.h"
#include "limiter/rpc/call.h"

namespace weir {

RpcOptions RpcOptionsOf(const Settings& settings);
GrpcOptions GrpcOptionsOf(const Settings& settings, const ListenerTls& tls);
// `name`: the setting that `listen` is from.
HttpOptions HttpOptionsOf(const Settings& settings, const std::string& name,
                          const std::string& listen, Executor& slow,
                          const CertificateSource* certificates = nullptr);
RuleFolderOptions FolderOptionsOf(const Settings& settings);
RuleWatcherOptions WatcherOptionsOf(const Settings& settings);
std::vector<Tag> TagsOf(const Settings& settings);

// The address with the port that a listener on port 0 was given.
std::string WithPort(const std::string& address, int port);

}  // namespace weir
