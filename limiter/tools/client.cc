#include "limiter/tools/client.h"

#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "limiter/tls/certificates.h"
#include "weir/v1/limiter.grpc.pb.h"

namespace weir {
namespace {

constexpr int64_t kTimeoutNs = 5'000'000'000;

void SetDeadline(grpc::ClientContext& context) {
  // From now; a time of day would move when the clock is set.
  context.set_deadline(gpr_time_from_nanos(kTimeoutNs, GPR_TIMESPAN));
}

absl::Status ToAbsl(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CredentialsOf(const ClientTls& tls) {
  if (!tls.on) return grpc::InsecureChannelCredentials();
  const CertificateFiles files = {
      {"--tls-cert", tls.certificate}, {"--tls-key", tls.key}, {"--tls-ca", tls.ca}};
  const absl::StatusOr<CertificateTexts> texts = ReadCertificateFiles(files);
  if (!texts.ok()) return texts.status();
  if (!tls.certificate.empty()) {
    const absl::Status usable = LoadCertificates(*texts, files).status();
    if (!usable.ok()) return usable;
  }
  // What it would log is in the status of the call too.
  gpr_set_log_function([](gpr_log_func_args*) {});
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = texts->client_ca;
  options.pem_cert_chain = texts->chain;
  options.pem_private_key = texts->key;
  return grpc::SslCredentials(options);
}

}  // namespace

struct Client::Impl {
  std::string server;
  bool tls = false;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Limiter::Stub> stub;
};

absl::StatusOr<Client> Client::Create(const std::string& server, const ClientTls& tls) {
  const absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials = CredentialsOf(tls);
  if (!credentials.ok()) return credentials.status();
  grpc::ChannelArguments arguments;
  if (!tls.server_name.empty()) arguments.SetSslTargetNameOverride(tls.server_name);
  auto impl = std::make_unique<Impl>();
  impl->server = server;
  impl->tls = tls.on;
  impl->channel = grpc::CreateCustomChannel(server, *credentials, arguments);
  impl->stub = v1::Limiter::NewStub(impl->channel);
  return Client(std::move(impl));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

absl::Status Client::Check(const v1::CheckRequest& request, v1::CheckResponse* response) {
  grpc::ClientContext context;
  SetDeadline(context);
  return ToAbsl(impl_->stub->Check(&context, request, response));
}

absl::Status Client::Explain(const v1::ExplainRequest& request, v1::ExplainResponse* response) {
  grpc::ClientContext context;
  SetDeadline(context);
  return ToAbsl(impl_->stub->Explain(&context, request, response));
}

std::string Client::DescribeFailure(const absl::Status& status) const {
  const std::string code = absl::StatusCodeToString(status.code());
  const bool connected = impl_->channel->GetState(false) == GRPC_CHANNEL_READY;
  std::string cause = absl::StrCat(code, ": ", status.message());
  if (absl::IsDeadlineExceeded(status)) {
    cause = absl::StrCat(code, ": no answer within ", kTimeoutNs / 1'000'000'000, "s");
  } else if (connected && !absl::IsUnimplemented(status)) {
    return absl::StrCat(impl_->server, " answered ", cause);
  }
  return absl::StrCat("cannot ask ", impl_->server, ": ", cause,
                      ": is weir serving gRPC there? --server HOST:PORT names another address",
                      impl_->tls ? "" : ", --tls speaks TLS");
}

}  // namespace weir
