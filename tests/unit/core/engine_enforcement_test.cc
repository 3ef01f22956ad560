// Enforcement switched off while the engine runs.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "limiter/core/engine.h"
#include "tests/support/engine_harness.h"

namespace weir {
namespace {

using test::Domain;
using test::EngineHarness;
using test::On;
using test::SyncCheck;
using ::testing::Test;

// Domains "d" and "e" with one rule each, which denies everything.
std::vector<DomainSpec> TwoDomains() {
  std::vector<DomainSpec> domains = Domain("d", {On("a").Fixed(0, Unit::kMinute)});
  domains.push_back(Domain("e", {On("a").Fixed(0, Unit::kMinute)})[0]);
  return domains;
}

class Enforcement : public Test {
 protected:
  Enforcement() : harness_({}) { harness_.Load(TwoDomains()); }

  bool Passes(std::string_view domain) {
    SyncCheck check(domain);
    check.Add({{"a", "1"}});
    return harness_.Run(check);
  }
  bool PassesOverride(std::string_view domain) {
    SyncCheck check(domain);
    check.Add({{"other", "1"}}).Override(0, Unit::kMinute);
    return harness_.Run(check);
  }
  uint64_t Denials(std::size_t mode) {
    uint64_t sum = 0;
    for (uint32_t slot = 0; slot < harness_.series.rules().size(); ++slot) {
      for (const Counter& counter : harness_.RuleCount(slot).decisions[1][mode]) {
        sum += counter.Get();
      }
    }
    return sum;
  }

  EngineHarness harness_;
};

TEST_F(Enforcement, OffForADomainLetsItPassAndNoOther) {
  EXPECT_FALSE(Passes("d"));
  harness_.engine.SetEnforcementOff({.all = false, .domains = {"d"}});
  EXPECT_TRUE(Passes("d"));
  EXPECT_TRUE(PassesOverride("d"));
  EXPECT_FALSE(Passes("e"));
  EXPECT_FALSE(PassesOverride("e"));
  harness_.engine.SetEnforcementOff({});
  EXPECT_FALSE(Passes("d"));
  EXPECT_FALSE(PassesOverride("d"));
}

TEST_F(Enforcement, OffForAllIsOffForEachDomain) {
  harness_.engine.SetEnforcementOff({.all = true, .domains = {}});
  EXPECT_TRUE(Passes("d"));
  EXPECT_TRUE(Passes("e"));
}

TEST_F(Enforcement, DenialsAreStillDecidedAndCountedAsShadow) {
  harness_.engine.SetEnforcementOff({.all = false, .domains = {"d"}});
  SyncCheck check("d");
  check.Add({{"a", "1"}});
  EXPECT_TRUE(harness_.Run(check));
  EXPECT_FALSE(check[0].decision.allowed);
  EXPECT_FALSE(check[0].over_limit());
  EXPECT_TRUE(check[0].shadowed());
  EXPECT_EQ(Denials(1), 1U);
  EXPECT_EQ(Denials(0), 0U);
  Passes("e");
  EXPECT_EQ(Denials(0), 1U);
}

TEST_F(Enforcement, AReloadKeepsIt) {
  harness_.engine.SetEnforcementOff({.all = false, .domains = {"d"}});
  harness_.Load(TwoDomains());
  EXPECT_TRUE(Passes("d"));
  EXPECT_FALSE(Passes("e"));
}

TEST_F(Enforcement, ADomainThatComesLaterIsOffFromItsFirstCheck) {
  harness_.engine.SetEnforcementOff({.all = false, .domains = {"e", "f"}});
  EXPECT_EQ(harness_.engine.enforcement().domains, std::vector<std::string>{"e"});
  EXPECT_EQ(harness_.engine.enforcement().unknown, std::vector<std::string>{"f"});
  harness_.Load(Domain("f", {On("a").Fixed(0, Unit::kMinute)}));
  EXPECT_TRUE(Passes("f"));
  EXPECT_EQ(harness_.engine.enforcement().domains, std::vector<std::string>{"f"});
  EXPECT_EQ(harness_.engine.enforcement().unknown, std::vector<std::string>{"e"});
}

TEST_F(Enforcement, AnExplanationTellsOfIt) {
  harness_.engine.SetEnforcementOff({.all = true, .domains = {}});
  SyncCheck check("d");
  check.Add({{"a", "1"}});
  EXPECT_TRUE(
      harness_.engine.Explain(harness_.worker, "d", check.descriptors[0]).outcome.shadowed());
}

}  // namespace
}  // namespace weir
