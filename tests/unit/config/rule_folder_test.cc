#include "limiter/config/rule_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/unit/config/temp_folder.h"

namespace weir {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// "name=content", or "name!reason" for a file left out.
std::vector<std::string> Read(const std::string& path, const RuleFolderOptions& options = {}) {
  const absl::StatusOr<std::vector<RuleFile>> files = ReadRuleFolder(path, options);
  if (!files.ok()) return {std::string(files.status().ToString())};
  std::vector<std::string> out;
  for (const RuleFile& file : *files) {
    out.push_back(file.skip_reason.empty() ? file.name + "=" + file.content
                                           : file.name + "!" + file.skip_reason);
  }
  return out;
}

absl::StatusCode CodeOf(const std::string& path, const RuleFolderOptions& options = {}) {
  return ReadRuleFolder(path, options).status().code();
}

TEST(RuleFolder, AnEmptyFolderGivesNoFiles) {
  const TempFolder folder;
  EXPECT_THAT(Read(folder.path()), IsEmpty());
}

TEST(RuleFolder, ReadsEveryFileBelowItSortedByDottedName) {
  const TempFolder folder;
  folder.Write("b.yaml", "B");
  folder.Write("team/search/z.yml", "Z");
  folder.Write("a", "");
  EXPECT_THAT(Read(folder.path()), ElementsAre("a=", "b.yaml=B", "team.search.z.yml=Z"));
  EXPECT_THAT(Read(folder.At("") + "/"), ElementsAre("a=", "b.yaml=B", "team.search.z.yml=Z"));
}

TEST(RuleFolder, RemembersWhereAFileWasRead) {
  const TempFolder folder;
  folder.Write("team/a.yaml", "A");
  const auto files = ReadRuleFolder(folder.path(), {});
  ASSERT_TRUE(files.ok());
  ASSERT_EQ(files->size(), 1u);
  EXPECT_EQ((*files)[0].path, folder.At("team/a.yaml"));
}

TEST(RuleFolder, SkipsDotfilesAndEditorLeftoversWithAReason) {
  const TempFolder folder;
  for (const char* name : {".hidden.yaml", "a.yaml~", "b.swp", "c.tmp", "d.bak", "e.orig"}) {
    folder.Write(name, "x");
  }
  folder.Write("good.yaml", "G");
  folder.Write(".git/config", "x");
  folder.Link("user@host.123", ".#lock");
  EXPECT_THAT(Read(folder.path()),
              ElementsAre(".hidden.yaml!its name begins with a dot",
                          "a.yaml~!its name ends with '~'", "b.swp!its name ends with '.swp'",
                          "c.tmp!its name ends with '.tmp'", "d.bak!its name ends with '.bak'",
                          "e.orig!its name ends with '.orig'", "good.yaml=G"));
}

TEST(RuleFolder, SkipsWhatIsNoRegularFileWithoutBlocking) {
  const TempFolder folder;
  ASSERT_EQ(mkfifo(folder.At("pipe").c_str(), 0600), 0);
  EXPECT_THAT(Read(folder.path()), ElementsAre("pipe!it is not a regular file"));
}

TEST(RuleFolder, ReadsAConfigMapMountWithoutWarnings) {
  const TempFolder folder;
  folder.WriteConfigMap("rules", "2024_01_01", "one");
  EXPECT_THAT(Read(folder.At("rules")), ElementsAre("rules.yaml=one"));
  folder.WriteConfigMap("rules", "2024_01_02", "two");
  EXPECT_THAT(Read(folder.At("rules")), ElementsAre("rules.yaml=two"));
}

TEST(RuleFolder, FollowsLinksToFilesAndFolders) {
  const TempFolder folder;
  folder.Write("elsewhere/x.yaml", "X");
  folder.Write("rules/a.yaml", "A");
  folder.Link("../elsewhere", "rules/more");
  folder.Link("../elsewhere/x.yaml", "rules/b.yaml");
  EXPECT_THAT(Read(folder.At("rules")), ElementsAre("a.yaml=A", "b.yaml=X", "more.x.yaml=X"));
}

TEST(RuleFolder, ALoopOfLinksIsAnError) {
  const TempFolder folder;
  folder.Write("a.yaml", "A");
  folder.Link(".", "self");
  EXPECT_EQ(CodeOf(folder.path()), absl::StatusCode::kResourceExhausted);
}

TEST(RuleFolder, ReadsASingleFile) {
  const TempFolder folder;
  folder.Write("one.yaml", "1");
  folder.Write("two.yaml", "2");
  EXPECT_THAT(Read(folder.At("one.yaml")), ElementsAre("one.yaml=1"));
}

TEST(RuleFolder, AMissingFolderIsNotFound) {
  const TempFolder folder;
  EXPECT_EQ(CodeOf(folder.At("gone")), absl::StatusCode::kNotFound);
  EXPECT_THAT(Read(folder.At("gone")), ElementsAre(HasSubstr(folder.At("gone"))));
}

// A rule that cannot be read must not lift its limit.
TEST(RuleFolder, ALinkWithoutTargetIsAnError) {
  const TempFolder folder;
  folder.Write("a.yaml", "A");
  folder.Link("gone.yaml", "b.yaml");
  EXPECT_EQ(CodeOf(folder.path()), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(Read(folder.path()), ElementsAre(HasSubstr("b.yaml")));
}

TEST(RuleFolder, BoundsAreErrors) {
  const TempFolder folder;
  folder.Write("a.yaml", "12345");
  folder.Write("b.yaml", "12345");
  EXPECT_EQ(CodeOf(folder.path(), {.files_max = 2}), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(folder.path(), {.files_max = 1}), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf(folder.path(), {.folder_bytes_max = 10}), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(folder.path(), {.folder_bytes_max = 9}), absl::StatusCode::kResourceExhausted);
  folder.Write("sub/c.yaml", "");
  EXPECT_EQ(CodeOf(folder.path(), {.depth_max = 1}), absl::StatusCode::kOk);
  EXPECT_EQ(CodeOf(folder.path(), {.depth_max = 0}), absl::StatusCode::kResourceExhausted);
}

TEST(RuleFolder, ALongFileIsCutSoThatTheParserRefusesIt) {
  const TempFolder folder;
  folder.Write("a.yaml", "123456789");
  EXPECT_THAT(Read(folder.path(), {.file_bytes_max = 4}), ElementsAre("a.yaml=12345"));
  folder.Write("a.yaml", std::string(200'000, 'x'));
  EXPECT_THAT(Read(folder.path()), ElementsAre("a.yaml=" + std::string(200'000, 'x')));
}

RuleFile File(std::string name, std::string content) {
  return {std::move(name), std::move(content), "", ""};
}

TEST(HashRuleFiles, IsSha256OfNamesAndContents) {
  EXPECT_EQ(HashRuleFiles({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::vector<RuleFile> files = {File("a", "x"), File("b", "y")};
  EXPECT_EQ(HashRuleFiles(files).size(), 64u);
  EXPECT_EQ(HashRuleFiles(files), HashRuleFiles(files));
}

TEST(HashRuleFiles, TellsApartWhatDiffers) {
  const std::vector<std::vector<RuleFile>> sets = {{},
                                                   {File("a", "x")},
                                                   {File("a", "y")},
                                                   {File("b", "x")},
                                                   {File("ax", "")},
                                                   {File("", "ax")},
                                                   {File("a", "x"), File("b", "y")},
                                                   {File("a", "xb"), File("", "y")}};
  for (size_t i = 0; i < sets.size(); ++i) {
    for (size_t j = 0; j < sets.size(); ++j) {
      EXPECT_EQ(HashRuleFiles(sets[i]) == HashRuleFiles(sets[j]), i == j) << i << " " << j;
    }
  }
}

TEST(HashRuleFiles, IgnoresPathsAndSkippedFiles) {
  const std::vector<RuleFile> one = {{"a", "x", "/p/a", ""}, {"b~", "", "/p/b~", "skipped"}};
  const std::vector<RuleFile> other = {{"a", "x", "/q/a", ""}};
  EXPECT_EQ(HashRuleFiles(one), HashRuleFiles(other));
}

}  // namespace
}  // namespace weir
