#pragma once

// Objects that are made when all others are out, and used again: once as many were out together as
// ever will be, nothing is allocated any more.
//
// Thread safety: none; the owner sees to it.

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

namespace weir {

template <typename T>
class Pool {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // One that is not out, as it was put back; where there is none, a new one made of `arguments`.
  template <typename... Arguments>
  T& Take(Arguments&&... arguments) {
    if (free_.empty()) {
      all_.push_back(std::make_unique<T>(std::forward<Arguments>(arguments)...));
      free_.reserve(all_.capacity());  // so that Put allocates nothing
      return *all_.back();
    }
    T& object = *free_.back();
    free_.pop_back();
    return object;
  }

  // REQUIRES: it is out.
  void Put(T& object) { free_.push_back(&object); }

  std::size_t out() const { return all_.size() - free_.size(); }

 private:
  std::vector<std::unique_ptr<T>> all_;
  std::vector<T*> free_;
};

}  // namespace weir
