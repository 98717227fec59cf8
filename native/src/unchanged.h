// Callers remember a tensor's shape and where its memory is; operators can change both in place.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

namespace psc {

// What some tensors were before a call.
class Unchanged {
 public:
  void remember(const c10::IValue &value);

  // Complains if one has become another; puts back what it was.
  void require(const std::string &who) const;

 private:
  struct Former {
    at::Tensor tensor;
    std::vector<int64_t> sizes, strides;
    int64_t offset;
    c10::Storage storage;  // without this, memory that was let go could be that of the next tensor, at the same address
  };
  std::vector<Former> formers_;
};

}  // namespace psc
