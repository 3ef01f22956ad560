#pragma once

// Owns an object of a C library.

#include <memory>

namespace weir {

template <auto kFree>
struct Freeing {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};

// Handle<BIO, BIO_free_all>
template <typename T, auto kFree>
using Handle = std::unique_ptr<T, Freeing<kFree>>;

}  // namespace weir
