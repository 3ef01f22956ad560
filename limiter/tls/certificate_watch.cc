#include "limiter/tls/certificate_watch.h"

#include <chrono>
#include <utility>
#include <vector>

namespace weir {

CertificateWatch::CertificateWatch(std::vector<CertificateSource*> sources, int64_t interval_ns)
    : sources_(std::move(sources)) {
  if (!sources_.empty()) thread_ = std::thread([this, interval_ns] { Run(interval_ns); });
}

CertificateWatch::~CertificateWatch() {
  {
    MutexLock lock(mutex_);
    ended_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void CertificateWatch::Poke() {
  {
    MutexLock lock(mutex_);
    poked_ = true;
  }
  wake_.notify_one();
}

void CertificateWatch::Run(int64_t interval_ns) {
  while (true) {
    {
      MutexLock lock(mutex_);
      if (!poked_ && !ended_) wake_.wait_for(mutex_, std::chrono::nanoseconds(interval_ns));
      if (ended_) return;
      poked_ = false;
    }
    for (CertificateSource* const source : sources_) source->Poll();
  }
}

}  // namespace weir
