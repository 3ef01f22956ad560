#include "limiter/grpc/tls_credentials.h"

#include <arpa/inet.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/core/mutex.h"

namespace weir {
namespace {

// One way of writing each address, as certificates' addresses are printed.
std::string Plain(const std::string& name) {
  char text[INET6_ADDRSTRLEN];
  in6_addr address{};
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, name.c_str(), &address) != 1) continue;
    return inet_ntop(family, &address, text, sizeof(text));
  }
  return name;
}

// The property of a connection that holds the names of such a kind.
const char* PropertyOf(const std::string& name) {
  if (name.find(':') == std::string::npos) {
    in_addr address{};
    return inet_pton(AF_INET, name.c_str(), &address) == 1 ? GRPC_PEER_IP_PROPERTY_NAME
                                                           : GRPC_PEER_DNS_PROPERTY_NAME;
  }
  in6_addr address{};
  return inet_pton(AF_INET6, name.c_str(), &address) == 1 ? GRPC_PEER_IP_PROPERTY_NAME
                                                          : GRPC_PEER_URI_PROPERTY_NAME;
}

// Made with gRPC's C API. Of grpc++ 1.51, SslServerCredentials cannot reload, and
// TlsServerCredentials only through a provider that reads the files by itself: what is a good pair,
// and since when, is CertificateSource's to say. Neither has a minimum version.
class Credentials final : public grpc::ServerCredentials {
 public:
  Credentials(const CertificateSource& source, const ClientNames& names,
              std::atomic<uint64_t>& refused)
      : source_(source), refused_(refused) {
    for (const std::string& name : names.allowed) {
      allowed_.push_back({PropertyOf(name), Plain(name)});
    }
    grpc_ssl_server_credentials_options* const options =
        grpc_ssl_server_credentials_create_options_using_config_fetcher(
            source.verifies_clients() ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                      : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
            [](void* self, grpc_ssl_server_certificate_config** config) {
              return static_cast<Credentials*>(self)->Fetch(config);
            },
            this);
    credentials_ = grpc_ssl_server_credentials_create_with_options(options);
    if (!allowed_.empty()) {
      grpc_server_credentials_set_auth_metadata_processor(
          credentials_, {[](void* self, grpc_auth_context* client, const grpc_metadata*, size_t,
                            grpc_process_auth_metadata_done_cb done, void* call) {
                           static_cast<Credentials*>(self)->Judge(client, done, call);
                         },
                         nullptr, this});
    }
  }
  ~Credentials() override { grpc_server_credentials_release(credentials_); }

  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  struct Name {
    const char* property;
    std::string text;
  };

  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), credentials_);
  }

  // At each connection, before its handshake.
  grpc_ssl_certificate_config_reload_status Fetch(grpc_ssl_server_certificate_config** config) {
    std::shared_ptr<const Certificates> current = source_.current();
    MutexLock lock(mutex_);
    if (current == given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const CertificateTexts& texts = current->texts;
    const grpc_ssl_pem_key_cert_pair pair = {texts.key.c_str(), texts.chain.c_str()};
    // gRPC 1.51 ends the process if there is no CA, even where it asks clients for no certificate.
    const std::string& ca = texts.client_ca.empty() ? texts.chain : texts.client_ca;
    *config = grpc_ssl_server_certificate_config_create(ca.c_str(), &pair, 1);
    given_ = std::move(current);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  // At each call, of whatever method.
  void Judge(const grpc_auth_context* client, grpc_process_auth_metadata_done_cb done, void* call) {
    const bool may = std::any_of(allowed_.begin(), allowed_.end(),
                                 [client](const Name& name) { return Has(client, name); });
    if (!may) refused_.fetch_add(1, std::memory_order_relaxed);
    done(call, nullptr, 0, nullptr, 0, may ? GRPC_STATUS_OK : GRPC_STATUS_PERMISSION_DENIED,
         may ? nullptr : "no name of the client's certificate is in --grpc-tls-client-sans");
  }

  static bool Has(const grpc_auth_context* client, const Name& name) {
    grpc_auth_property_iterator found =
        grpc_auth_context_find_properties_by_name(client, name.property);
    while (const grpc_auth_property* property = grpc_auth_property_iterator_next(&found)) {
      if (std::string_view(property->value, property->value_length) == name.text) return true;
    }
    return false;
  }

  const CertificateSource& source_;
  std::atomic<uint64_t>& refused_;
  std::vector<Name> allowed_;
  grpc_server_credentials* credentials_ = nullptr;
  Mutex mutex_;
  std::shared_ptr<const Certificates> given_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> TlsCredentials(const CertificateSource& source,
                                                        const ClientNames& names,
                                                        std::atomic<uint64_t>& refused) {
  return std::make_shared<Credentials>(source, names, refused);
}

// gRPC 1.51 has no setting for the version of a listener whose certificates reload, but one for the
// ciphers of versions up to 1.2; those of 1.3 are not among them. This one cannot be agreed on
// without a shared key, which no listener has.
void RefuseTls12() { setenv("GRPC_SSL_CIPHER_SUITES", "PSK-AES256-GCM-SHA384", 1); }

}  // namespace weir
