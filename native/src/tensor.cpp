// Section "tensor" of psc.h: making, sharing, describing and freeing tensors. Everything else is an operator.
#include "guard.h"
#include "handles.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>

namespace psc {

at::ScalarType scalar_type(int32_t dtype) {
  switch (dtype) {
    case PSC_FLOAT32: return at::kFloat;
    case PSC_FLOAT64: return at::kDouble;
    case PSC_FLOAT16: return at::kHalf;
    case PSC_BFLOAT16: return at::kBFloat16;
    case PSC_INT64: return at::kLong;
    case PSC_INT32: return at::kInt;
    case PSC_INT16: return at::kShort;
    case PSC_INT8: return at::kChar;
    case PSC_UINT8: return at::kByte;
    case PSC_BOOL: return at::kBool;
    default: TORCH_CHECK(false, "dtype code ", dtype, " is not one of psc.h");
  }
}

int32_t dtype_code(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return PSC_FLOAT32;
    case at::kDouble: return PSC_FLOAT64;
    case at::kHalf: return PSC_FLOAT16;
    case at::kBFloat16: return PSC_BFLOAT16;
    case at::kLong: return PSC_INT64;
    case at::kInt: return PSC_INT32;
    case at::kShort: return PSC_INT16;
    case at::kChar: return PSC_INT8;
    case at::kByte: return PSC_UINT8;
    case at::kBool: return PSC_BOOL;
    default: return PSC_DTYPE_OTHER;
  }
}

c10::Device device(int32_t type, int32_t index) {
  switch (type) {
    case PSC_DEVICE_CPU: return c10::Device(c10::kCPU);
    case PSC_DEVICE_CUDA: return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
    case PSC_DEVICE_MPS: return c10::Device(c10::kMPS, static_cast<c10::DeviceIndex>(index));
    default: TORCH_CHECK(false, "device type ", type, " is not one of PSC_DEVICE_*");
  }
}

int32_t memory_of(const at::Tensor &t) {
  bool rows = t.layout() == at::kStrided && !t.is_nested() && !t.is_quantized() && t.has_storage();
  if (!rows) return PSC_MEMORY_NONE;
  if (t.is_neg() || t.is_conj() || t._is_zerotensor()) return PSC_MEMORY_LAZY;
  return t.numel() == 0 || t.data_ptr() != nullptr ? PSC_MEMORY_PLAIN : PSC_MEMORY_NONE;
}

at::Tensor plain(const at::Tensor &t) {
  int32_t memory = memory_of(t);
  TORCH_CHECK(memory != PSC_MEMORY_NONE, "this tensor has no elements in rows (its layout is ", t.layout(),
              t.is_quantized() ? ", quantized" : "", "): make a dense one of it first");
  if (memory == PSC_MEMORY_PLAIN) return t.is_contiguous() ? t : t.contiguous();
  if (t._is_zerotensor()) return at::zeros(t.sizes(), t.options());
  return t.resolve_conj().resolve_neg().contiguous();
}

void require_plain(const at::Tensor &t, const char *what) {
  TORCH_CHECK(memory_of(t) == PSC_MEMORY_PLAIN, "this tensor has no memory that ", what,
              " could share, as its elements are not there as they are read: give it a copy() instead");
}

}  // namespace psc

namespace {

int32_t device_code(c10::DeviceType type) {
  if (type == c10::kCPU) return PSC_DEVICE_CPU;
  if (type == c10::kCUDA) return PSC_DEVICE_CUDA;
  if (type == c10::kMPS) return PSC_DEVICE_MPS;
  TORCH_CHECK(false, "a tensor on a device of the kind ", type, " cannot be used here");
}

at::IntArrayRef shape(const int64_t *sizes, int32_t rank) {
  TORCH_CHECK(rank >= 0 && rank <= PSC_MAX_RANK, "rank ", rank, " is outside 0..", PSC_MAX_RANK);
  return {sizes, static_cast<size_t>(rank)};
}

}  // namespace

int32_t psc_tensor_empty(int32_t dtype, const int64_t *sizes, int32_t rank, int32_t device_type, int32_t device_index,
                         psc_tensor **out) {
  *out = nullptr;
  return psc::guard([&] {
    auto options = at::TensorOptions(psc::scalar_type(dtype)).device(psc::device(device_type, device_index));
    *out = psc::own(at::empty(shape(sizes, rank), options));
  });
}

int32_t psc_tensor_wrap(void *data, int32_t dtype, const int64_t *sizes, int32_t rank, psc_tensor **out) {
  *out = nullptr;
  return psc::guard(
      [&] { *out = psc::own(at::from_blob(data, shape(sizes, rank), at::TensorOptions(psc::scalar_type(dtype)))); });
}

int32_t psc_tensor_alias(const psc_tensor *tensor, psc_tensor **out) {
  *out = nullptr;
  return psc::guard([&] { *out = psc::own(tensor->tensor); });
}

int32_t psc_tensor_describe(const psc_tensor *tensor, psc_tensor_info *info) {
  *info = {};
  return psc::guard([&] {
    const at::Tensor &t = tensor->tensor;
    TORCH_CHECK(t.dim() <= PSC_MAX_RANK, "a tensor of rank ", t.dim(), " is beyond the ", PSC_MAX_RANK, " of psc.h");
    TORCH_CHECK(!t.is_nested(), "a nested tensor has no one shape: take its parts by aten::unbind");
    info->dtype = psc::dtype_code(t.scalar_type());
    info->device_type = device_code(t.device().type());
    info->device_index = t.device().has_index() ? t.device().index() : 0;
    info->rank = static_cast<int32_t>(t.dim());
    info->inference = t.is_inference();
    info->elements = t.numel();
    info->memory = psc::memory_of(t);
    std::copy(t.sizes().begin(), t.sizes().end(), info->sizes);
    if (info->memory == PSC_MEMORY_NONE) return;
    info->contiguous = t.is_contiguous();
    info->bytes = static_cast<int64_t>(t.nbytes());
    std::copy(t.strides().begin(), t.strides().end(), info->strides);
    if (info->memory == PSC_MEMORY_PLAIN) info->address = reinterpret_cast<int64_t>(t.data_ptr());
  });
}

int32_t psc_tensor_host(const psc_tensor *tensor, int32_t dtype, psc_tensor **out) {
  *out = nullptr;
  return psc::guard([&] {
    c10::AutoGradMode off(false);
    auto type = psc::scalar_type(dtype);
    const at::Tensor &t = tensor->tensor;
    TORCH_CHECK(!t.is_complex(), "complex numbers are no ", type, ": take their parts by aten::view_as_real");
    at::Tensor rows = psc::plain(t.requires_grad() ? t.detach() : t);
    if (rows.scalar_type() != type) rows = rows.to(type);  // on its device: only the wanted dtype is copied to the host
    *out = psc::own(psc::plain(rows.is_cpu() ? rows : rows.to(at::kCPU)));
  });
}

void psc_tensor_free(psc_tensor *tensor) { delete static_cast<psc::OwnedTensor *>(tensor); }
