#include "limiter/metrics/engine_collector.h"

#include <atomic>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "limiter/metrics/render.h"
#include "tests/unit/metrics/scrape.h"

namespace weir {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

std::string Decisions(const std::string& labels) { return "weir_decisions_total{" + labels + "}"; }

TEST(EngineCollector, CountsDecisionsHitsAndWhatIsUnmatched) {
  Tested tested;
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 10)})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, "shop", {{"user", "a"}}, 7);   // 7 of 10
  tested.Ask(worker, "shop", {{"user", "a"}}, 2);   // 9: near, from 8 on
  tested.Ask(worker, "shop", {{"user", "a"}}, 20);  // denied; drains the last hit, which is near
  tested.Ask(worker, "shop", {{"user", "a"}}, 3);   // denied, nothing left
  tested.Ask(worker, "shop", {{"path", "/"}});
  tested.Ask(worker, "nowhere", {{"user", "a"}});
  tested.Ask(worker, "elsewhere", {{"user", "a"}});

  const Scrape scrape = tested.Get();
  const std::string rule = R"(domain="shop",rule="user",)";
  EXPECT_EQ(scrape.Of(Decisions(rule + R"(code="ok",mode="enforce",source="memory")")), 2);
  EXPECT_EQ(scrape.Of(Decisions(rule + R"(code="over_limit",mode="enforce",source="memory")")), 2);
  EXPECT_EQ(scrape.Of("weir_hits_total{" + rule + R"(code="ok"})"), 9);
  EXPECT_EQ(scrape.Of("weir_hits_total{" + rule + R"(code="over_limit"})"), 23);
  EXPECT_EQ(scrape.Of(R"(weir_near_limit_total{domain="shop",rule="user"})"), 2);
  EXPECT_EQ(scrape.Of(R"(weir_unmatched_total{domain="shop"})"), 1);
  EXPECT_EQ(scrape.Of(R"(weir_unmatched_total{domain="_unknown"})"), 2);
}

TEST(EngineCollector, SeriesOfRulesAppearWhenUsed) {
  Tested tested;
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 10), MinuteRule("path", "", 10)})});
  Worker& worker = tested.engine.AddWorker();
  const char* const families[] = {"weir_decisions_total", "weir_hits_total",
                                  "weir_near_limit_total", "weir_overflow_decisions_total",
                                  "weir_unmatched_total"};
  const Scrape unused = tested.Get();
  for (const char* family : families) {
    EXPECT_EQ(unused.Count(family), 0) << family;
    EXPECT_FALSE(unused.helps.contains(family)) << family;
  }
  tested.Ask(worker, "shop", {{"user", "a"}});
  const Scrape used = tested.Get();
  EXPECT_EQ(used.Count("weir_decisions_total{"), 1);
  EXPECT_EQ(used.Count("weir_hits_total{"), 1);
  EXPECT_EQ(used.Count("weir_near_limit_total"), 0);
}

TEST(EngineCollector, SumsWorkers) {
  Tested tested;
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 100)})});
  Worker& one = tested.engine.AddWorker();
  Worker& two = tested.engine.AddWorker();
  for (int i = 0; i < 3; ++i) tested.Ask(one, "shop", {{"user", "a"}}, 2);
  for (int i = 0; i < 4; ++i) tested.Ask(two, "shop", {{"user", "b"}}, 5);
  tested.Ask(two, "shop", {{"path", "/"}});
  tested.Ask(one, "shop", {{"path", "/"}});
  one.counters().methods[0].Observe(0, 100);
  two.counters().methods[0].Observe(0, 100);
  one.counters().clock_faults.Add(1);
  two.counters().clock_faults.Add(2);
  const Scrape scrape = tested.Get();
  const std::string rule = R"(domain="shop",rule="user",code="ok")";
  EXPECT_EQ(scrape.Of(Decisions(rule + R"(,mode="enforce",source="memory")")), 7);
  EXPECT_EQ(scrape.Of("weir_hits_total{" + rule + "}"), 26);
  EXPECT_EQ(scrape.Of(R"(weir_unmatched_total{domain="shop"})"), 2);
  EXPECT_EQ(scrape.Of(R"(weir_requests_total{method="ShouldRateLimit",grpc_code="OK"})"), 2);
  EXPECT_EQ(scrape.Of("weir_clock_faults_total"), 3);
}

