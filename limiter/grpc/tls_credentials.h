#pragma once

// TLS of the gRPC listener: grpc++ asks for the certificates in force at each new connection.
//
// Thread safety: safe from any thread, but for RefuseTls12.

#include <grpcpp/security/server_credentials.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "limiter/tls/certificate_source.h"

namespace weir {

// Who may call, beyond having a certificate of the client CA.
struct ClientNames {
  // DNS names, URIs and IP addresses; a client's certificate must have one of them, letter by
  // letter. Empty: every client may.
  std::vector<std::string> allowed = {};
};

// Credentials of one listening address; they outlive its server, and `source` and `refused`, which
// counts calls by clients without an allowed name, outlive them. REQUIRES: source was loaded.
std::shared_ptr<grpc::ServerCredentials> TlsCredentials(const CertificateSource& source,
                                                        const ClientNames& names,
                                                        std::atomic<uint64_t>& refused);

// Leaves TLS 1.3 as the only version that gRPC's listeners speak. Before the first thread and the
// first use of gRPC.
void RefuseTls12();

}  // namespace weir
