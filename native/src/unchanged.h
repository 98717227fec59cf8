// Callers remember a tensor's shape and where its memory is; operators can change both in place.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

namespace psc {

// What some tensors were before a call. Each is put back to that at the end, also where the call throws: operators
// give `out` its new shape before they find that its memory cannot grow.
class Unchanged {
 public:
  Unchanged() = default;
  ~Unchanged() { put_back(); }
  Unchanged(const Unchanged &) = delete;
  Unchanged &operator=(const Unchanged &) = delete;

  void remember(const c10::IValue &value);

  // The parameters and attributes of a module, and those of the modules in it.
  void remember(const c10::ivalue::Object &module);

  // Complains if one has become another; puts back what it was.
  void require(const std::string &who) const;

 private:
  struct Former {
    at::Tensor tensor;
    std::vector<int64_t> sizes, strides;
    int64_t offset;
    c10::Storage storage;  // without this, memory that was let go could be that of the next tensor, at the same address
  };
  const Former *put_back() const noexcept;

  std::vector<Former> formers_;
};

}  // namespace psc
