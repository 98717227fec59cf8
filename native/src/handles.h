// The types behind the opaque handles of psc.h, and the counts behind psc_live_handles().
#pragma once

#include "psc.h"

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <atomic>

namespace psc {

extern std::atomic<int64_t> live_handles[PSC_KIND_TRANSFER + 1];

// Counts live objects in its constructor and destructor, so that no code path can forget to.
template <int32_t kind>
struct Counted {
  Counted() { live_handles[kind].fetch_add(1, std::memory_order_relaxed); }
  ~Counted() { live_handles[kind].fetch_sub(1, std::memory_order_relaxed); }
  Counted(const Counted &) = delete;
  Counted &operator=(const Counted &) = delete;
};

// Returns whether the elements lie in memory as they are read, as a PSC_MEMORY_ constant.
int32_t memory_of(const at::Tensor &tensor);

// Returns the tensor row-major and with its elements in memory as they are read; shares memory that is so already.
at::Tensor plain(const at::Tensor &tensor);

// Throws unless the elements lie in memory as they are read; `what` names, for the message, who would share the memory.
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

// Makes a handle for the caller. Memory that a caller may read must not move: from here on libtorch refuses operators
// that would enlarge it (resize_, an `out` that is too small).
inline psc_tensor *own(at::Tensor tensor) {
  if (tensor.has_storage()) {
    auto *storage = tensor.unsafeGetTensorImpl()->unsafe_storage().unsafeGetStorageImpl();
    if (storage->resizable()) storage->set_resizable(false);
  }
  return new OwnedTensor(std::move(tensor));
}

}  // namespace psc
