#pragma once

// What TLS to Redis trusts and shows: CA, client certificate, verified name, lowest version. Read
// from files at start and at each Reload; connections that are up keep what they began with.
//
// Thread safety: safe from any thread.

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "limiter/core/mutex.h"

namespace weir {

struct TlsOptions {
  std::string ca_file = {};           // PEM; empty: the system's
  std::string certificate_file = {};  // PEM chain that the client shows; empty: none
  std::string key_file = {};          // PEM; empty with a certificate: in the certificate's file
  // Name or IP address the server's certificate must have, and SNI; empty: the host of the address.
  std::string server_name = {};
  bool verify_name = true;           // false: any certificate of the CA will do
  int version_min = TLS1_2_VERSION;  // or TLS1_3_VERSION
};

class TlsContext {
 public:
  // INVALID_ARGUMENT names the file that cannot be used, and why.
  static absl::StatusOr<std::unique_ptr<TlsContext>> Create(const TlsOptions& options);

  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // Reads the files again. What does not load leaves the last good state in force.
  absl::Status Reload();

  struct FreeSession {
    void operator()(SSL* session) const { SSL_free(session); }
  };
  using Session = std::unique_ptr<SSL, FreeSession>;

  // A client's session that will accept a server for `host` only. Null: out of memory, or a name
  // that OpenSSL does not take.
  Session NewSession(const std::string& host) const;

  // Expiry of the client's certificate in seconds since the Unix epoch; 0: none is shown.
  int64_t certificate_expiry_s() const;

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  using Context = std::unique_ptr<SSL_CTX, FreeContext>;

  explicit TlsContext(const TlsOptions& options) : options_(options) {}
  absl::StatusOr<Context> Load() const;

  const TlsOptions options_;
  mutable Mutex mutex_;
  Context context_ ABSL_GUARDED_BY(mutex_);
};

// The oldest error of this thread's OpenSSL queue in words, and an empty queue; "" for none.
std::string TakeTlsError();

}  // namespace weir
