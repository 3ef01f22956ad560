#include "limiter/config/watcher.h"

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <ctime>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "limiter/config/rule_folder.h"
#include "limiter/core/mutex.h"
#include "tests/unit/config/temp_folder.h"

namespace weir {
namespace {

constexpr auto kDeadline = std::chrono::seconds(20);

// Watches `path` and keeps what was reported, each content as "name=content name=content", the one
// there is at the start included.
std::chrono::steady_clock::time_point Now() { return std::chrono::steady_clock::now(); }

class Recorder {
 public:
  explicit Recorder(const std::string& path, RuleWatcherOptions options = Quick()) {
    auto watcher = RuleWatcher::Start(
        path, {}, options,
        {[this](std::vector<RuleFile> files, std::string hash) { Change(files, hash); },
         [this](const absl::Status& status) {
           MutexLock lock(mutex_);
           statuses_.push_back(status);
           changed_.notify_all();
         }});
    EXPECT_TRUE(watcher.ok()) << watcher.status();
    watcher_ = *std::move(watcher);
    // What a test changes from here on is seen by the watches, not by the first reading.
    EXPECT_TRUE(Wait([&] { return !contents_.empty() || !statuses_.empty(); }));
  }

  // No polling: what is seen is seen by inotify.
  static RuleWatcherOptions Quick() {
    RuleWatcherOptions options;
    options.debounce_ms = 10;
    options.poll_interval_ms = 0;
    return options;
  }

  // Waits until the content reported last is `content`.
  bool WaitFor(const std::string& content) {
    return Wait([&] { return !contents_.empty() && contents_.back() == content; });
  }
  bool WaitForStatus(absl::StatusCode code) {
    return Wait([&] { return !statuses_.empty() && statuses_.back().code() == code; });
  }

  std::vector<std::string> contents() {
    MutexLock lock(mutex_);
    return contents_;
  }
  std::vector<std::string> hashes() {
    MutexLock lock(mutex_);
    return hashes_;
  }
  RuleWatcher& watcher() { return *watcher_; }
  void Stop() { watcher_.reset(); }

 private:
  void Change(const std::vector<RuleFile>& files, const std::string& hash) {
    std::string content;
    for (const RuleFile& file : files) {
      if (!file.skip_reason.empty()) continue;
      if (!content.empty()) content += " ";
      content += file.name + "=" + file.content;
    }
    MutexLock lock(mutex_);
    contents_.push_back(content);
    hashes_.push_back(hash);
    changed_.notify_all();
  }

  bool Wait(const std::function<bool()>& done) {
    MutexLock lock(mutex_);
    return changed_.wait_for(mutex_, kDeadline, done);
  }

  Mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::string> contents_;
  std::vector<std::string> hashes_;
  std::vector<absl::Status> statuses_;
  std::unique_ptr<RuleWatcher> watcher_;  // last, so that it stops first
};

TEST(RuleWatcher, ReportsAWriteInPlace) {
  const TempFolder folder;
  folder.Write("rules/a.yaml", "1");
  Recorder recorder(folder.At("rules"));
  folder.Write("rules/a.yaml", "2");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=2"));
  folder.Write("rules/a.yaml", "3");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=3"));
  const auto files = ReadRuleFolder(folder.At("rules"), {});
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(recorder.hashes().back(), HashRuleFiles(*files));
}

TEST(RuleWatcher, ReportsAnAtomicRename) {
  const TempFolder folder;
  folder.Write("rules/a.yaml", "1");
  Recorder recorder(folder.At("rules"));
  folder.Write("rules/a.yaml.tmp", "2");
  folder.Rename("rules/a.yaml.tmp", "rules/a.yaml");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=2"));
  folder.Write("staging/a.yaml", "3");  // from another folder
  folder.Rename("staging/a.yaml", "rules/a.yaml");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=3"));
}

TEST(RuleWatcher, ReportsConfigMapUpdates) {
  const TempFolder folder;
  folder.WriteConfigMap("rules", "2024_01_01", "1");
  Recorder recorder(folder.At("rules"));
  folder.WriteConfigMap("rules", "2024_01_02", "2");
  EXPECT_TRUE(recorder.WaitFor("rules.yaml=2"));
  folder.Remove("rules/..2024_01_01");
  folder.WriteConfigMap("rules", "2024_01_03", "3");
  EXPECT_TRUE(recorder.WaitFor("rules.yaml=3"));
}

TEST(RuleWatcher, ReportsFilesRemovedAndCreated) {
  const TempFolder folder;
  folder.Write("rules/a.yaml", "1");
  folder.Write("rules/b.yaml", "1");
  Recorder recorder(folder.At("rules"));
  folder.Remove("rules/b.yaml");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=1"));
  folder.Remove("rules/a.yaml");
  EXPECT_TRUE(recorder.WaitFor(""));
  folder.Write("rules/b.yaml", "2");
  EXPECT_TRUE(recorder.WaitFor("b.yaml=2"));
}

TEST(RuleWatcher, ReportsChangesInFoldersBelow) {
  const TempFolder folder;
  folder.Write("rules/a.yaml", "1");
  Recorder recorder(folder.At("rules"));
  folder.Write("rules/team/b.yaml", "1");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=1 team.b.yaml=1"));
  folder.Write("rules/team/b.yaml", "2");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=1 team.b.yaml=2"));
  folder.Remove("rules/team");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=1"));
}

TEST(RuleWatcher, SurvivesRemovalOfTheFolder) {
  const TempFolder folder;
  folder.Write("rules/a.yaml", "1");
  Recorder recorder(folder.At("rules"));
  folder.Remove("rules");
  EXPECT_TRUE(recorder.WaitForStatus(absl::StatusCode::kNotFound));
  folder.Write("rules/a.yaml", "2");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=2"));
  EXPECT_TRUE(recorder.WaitForStatus(absl::StatusCode::kOk));
}

TEST(RuleWatcher, WaitsForAFolderThatDoesNotExistYet) {
  const TempFolder folder;
  Recorder recorder(folder.At("srv/data/rules"));
  EXPECT_TRUE(recorder.WaitForStatus(absl::StatusCode::kNotFound));
  folder.Write("srv/data/rules/a.yaml", "1");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=1"));
}

TEST(RuleWatcher, ReportsASwapOfTheFolderItself) {
  const TempFolder folder;
  folder.Write("rules/a.yaml", "1");
  folder.Write("next/a.yaml", "2");
  Recorder recorder(folder.At("rules"));
  folder.Rename("rules", "old");
  folder.Rename("next", "rules");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=2"));
}

// The reference's layout: a runtime root that is a link, swapped as a whole.
TEST(RuleWatcher, ReportsASwapOfALinkOnTheWay) {
  const TempFolder folder;
  folder.Write("releases/1/config/a.yaml", "1");
  folder.Write("releases/2/config/a.yaml", "2");
  folder.Link("releases/1", "current");
  Recorder recorder(folder.At("current/config"));
  folder.Link("releases/2", "current_new");
  folder.Rename("current_new", "current");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=2"));
  folder.Write("releases/2/config/a.yaml", "3");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=3"));
  folder.Rename("releases/2", "releases/gone");
  folder.Write("releases/2/config/a.yaml", "4");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=4"));
}

TEST(RuleWatcher, ReportsChangesOfTheTargetsOfLinkedFiles) {
  const TempFolder folder;
  folder.Write("elsewhere/x.yaml", "1");
  std::filesystem::create_directory(folder.path() / "rules");
  folder.Link("../elsewhere/x.yaml", "rules/a.yaml");
  Recorder recorder(folder.At("rules"));
  folder.Write("elsewhere/x.yaml", "2");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=2"));
  folder.Write("elsewhere/y.yaml", "3");
  folder.Rename("elsewhere/y.yaml", "elsewhere/x.yaml");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=3"));
}

TEST(RuleWatcher, WatchesASingleFile) {
  const TempFolder folder;
  folder.Write("a.yaml", "1");
  Recorder recorder(folder.At("a.yaml"));
  folder.Write("a.yaml", "2");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=2"));
  folder.Write("b.yaml", "3");
  folder.Rename("b.yaml", "a.yaml");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=3"));
}

TEST(RuleWatcher, ReportsAtStartWhatTheCallerDoesNotHave) {
  const TempFolder folder;
  folder.Write("a.yaml", "1");
  int changes = 0;
  std::string content;
  {
    auto watcher = RuleWatcher::Start(folder.path(), {}, Recorder::Quick(),
                                      {[&](std::vector<RuleFile> files, const std::string&) {
                                         ++changes;
                                         content = files.at(0).content;
                                       },
                                       nullptr});
    ASSERT_TRUE(watcher.ok());
  }  // the first reading ends before the watcher does
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(content, "1");
}

// A caller that read the folder in vain has said so already.
TEST(RuleWatcher, IsSilentAboutTheFailureThatTheCallerKnows) {
  const TempFolder folder;
  const std::string path = folder.At("rules");
  for (const bool known : {true, false}) {
    int statuses = 0;
    const absl::Status failed = known ? ReadRuleFolder(path, {}).status() : absl::OkStatus();
    {
      auto watcher = RuleWatcher::Start(path, {"", failed}, Recorder::Quick(),
                                        {[](std::vector<RuleFile>, const std::string&) {},
                                         [&](const absl::Status&) { ++statuses; }});
      ASSERT_TRUE(watcher.ok());
    }  // the first reading ends before the watcher does
    EXPECT_EQ(statuses, known ? 0 : 1);
  }
}

TEST(RuleWatcher, SaysThatTheFolderCanBeReadAgainWhereTheCallerReadItInVain) {
  const TempFolder folder;
  const std::string path = folder.At("rules");
  const absl::Status failed = ReadRuleFolder(path, {}).status();
  folder.Write("rules/a.yaml", "1");
  std::vector<std::string> reports;
  {
    auto watcher = RuleWatcher::Start(
        path, {"", failed}, Recorder::Quick(),
        {[&](const std::vector<RuleFile>& files, const std::string&) {
           reports.push_back(files.at(0).content);
         },
         [&](const absl::Status& status) { reports.push_back(status.ToString()); }});
    ASSERT_TRUE(watcher.ok());
  }
  EXPECT_EQ(reports, (std::vector<std::string>{"1", "OK"}));
}

TEST(RuleWatcher, IsSilentWhenTheContentStaysTheSame) {
  const TempFolder folder;
  folder.Write("rules/a.yaml", "1");
  Recorder recorder(folder.At("rules"));
  folder.Write("same", "1");
  folder.Rename("same", "rules/a.yaml");  // not in place: a reader may see that half written
  std::filesystem::last_write_time(folder.path() / "rules/a.yaml",
                                   std::filesystem::file_time_type::min());
  folder.Write("rules/.hidden", "x");
  folder.Write("rules/a.yaml~", "x");
  folder.Write("beside", "x");
  recorder.watcher().Poke();
  // The next report is the next content: nothing came before it.
  folder.Write("rules/a.yaml", "2");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=2"));
  recorder.Stop();
  EXPECT_EQ(recorder.contents().front(), "a.yaml=1");
  for (size_t i = 1; i < recorder.hashes().size(); ++i) {
    EXPECT_NE(recorder.contents()[i], "a.yaml=1");
    EXPECT_NE(recorder.hashes()[i - 1], recorder.hashes()[i]);
  }
}

TEST(RuleWatcher, PokeReadsTheFolderWithoutAnyOtherSign) {
  const TempFolder folder;
  folder.Write("a.yaml", "1");
  RuleWatcherOptions options = Recorder::Quick();
  options.inotify = false;
  Recorder recorder(folder.path(), options);
  folder.Write("a.yaml", "2");
  recorder.watcher().Poke();
  EXPECT_TRUE(recorder.WaitFor("a.yaml=2"));
}

TEST(RuleWatcher, PollsWhereInotifyIsBlind) {
  const TempFolder folder;
  folder.Write("a.yaml", "1");
  RuleWatcherOptions options;
  options.inotify = false;
  options.poll_interval_ms = 5;
  Recorder recorder(folder.path(), options);
  folder.Write("a.yaml", "2");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=2"));
  folder.Write("a.yaml", "3");
  EXPECT_TRUE(recorder.WaitFor("a.yaml=3"));
}

TEST(RuleWatcher, ReadsUnderAStreamOfChanges) {
  const TempFolder folder;
  folder.Write("a.yaml", "1");
  RuleWatcherOptions options = Recorder::Quick();
  options.debounce_ms = 50;  // longer than the gap between two writes below
  Recorder recorder(folder.path(), options);
  const auto deadline = Now() + kDeadline;
  int writes = 0;
  while (recorder.contents().size() < 2 && Now() < deadline) {
    folder.Write("a.yaml", std::to_string(++writes));
  }
  EXPECT_GE(recorder.contents().size(), 2u);
}

TEST(RuleWatcher, StopsWhileChangesPour) {
  const TempFolder folder;
  folder.Write("a.yaml", "1");
  for (int round = 0; round < 20; ++round) {
    Recorder recorder(folder.path());
    folder.Write("a.yaml", std::to_string(round));
  }
}

// The stop may come before the thread has begun: it must not be lost in the first reading.
TEST(RuleWatcher, StopsAtOnceAfterStart) {
  const TempFolder folder;
  folder.Write("a.yaml", "1");
  const auto begin = Now();
  for (int round = 0; round < 200; ++round) {
    auto watcher = RuleWatcher::Start(folder.path(), {}, Recorder::Quick(),
                                      {[](std::vector<RuleFile>, const std::string&) {}, nullptr});
    ASSERT_TRUE(watcher.ok());
  }
  EXPECT_LT(Now() - begin, kDeadline);
}

// A reload that is never due must not cost processor time: no busy loop.
TEST(RuleWatcher, SleepsWhenNothingHappens) {
  const TempFolder folder;
  folder.Write("a.yaml", "1");
  Recorder recorder(folder.path());
  folder.Write("a.yaml", "2");
  ASSERT_TRUE(recorder.WaitFor("a.yaml=2"));
  const std::clock_t before = std::clock();
  // A wait for something that does not happen; only its processor time matters.
  Mutex mutex;
  std::condition_variable_any never;
  MutexLock lock(mutex);
  EXPECT_FALSE(never.wait_for(mutex, std::chrono::milliseconds(300), [] { return false; }));
  const double busy_ms = 1000.0 * static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  EXPECT_LT(busy_ms, 100);
}

}  // namespace
}  // namespace weir