TEST(EngineCollector, ShadowedDecisionsHaveTheirOwnMode) {
  TestedOptions options;
  options.engine.shadow_mode = true;
  Tested tested(options);
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 1)})});
  Worker& worker = tested.engine.AddWorker();
  for (int i = 0; i < 3; ++i) tested.Ask(worker, "shop", {{"user", "a"}});
  const Scrape scrape = tested.Get();
  const std::string rule = R"(domain="shop",rule="user",)";
  EXPECT_EQ(scrape.Of(Decisions(rule + R"(code="over_limit",mode="shadow",source="memory")")), 2);
  EXPECT_EQ(scrape.Count(Decisions(rule + R"(code="over_limit",mode="enforce")")), 0);
  EXPECT_EQ(scrape.Of("weir_global_shadow_total"), 2);
}

TEST(EngineCollector, FoldsWhatTheSeriesBudgetRefuses) {
  TestedOptions options;
  // One domain with the series of its overrides, and one rule.
  options.series_max = 1 + 2 * (SeriesRegistry::kSeriesPerRule + SeriesRegistry::kSeriesPerStat);
  Tested tested(options);
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 100), MinuteRule("path", "", 100),
                                     MinuteRule("host", "", 100)})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, "shop", {{"user", "a"}});
  tested.Ask(worker, "shop", {{"path", "a"}}, 2);
  tested.Ask(worker, "shop", {{"host", "a"}}, 3);
  const Scrape scrape = tested.Get();
  EXPECT_EQ(scrape.Of(R"(weir_hits_total{domain="shop",rule="user",code="ok"})"), 1);
  EXPECT_EQ(scrape.Of(R"(weir_hits_total{domain="__overflow__",rule="__overflow__",code="ok"})"),
            5);
  EXPECT_EQ(scrape.Count("weir_hits_total{"), 2);
  EXPECT_GE(scrape.Of("weir_metric_series_dropped_total"), 2);
}

