// What Prometheus' own linter says about a scrape in which every family has a series.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/metrics/scrape.h"

namespace weir {
namespace {

struct Ran {
  int status = -1;
  std::string output;  // both streams
};

Ran RunShell(const std::string& command) {
  Ran ran;
  std::FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return ran;
  char buffer[4096];
  for (std::size_t bytes = 0; (bytes = fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    ran.output.append(buffer, bytes);
  }
  ran.status = pclose(pipe);
  return ran;
}

Ran CheckMetrics(const std::string& text) {
  const std::string path =
      testing::TempDir() + "/weir_metrics_" + std::to_string(getpid()) + ".txt";
  std::ofstream(path) << text;
  Ran ran = RunShell("promtool check metrics < '" + path + "'");
  std::remove(path.c_str());
  return ran;
}

class Promtool : public testing::Test {
 protected:
  void SetUp() override {
    if (RunShell("command -v promtool").status == 0) return;
    const char* const ci = std::getenv("CI");
    ASSERT_FALSE(ci != nullptr && std::string(ci) == "true") << "promtool is missing";
    GTEST_SKIP() << "promtool is missing (Debian package prometheus)";
  }
};

// A scrape with every family, and with names that need escaping.
std::string FullScrape(bool reference_families) {
  TestedOptions options;
  options.engine.count_stats = true;
  options.store.keys_max = 64;
  Tested tested(options);
  DescriptorSpec shadow = MinuteRule("sha\ndow\\\"", "", 1);
  shadow.shadow_mode = true;
  tested.SetRules({DomainOf("shop \xFF", {MinuteRule("user", "", 2), shadow})});
  Worker& worker = tested.engine.AddWorker();
  for (int i = 0; i < 4; ++i) {
    tested.Ask(worker, "shop \xFF", {{"user", "a"}});
    tested.Ask(worker, "shop \xFF", {{"sha\ndow\\\"", "a"}});
  }
  tested.Ask(worker, "shop \xFF", {{"user", "a"}}, 1, Op::kRefund);
  for (int i = 0; i < 2000; ++i) {
    tested.Ask(worker, "shop \xFF", {{"user", std::to_string(i)}});
  }
  tested.Ask(worker, "nowhere", {{"user", "a"}});
  worker.counters().methods[0].Observe(0, 100'000);
  tested.config.RecordSuccess("0123", 1'700'000'000'000'000'000);
  EngineCollectorOptions collector;
  collector.build = {"0.1.0", "abc", "g++", "1.51.1"};
  collector.listeners.inflight_requests = [] { return uint64_t{1}; };
  collector.listeners.connections = [] { return uint64_t{1}; };
  collector.listeners.http_rejected = [] { return std::vector<ReasonCount>{{"body", 1}}; };
  collector.listeners.streams_rejected = [] { return std::vector<ReasonCount>{{"reflection", 1}}; };
  collector.listeners.tls = [] { return std::vector<TlsStatus>{{"grpc", 1, 1, 1}}; };
  collector.listeners.tls_clients_refused = [] { return uint64_t{1}; };
  collector.reference_families = reference_families;
  collector.tags = {{"env", "prod"}};
  Scrape scrape = tested.Get(collector);
  EXPECT_FALSE(scrape.duplicates);
  return scrape.text;
}

TEST_F(Promtool, ComplainsWhenThereIsReasonTo) {
  const Ran ran = CheckMetrics("# HELP a_hits x\n# TYPE a_hits counter\na_hits 1\n");
  EXPECT_NE(ran.status, 0);
  EXPECT_NE(ran.output, "");
}

TEST_F(Promtool, SaysNothingAboutWeirsFamilies) {
  const std::string text = FullScrape(false);
  for (const char* family :
       {"weir_decisions_total", "weir_hits_total", "weir_near_limit_total",
        "weir_overflow_decisions_total", "weir_unmatched_total", "weir_request_duration_seconds",
        "weir_http_rejected_total", "weir_streams_rejected_total", "weir_config_info",
        "weir_tls_cert_expiry_timestamp_seconds", "process_start_time_seconds"}) {
    EXPECT_NE(text.find("# TYPE " + std::string(family) + " "), std::string::npos) << family;
  }
  const Ran ran = CheckMetrics(text);
  EXPECT_EQ(ran.output, "");
  EXPECT_EQ(ran.status, 0);
}

TEST_F(Promtool, OnlyMissesTotalInTheReferencesNames) {
  const Ran ran = CheckMetrics(FullScrape(true));
  std::istringstream lines(ran.output);
  std::size_t complaints = 0;
  for (std::string line; std::getline(lines, line); ++complaints) {
    EXPECT_EQ(line.rfind("ratelimit_service_", 0), 0U) << line;
    EXPECT_NE(line.find(R"(counter metrics should have "_total" suffix)"), std::string::npos)
        << line;
  }
  EXPECT_EQ(complaints, 10U) << ran.output;
}

}  // namespace
}  // namespace weir
