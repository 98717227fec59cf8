// Protects tensors whose shape and memory address callers have stored: operators can change both in place.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

namespace psc {

// The shapes and memory of some tensors before a call. They are restored at the end, even if the call throws: operators
// give `out` its new shape before they find that its memory cannot grow.
class Unchanged {
 public:
  Unchanged() = default;
  ~Unchanged() { put_back(); }
  Unchanged(const Unchanged &) = delete;
  Unchanged &operator=(const Unchanged &) = delete;

  void remember(const c10::IValue &value);

  // Remembers the parameters and attributes of a module, and those of its submodules.
  void remember(const c10::ivalue::Object &module);

  // Restores the tensors, and throws if one had changed.
  void require(const std::string &who) const;

 private:
  struct Former {
    at::Tensor tensor;
    std::vector<int64_t> sizes, strides;
    int64_t offset;
    c10::Storage storage;  // held, so that freed memory cannot become another tensor's at the same address
  };
  const Former *put_back() const noexcept;

  std::vector<Former> formers_;
};

}  // namespace psc
