#pragma once

// A temporary folder for tests that need real files, removed with its contents at the end.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace weir {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "weir_test_XXXXXX").string();
    EXPECT_NE(mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::string At(const std::string& name) const { return (path_ / name).string(); }

  // Writes in place, creating folders on the way.
  void Write(const std::string& name, const std::string& content) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream stream(path_ / name, std::ios::binary | std::ios::trunc);
    stream << content;
    EXPECT_TRUE(stream.flush()) << name;
  }
  void Link(const std::string& target, const std::string& name) const {
    std::filesystem::create_symlink(target, path_ / name);
  }
  void Rename(const std::string& from, const std::string& to) const {
    std::filesystem::rename(path_ / from, path_ / to);
  }
  void Remove(const std::string& name) const { std::filesystem::remove_all(path_ / name); }

  // What the kubelet makes of a ConfigMap with one file: `..data` links to a folder with a date,
  // and the file links into `..data`.
  void WriteConfigMap(const std::string& folder, const std::string& date,
                      const std::string& content) const {
    Write(folder + "/.." + date + "/rules.yaml", content);
    Link(".." + date, folder + "/..data_tmp");
    Rename(folder + "/..data_tmp", folder + "/..data");
    if (!std::filesystem::is_symlink(path_ / folder / "rules.yaml")) {
      Link("..data/rules.yaml", folder + "/rules.yaml");
    }
  }

 private:
  std::filesystem::path path_;
};

}  // namespace weir
