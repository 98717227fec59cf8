// What the opaque handles of psc.h are made of, and the counts behind psc_live_handles().
#pragma once

#include "psc.h"

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <atomic>

namespace psc {

extern std::atomic<int64_t> live_handles[PSC_KIND_TRANSFER + 1];

// Counts itself in on construction and out on destruction, so that no path can forget.
template <int32_t kind>
struct Counted {
  Counted() { live_handles[kind].fetch_add(1, std::memory_order_relaxed); }
  ~Counted() { live_handles[kind].fetch_sub(1, std::memory_order_relaxed); }
  Counted(const Counted &) = delete;
  Counted &operator=(const Counted &) = delete;
};

// Whether the elements are in memory as they are read: a PSC_MEMORY_.
int32_t memory_of(const at::Tensor &tensor);

// The same, row-major and in memory as it is read; shared where it is that already.
at::Tensor plain(const at::Tensor &tensor);

// Complains unless it is; `what` would share the memory.
void require_plain(const at::Tensor &tensor, const char *what);

at::ScalarType scalar_type(int32_t dtype);
int32_t dtype_code(at::ScalarType type);
c10::Device device(int32_t type, int32_t index);

}  // namespace psc

struct psc_tensor {
  at::Tensor tensor;
};

namespace psc {

// A tensor handle that a caller owns. A hook's borrowed activation is a bare psc_tensor on the stack and is not
// counted.
struct OwnedTensor final : psc_tensor, Counted<PSC_KIND_TENSOR> {
  explicit OwnedTensor(at::Tensor t) : psc_tensor{std::move(t)} {}
};

// Memory that a caller may look into must not move: operators that would make more room in it (resize_, a result given
// as `out` that is too small) are refused by libtorch from here on.
inline psc_tensor *own(at::Tensor tensor) {
  if (tensor.has_storage()) {
    auto *storage = tensor.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl();
    if (storage->resizable()) storage->set_resizable(false);
  }
  return new OwnedTensor(std::move(tensor));
}

}  // namespace psc
