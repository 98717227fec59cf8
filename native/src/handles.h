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

at::ScalarType scalar_type(int32_t dtype);
int32_t dtype_code(at::ScalarType type);
c10::Device device(int32_t type, int32_t index);

}  // namespace psc

struct psc_tensor {
  at::Tensor tensor;
};

namespace psc {

// A tensor handle that a caller owns. A hook's borrowed activation is a bare psc_tensor on the stack and is not counted.
struct OwnedTensor final : psc_tensor, Counted<PSC_KIND_TENSOR> {
  explicit OwnedTensor(at::Tensor t) : psc_tensor{std::move(t)} {}
};

inline psc_tensor *own(at::Tensor tensor) { return new OwnedTensor(std::move(tensor)); }

}  // namespace psc
