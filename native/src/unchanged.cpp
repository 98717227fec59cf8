// Detects that a call has changed the shape or the memory of a tensor in place.
#include "unchanged.h"

#include <ATen/core/ivalue_inl.h>

namespace psc {

void Unchanged::remember(const c10::IValue &value) {
  if (value.isTensorList()) {
    for (const at::Tensor &tensor : value.toTensorVector()) remember(tensor);
    return;
  }
  if (!value.isTensor() || !value.toTensor().defined()) return;
  const at::Tensor &tensor = value.toTensor();
  if (tensor.is_nested() || tensor.layout() != at::kStrided || !tensor.has_storage()) return;
  formers_.push_back({tensor, tensor.sizes().vec(), tensor.strides().vec(), tensor.storage_offset(), tensor.storage()});
}

void Unchanged::remember(const c10::ivalue::Object &module) {
  for (const c10::IValue &slot : module.slots()) {
    // Modules form a tree. Objects of other classes may refer to each other in a circle.
    if (slot.isModule())
      remember(slot.toObjectRef());
    else
      remember(slot);
  }
}

// Does not allocate: the tensor has had these sizes before.
const Unchanged::Former *Unchanged::put_back() const noexcept {
  const Former *changed = nullptr;
  for (const Former &former : formers_) {
    const at::Tensor &now = former.tensor;
    bool same = now.sizes() == at::IntArrayRef(former.sizes) && now.strides() == at::IntArrayRef(former.strides) &&
                now.storage_offset() == former.offset &&
                now.storage().unsafeGetStorageImpl() == former.storage.unsafeGetStorageImpl();
    if (same) continue;
    if (!changed) changed = &former;
    try {
      at::TensorImpl *tensor = now.unsafeGetTensorImpl();
      bool allowed = tensor->allow_tensor_metadata_change();
      tensor->set_allow_tensor_metadata_change(true);
      tensor->set_storage_keep_dtype(former.storage);
      tensor->set_sizes_and_strides(former.sizes, former.strides, former.offset);
      tensor->set_allow_tensor_metadata_change(allowed);
    } catch (...) {
      // The tensor stays changed, and the caller reports it as changed anyway.
    }
  }
  return changed;
}

void Unchanged::require(const std::string &who) const {
  const Former *changed = put_back();
  TORCH_CHECK(!changed, who, " would change the shape or the memory of a tensor of shape ",
              at::IntArrayRef(changed->sizes),
              " in place: call the operator that gives a new one, and give `out` the result's shape");
}

}  // namespace psc