TEST(EngineCollector, EscapesHostileNames) {
  Tested tested;
  const std::string domain = "a\"b\\c\nd";
  tested.SetRules({DomainOf(domain, {MinuteRule("k\"}\n", "", 10)})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, domain, {{"k\"}\n", "x"}});
  const Scrape scrape = tested.Get();
  EXPECT_EQ(scrape.Of(R"(weir_hits_total{domain="a\"b\\c\nd",rule="k\"}\n",code="ok"})"), 1);
}

TEST(EngineCollector, BytesThatAreNotUtf8DoNotSpoilTheScrape) {
  Tested tested;
  tested.SetRules({DomainOf("a\xFF", {MinuteRule("user", "", 10)}),
                   DomainOf("a\xFE", {MinuteRule("user", "", 10)})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, "a\xFF", {{"user", "x"}});
  tested.Ask(worker, "a\xFE", {{"user", "x"}}, 2);
  const Scrape scrape = tested.Get();
  // Two names that now read the same add up: one series must not occur twice.
  EXPECT_EQ(scrape.Of("weir_hits_total{domain=\"a\xEF\xBF\xBD\",rule=\"user\",code=\"ok\"}"), 3);
  EXPECT_FALSE(scrape.duplicates);
}

TEST(EngineCollector, NamesReservedForFoldingDoNotMakeDuplicates) {
  Tested tested;
  tested.SetRules({DomainOf("_unknown", {MinuteRule("user", "", 10)}),
                   DomainOf("__overflow__", {MinuteRule("__overflow__", "", 10)})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, "_unknown", {{"path", "x"}});
  tested.Ask(worker, "not configured", {{"path", "x"}});
  const Scrape scrape = tested.Get();
  EXPECT_EQ(scrape.Of(R"(weir_unmatched_total{domain="_unknown"})"), 2);
  EXPECT_FALSE(scrape.duplicates);
}

TEST(EngineCollector, DurationBucketsAreCumulative) {
  Tested tested;
  Worker& worker = tested.engine.AddWorker();
  MethodCounters& method =
      worker.counters().methods[static_cast<std::size_t>(Method::kShouldRateLimit)];
  method.Observe(0, 25'000);         // on the first bound: within it
  method.Observe(0, 25'001);         // just above
  method.Observe(14, 20'000'000);    // Envoy's default timeout
  method.Observe(0, 5 * kSecondNs);  // beyond all bounds
  const Scrape scrape = tested.Get();
  const std::string bucket =
      R"(weir_request_duration_seconds_bucket{method="ShouldRateLimit",le=")";
  EXPECT_EQ(scrape.Of(bucket + "2.5e-05\"}"), 1);
  EXPECT_EQ(scrape.Of(bucket + "5e-05\"}"), 2);
  EXPECT_EQ(scrape.Of(bucket + "0.01\"}"), 2);
  EXPECT_EQ(scrape.Of(bucket + "0.02\"}"), 3);
  EXPECT_EQ(scrape.Of(bucket + "0.1\"}"), 3);
  EXPECT_EQ(scrape.Of(bucket + "+Inf\"}"), 4);
  EXPECT_EQ(scrape.Of(R"(weir_request_duration_seconds_count{method="ShouldRateLimit"})"), 4);
  EXPECT_NEAR(scrape.Of(R"(weir_request_duration_seconds_sum{method="ShouldRateLimit"})"),
              5.020050001, 1e-9);
  for (const char* bound : {"0.001", "0.005", "0.01", "0.02"}) {
    EXPECT_TRUE(scrape.Has(bucket + bound + "\"}")) << bound << " is what alerts and panels use";
  }
  EXPECT_EQ(scrape.Of(R"(weir_requests_total{method="ShouldRateLimit",grpc_code="Unavailable"})"),
            1);
}

TEST(EngineCollector, FixedSeriesExistFromTheStart) {
  Tested tested;
  const Scrape scrape = tested.Get();
  EXPECT_EQ(scrape.Count("weir_requests_total{"), static_cast<int>(kMethods * kGrpcCodes));
  EXPECT_EQ(scrape.Count("weir_request_duration_seconds_count{"), static_cast<int>(kMethods));
  for (const char* reason :
       {"descriptors", "entries", "key_len", "value_len", "hits", "batch", "message", "override"}) {
    EXPECT_EQ(scrape.Of("weir_input_rejected_total{reason=\"" + std::string(reason) + "\"}"), 0);
  }
  for (const char* series :
       {R"(weir_keys{algorithm="fixed_window"})", R"(weir_keys{algorithm="sliding_window"})",
        R"(weir_keys{algorithm="token_bucket"})", R"(weir_evictions_total{reason="idle"})",
        R"(weir_evictions_total{reason="capacity"})", R"(weir_shed_total{reason="inflight"})",
        R"(weir_config_reloads_total{result="success"})",
        R"(weir_config_reloads_total{result="error"})", "weir_config_last_reload_successful",
        "weir_rules", "weir_metric_series_dropped_total", "weir_global_shadow_total",
        "weir_clock_faults_total", "weir_state_bytes"}) {
    EXPECT_EQ(scrape.Of(series), 0) << series;
  }
  EXPECT_GE(scrape.Of("weir_keys_capacity"), 4096);
}

TEST(EngineCollector, CodesAndMethodsAreSpelledAsDocumented) {
  Tested tested;
  Worker& worker = tested.engine.AddWorker();
  const char* const codes[kGrpcCodes] = {
      "OK",       "Cancelled",      "Unknown",          "InvalidArgument",   "DeadlineExceeded",
      "NotFound", "AlreadyExists",  "PermissionDenied", "ResourceExhausted", "FailedPrecondition",
      "Aborted",  "OutOfRange",     "Unimplemented",    "Internal",          "Unavailable",
      "DataLoss", "Unauthenticated"};
  const struct {
    Method method;
    const char* name;
  } methods[kMethods] = {{Method::kShouldRateLimit, "ShouldRateLimit"},
                         {Method::kCheck, "Check"},
                         {Method::kCheckBatch, "CheckBatch"},
                         {Method::kPeek, "Peek"},
                         {Method::kReport, "Report"},
                         {Method::kRefund, "Refund"},
                         {Method::kReset, "Reset"},
                         {Method::kExplain, "Explain"},
                         {Method::kJson, "json"}};
  for (std::size_t m = 0; m < kMethods; ++m) {
    MethodCounters& counters =
        worker.counters().methods[static_cast<std::size_t>(methods[m].method)];
    for (std::size_t code = 0; code < kGrpcCodes; ++code) {
      for (std::size_t n = 0; n <= 20 * m + code; ++n) {
        counters.Observe(static_cast<int>(code), 1);
      }
    }
  }
  const Scrape scrape = tested.Get();
  for (std::size_t m = 0; m < kMethods; ++m) {
    for (std::size_t code = 0; code < kGrpcCodes; ++code) {
      EXPECT_EQ(scrape.Of("weir_requests_total{method=\"" + std::string(methods[m].name) +
                          "\",grpc_code=\"" + codes[code] + "\"}"),
                static_cast<double>(20 * m + code + 1));
    }
  }
}

TEST(EngineCollector, RefusalsAreCountedByReason) {
  Tested tested;
  Worker& worker = tested.engine.AddWorker();
  const struct {
    InputReject reason;
    const char* name;
  } reasons[kInputRejects] = {{InputReject::kDescriptors, "descriptors"},
                              {InputReject::kEntries, "entries"},
                              {InputReject::kKeyLen, "key_len"},
                              {InputReject::kValueLen, "value_len"},
                              {InputReject::kHits, "hits"},
                              {InputReject::kBatch, "batch"},
                              {InputReject::kMessage, "message"},
                              {InputReject::kOverride, "override"}};
  for (std::size_t i = 0; i < kInputRejects; ++i) {
    worker.counters().input_rejected[static_cast<std::size_t>(reasons[i].reason)].Add(i + 1);
  }
  worker.counters().requests_shed.Add(9);
  const Scrape scrape = tested.Get();
  for (std::size_t i = 0; i < kInputRejects; ++i) {
    EXPECT_EQ(
        scrape.Of("weir_input_rejected_total{reason=\"" + std::string(reasons[i].name) + "\"}"),
        static_cast<double>(i + 1));
  }
  EXPECT_EQ(scrape.Of(R"(weir_shed_total{reason="inflight"})"), 9);
}

TEST(EngineCollector, KeysFillOverflowAndAreEvicted) {
  TestedOptions options;
  options.store.keys_max = 64;
  Tested tested(options);
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 10)})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, "shop", {{"user", "first"}});
  const Scrape one = tested.Get();
  EXPECT_EQ(one.Of(R"(weir_keys{algorithm="fixed_window"})"), 1);
  EXPECT_GE(one.Of("weir_state_bytes"), 64);

  for (int i = 0; i < 5000; ++i) tested.Ask(worker, "shop", {{"user", std::to_string(i)}});
  const Scrape full = tested.Get();
  const double capacity = full.Of("weir_keys_capacity");
  EXPECT_EQ(full.Of(R"(weir_keys{algorithm="fixed_window"})"), capacity);
  EXPECT_EQ(full.Of(R"(weir_evictions_total{reason="idle"})"), 0);
  EXPECT_EQ(full.Of(R"(weir_overflow_decisions_total{domain="shop",rule="user"})"),
            5001 - capacity);
  EXPECT_EQ(
      full.Of(Decisions(R"(domain="shop",rule="user",code="ok",mode="enforce",source="policy")")),
      5001 - capacity);

  tested.clock.Advance(120 * kSecondNs);  // every window is over: all keys are idle
  for (int i = 5000; i < 5100; ++i) tested.Ask(worker, "shop", {{"user", std::to_string(i)}});
  const Scrape evicted = tested.Get();
  EXPECT_GT(evicted.Of(R"(weir_evictions_total{reason="idle"})"), 0);
  EXPECT_EQ(evicted.Of(R"(weir_keys{algorithm="fixed_window"})"), capacity);
}

