// Section "gradient" of psc.h: computes gradients.
#include "guard.h"
#include "handles.h"

#include <c10/core/AutogradState.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <memory>
#include <vector>

namespace {
// Makes the autograd engine stay on the calling thread until the end of the scope.
class CallersThread {
 public:
  CallersThread() : former_(c10::AutogradState::get_tls_state().get_multithreading_enabled()) { set(false); }
  ~CallersThread() { set(former_); }
  CallersThread(const CallersThread &) = delete;
  CallersThread &operator=(const CallersThread &) = delete;

 private:
  static void set(bool enabled) { c10::AutogradState::get_tls_state().set_multithreading_enabled(enabled); }
  const bool former_;
};

}  // namespace

int32_t psc_grad_leaf(const psc_tensor *tensor, psc_tensor **out) {
  *out = nullptr;
  return psc::guard([&] { *out = psc::own(tensor->tensor.detach().requires_grad_(true)); });
}

int32_t psc_grad_flows(const psc_tensor *tensor, int32_t *flows) {
  *flows = 0;
  return psc::guard([&] { *flows = tensor->tensor.requires_grad() ? 1 : 0; });
}

int32_t psc_grad_compute(const psc_tensor *output, psc_tensor *const *inputs, int32_t count, psc_tensor **gradients) {
  for (int32_t i = 0; i < count; i++) gradients[i] = nullptr;
  return psc::guard([&] {
    TORCH_CHECK(output->tensor.numel() == 1, "gradients are of one number, and this tensor has ",
                output->tensor.numel());
    TORCH_CHECK(output->tensor.requires_grad(),
                "the number depends on none of the tensors that gradients are asked of");
    std::vector<at::Tensor> wanted;
    for (int32_t i = 0; i < count; i++) wanted.push_back(inputs[i]->tensor);
    c10::AutoGradMode on(true);
    // libtorch runs the backward pass of operators on a GPU on a thread for that GPU, unless it is told to stay on this
    // thread, which hooks and their scopes belong to.
    CallersThread here;
    auto found = torch::autograd::grad({output->tensor}, wanted, {}, false, false, true);
    std::vector<std::unique_ptr<psc::OwnedTensor>> owned;
    for (auto &gradient : found)
      owned.emplace_back(gradient.defined() ? static_cast<psc::OwnedTensor *>(psc::own(gradient)) : nullptr);
    for (int32_t i = 0; i < count; i++) gradients[i] = owned[i].release();
  });
}
