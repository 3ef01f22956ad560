#include "limiter/tls/certificate_source.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

}  // namespace

CertificateSource::CertificateSource(std::string listener, CertificateFiles files, Clock& clock,
                                     CertificateEvents events)
    : listener_(std::move(listener)),
      files_(std::move(files)),
      clock_(clock),
      events_(std::move(events)) {}

std::shared_ptr<const Certificates> CertificateSource::current() const {
  MutexLock lock(mutex_);
  return current_;
}

absl::Status CertificateSource::Load() {
  absl::StatusOr<CertificateTexts> texts = ReadCertificateFiles(files_);
  if (!texts.ok()) return texts.status();
  absl::StatusOr<Certificates> loaded = LoadCertificates(*std::move(texts), files_);
  if (!loaded.ok()) return loaded.status();
  Use(*std::move(loaded));
  return absl::OkStatus();
}

absl::Status CertificateSource::TakeOver() {
  absl::StatusOr<CertificateTexts> texts = ReadCertificateFiles(files_);
  if (!texts.ok()) return texts.status();
  if (*texts == current()->texts) return absl::OkStatus();
  absl::StatusOr<Certificates> loaded = LoadCertificates(*std::move(texts), files_);
  if (!loaded.ok()) return loaded.status();
  successes_.fetch_add(1, std::memory_order_relaxed);
  Use(*std::move(loaded));
  return absl::OkStatus();
}

void CertificateSource::Poll() {
  const absl::Status status = TakeOver();
  const std::string problem(status.message());
  if (!status.ok() && problem == suspected_ && problem != failure_) {
    failures_.fetch_add(1, std::memory_order_relaxed);
    events_.failed(problem);
    failure_ = problem;
  }
  if (status.ok()) failure_.clear();
  suspected_ = problem;
}

void CertificateSource::Use(Certificates certificates) {
  const std::string used = absl::StrCat(files_.chain.path, ", serial ", certificates.serial);
  const std::string problem = ValidityProblem(certificates, clock_.Now().wall_ns / kSecondNs);
  if (!problem.empty()) {
    events_.warning(absl::StrCat(files_.chain.setting, ": the certificate in ", files_.chain.path,
                                 " ", problem, ": clients will refuse it; replace the file"));
  }
  auto current = std::make_shared<const Certificates>(std::move(certificates));
  {
    MutexLock lock(mutex_);
    current_ = std::move(current);
  }
  events_.loaded(used);
}

}  // namespace weir