TEST(EngineCollector, AlgorithmsOfKeysAreToldApart) {
  Tested tested;
  DescriptorSpec sliding = MinuteRule("sliding", "", 10);
  sliding.rate_limit->limit.algorithm = Algorithm::kSlidingWindow;
  DescriptorSpec bucket = MinuteRule("bucket", "", 10);
  bucket.rate_limit->limit.algorithm = Algorithm::kTokenBucket;
  tested.SetRules({DomainOf("shop", {MinuteRule("fixed", "", 10), sliding, bucket})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, "shop", {{"fixed", "a"}});
  for (const char* value : {"a", "b"}) tested.Ask(worker, "shop", {{"sliding", value}});
  for (const char* value : {"a", "b", "c"}) tested.Ask(worker, "shop", {{"bucket", value}});
  const Scrape scrape = tested.Get();
  EXPECT_EQ(scrape.Of(R"(weir_keys{algorithm="fixed_window"})"), 1);
  EXPECT_EQ(scrape.Of(R"(weir_keys{algorithm="sliding_window"})"), 2);
  EXPECT_EQ(scrape.Of(R"(weir_keys{algorithm="token_bucket"})"), 3);
}

TEST(EngineCollector, ConfigurationFollowsEachLoad) {
  Tested tested;
  EXPECT_EQ(tested.Get().Count("weir_config_info"), 0);
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 1), MinuteRule("path", "", 1)})});
  tested.config.RecordSuccess("0a1b", 1'700'000'000'500'000'000);
  const Scrape loaded = tested.Get();
  EXPECT_EQ(loaded.Of("weir_config_last_reload_successful"), 1);
  EXPECT_EQ(loaded.Of("weir_config_last_reload_success_timestamp_seconds"), 1'700'000'000.5);
  EXPECT_EQ(loaded.Of(R"(weir_config_info{hash="0a1b"})"), 1);
  EXPECT_EQ(loaded.Of("weir_rules"), 2);

  tested.config.RecordFailure();
  const Scrape refused = tested.Get();
  EXPECT_EQ(refused.Of("weir_config_last_reload_successful"), 0);
  EXPECT_EQ(refused.Of("weir_config_last_reload_success_timestamp_seconds"), 1'700'000'000.5);
  EXPECT_EQ(refused.Of(R"(weir_config_reloads_total{result="error"})"), 1);
  EXPECT_EQ(refused.Of(R"(weir_config_info{hash="0a1b"})"), 1);

  tested.config.RecordSuccess("2c3d", 1'700'000'001'000'000'000);
  const Scrape reloaded = tested.Get();
  EXPECT_EQ(reloaded.Of(R"(weir_config_info{hash="2c3d"})"), 1);
  EXPECT_EQ(reloaded.Count("weir_config_info"), 1) << "the old hash is gone";
  EXPECT_EQ(reloaded.Of(R"(weir_config_reloads_total{result="success"})"), 2);
}

TEST(EngineCollector, ListenersAreAskedAndMayBeAbsent) {
  Tested tested;
  const Scrape without = tested.Get();
  for (const char* family : {"weir_grpc_listening", "weir_inflight_requests", "weir_connections",
                             "weir_http_rejected_total", "weir_streams_rejected_total",
                             "weir_tls_cert_expiry_timestamp_seconds", "weir_tls_reloads_total",
                             "weir_tls_clients_refused_total"}) {
    EXPECT_EQ(without.Count(family), 0) << family;
  }
  EngineCollectorOptions options;
  // A listener may take the engine's locks: none is held while it is asked.
  options.listeners.inflight_requests = [&] {
    tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 1)})});
    tested.Ask(tested.engine.AddWorker(), "shop", {{"user", "a"}});
    return uint64_t{3};
  };
  options.listeners.listening = [] { return true; };
  options.listeners.connections = [] { return uint64_t{4}; };
  options.listeners.http_rejected = [] {
    return std::vector<ReasonCount>{{"body", 5}, {"headers", 0}};
  };
  options.listeners.streams_rejected = [] { return std::vector<ReasonCount>{{"reflection", 6}}; };
  options.listeners.tls = [] {
    return std::vector<TlsStatus>{{"grpc", 1'800'000'000, 7, 8}, {"http", 1'900'000'000, 0, 9}};
  };
  options.listeners.tls_clients_refused = [] { return uint64_t{10}; };
  const Scrape scrape = tested.Get(options);
  EXPECT_EQ(scrape.Of(R"(weir_tls_cert_expiry_timestamp_seconds{listener="grpc"})"), 1'800'000'000);
  EXPECT_EQ(scrape.Of(R"(weir_tls_cert_expiry_timestamp_seconds{listener="http"})"), 1'900'000'000);
  EXPECT_EQ(scrape.Of(R"(weir_tls_reloads_total{listener="grpc",result="success"})"), 7);
  EXPECT_EQ(scrape.Of(R"(weir_tls_reloads_total{listener="grpc",result="failure"})"), 8);
  EXPECT_EQ(scrape.Of(R"(weir_tls_reloads_total{listener="http",result="failure"})"), 9);
  EXPECT_EQ(scrape.Of("weir_tls_clients_refused_total"), 10);
  EXPECT_EQ(scrape.Of("weir_inflight_requests"), 3);
  EXPECT_EQ(scrape.Of("weir_grpc_listening"), 1);
  EXPECT_EQ(scrape.Of("weir_connections"), 4);
  EXPECT_EQ(scrape.Of(R"(weir_http_rejected_total{reason="body"})"), 5);
  EXPECT_EQ(scrape.Of(R"(weir_http_rejected_total{reason="headers"})"), 0);
  EXPECT_EQ(scrape.Of(R"(weir_streams_rejected_total{reason="reflection"})"), 6);
}

TEST(EngineCollector, WithoutACellTableKeysAreLeftOut) {
  Tested tested;
  const EngineCollector collector(tested.engine, nullptr, tested.config, {});
  const prometheus::Collectable* const all[] = {&collector};
  const Scrape scrape = Parse(RenderMetrics(all));
  EXPECT_EQ(scrape.Count("weir_keys"), 0);
  EXPECT_EQ(scrape.Count("weir_evictions_total"), 0);
  EXPECT_TRUE(scrape.Has("weir_rules"));
}

TEST(EngineCollector, SaysWhatWasBuilt) {
  Tested tested;
  EngineCollectorOptions options;
  options.build = {"0.1.0", "abc123", "g++ 12.2.0", "1.51.1"};
  EXPECT_EQ(tested.Get(options).Of(R"(weir_build_info{version="0.1.0",revision="abc123",)"
                                   R"(compiler="g++ 12.2.0",grpc="1.51.1"})"),
            1);
}

TEST(EngineCollector, TagsAreOnEverySeries) {
  Tested tested;
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 10)})});
  tested.Ask(tested.engine.AddWorker(), "shop", {{"user", "a"}});
  EngineCollectorOptions options;
  options.reference_families = true;
  options.tags = {{"env", "pro\"d"}, {"region", "eu"}};
  const Scrape scrape = tested.Get(options);
  ASSERT_GT(scrape.values.size(), 100U);
  for (const auto& [series, value] : scrape.values) {
    EXPECT_NE(series.find(R"({env="pro\"d",region="eu")"), std::string::npos) << series;
  }
}

TEST(EngineCollector, ProcessMetricsArePlausible) {
  Tested tested;
  EngineCollectorOptions options;
  options.started_wall_ns = 1'700'000'000'250'000'000;
  const Scrape before = tested.Get(options);
  EXPECT_GT(before.Of("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GE(before.Of("process_virtual_memory_bytes"), before.Of("process_resident_memory_bytes"));
  EXPECT_GE(before.Of("process_cpu_seconds_total"), 0);
  EXPECT_GE(before.Of("process_open_fds"), 3);
  EXPECT_GE(before.Of("process_max_fds"), before.Of("process_open_fds"));
  EXPECT_DOUBLE_EQ(before.Of("process_start_time_seconds"), 1'700'000'000.25);

  std::FILE* const file = std::fopen("/dev/null", "r");
  ASSERT_NE(file, nullptr);
  const Scrape after = tested.Get();
  std::fclose(file);
  EXPECT_EQ(after.Of("process_open_fds"), before.Of("process_open_fds") + 1);
}

TEST(EngineCollector, EveryFamilyHasOneHelpAndOneType) {
  Tested tested;
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 1)})});
  Worker& worker = tested.engine.AddWorker();
  for (int i = 0; i < 3; ++i) tested.Ask(worker, "shop", {{"user", "a"}});
  EngineCollectorOptions options;
  options.reference_families = true;
  const EngineCollector collector(tested.engine, &tested.store.cells(), tested.config, options);
  std::set<std::string> names;
  for (const prometheus::MetricFamily& family : collector.Collect()) {
    EXPECT_TRUE(names.insert(family.name).second) << family.name << " twice";
    EXPECT_FALSE(family.help.empty()) << family.name;
    EXPECT_EQ(family.help.find_first_of("\n\\"), std::string::npos) << family.name;
    EXPECT_FALSE(family.metric.empty()) << family.name;
  }
  const Scrape scrape = tested.Get(options);
  EXPECT_FALSE(scrape.duplicates);
  EXPECT_EQ(scrape.helps.size(), names.size());
  EXPECT_EQ(scrape.types.size(), names.size());
}

std::string Documentation() {
  std::ifstream file(WEIR_SOURCE_DIR "/docs/metrics.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(EngineCollector, DocumentationNamesEveryFamily) {
  TestedOptions options;
  options.store.keys_max = 64;
  Tested tested(options);
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 2)})});
  Worker& worker = tested.engine.AddWorker();
  tested.Ask(worker, "nowhere", {{"user", "a"}});
  for (int i = 0; i < 3; ++i) tested.Ask(worker, "shop", {{"user", "a"}});
  for (int i = 0; i < 2000; ++i) tested.Ask(worker, "shop", {{"user", std::to_string(i)}});
  tested.config.RecordSuccess("0a1b", 1);
  const std::string documentation = Documentation();
  const Scrape scrape = tested.Get();
  EXPECT_GE(scrape.helps.size(), 28U);
  for (const auto& [name, count] : scrape.helps) {
    if (name.rfind("process_", 0) == 0) continue;
    EXPECT_NE(documentation.find('`' + name + '`'), std::string::npos) << name;
  }
}

TEST(EngineCollector, DocumentationKnowsTheFixedNumberOfSeries) {
  Tested tested;
  tested.config.RecordSuccess("0a1b", 1);
  EngineCollectorOptions options;
  options.listeners.inflight_requests = options.listeners.connections = [] { return uint64_t{0}; };
  const std::string count = std::to_string(tested.Get(options).values.size());
  EXPECT_NE(Documentation().find("The fixed part is " + count + " series"), std::string::npos)
      << count;
}

TEST(EngineCollector, ScrapesWhileWorkersCount) {
  constexpr int kChecks = 20'000;
  Tested tested;
  tested.SetRules({DomainOf("shop", {MinuteRule("user", "", 1'000'000)})});
  std::atomic<int> running{2};
  const auto work = [&](Worker& worker, const char* user) {
    for (int i = 0; i < kChecks; ++i) tested.Ask(worker, "shop", {{"user", user}});
    running.fetch_sub(1, std::memory_order_release);
  };
  std::thread one(work, std::ref(tested.engine.AddWorker()), "a");
  std::thread two(work, std::ref(tested.engine.AddWorker()), "b");
  const std::string series = R"(weir_hits_total{domain="shop",rule="user",code="ok"})";
  double last = 0;
  while (running.load(std::memory_order_acquire) > 0) {
    const double now = tested.Get().Of(series);
    if (now < 0) continue;  // not used yet
    EXPECT_GE(now, last);
    last = now;
  }
  one.join();
  two.join();
  EXPECT_EQ(tested.Get().Of(series), 2 * kChecks);
}

}  // namespace
}  // namespace weir
