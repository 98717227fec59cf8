// Section "tensor" of psc.h, continued: copies to the host that are waited for later.
#include "guard.h"
#include "handles.h"

#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <optional>

struct psc_transfer final : psc::Counted<PSC_KIND_TRANSFER> {
  at::Tensor host;
  // Kept until the copy is done, so that the caller may free the tensor that it reads.
  at::Tensor source;
  std::optional<c10::Event> done;
};

int32_t psc_transfer_begin(const psc_tensor *tensor, psc_transfer **out) {
  *out = nullptr;
  return psc::guard([&] {
    auto transfer = std::make_unique<psc_transfer>();
    c10::AutoGradMode off(false);
    const at::Tensor source = psc::plain(tensor->tensor.requires_grad() ? tensor->tensor.detach() : tensor->tensor);
    if (source.device().is_cpu()) {
      transfer->host = source;
    } else {
      c10::DeviceGuard here(source.device());
      // Only a copy to page-locked memory can run while the host continues.
      transfer->host = at::empty(source.sizes(), source.options().device(at::kCPU).pinned_memory(true));
      transfer->source = source;
      transfer->host.copy_(source, /*non_blocking=*/true);
      transfer->done.emplace(source.device().type());
      transfer->done->record(c10::impl::VirtualGuardImpl(source.device().type()).getStream(source.device()));
    }
    *out = transfer.release();
  });
}

int32_t psc_transfer_finish(psc_transfer *transfer, psc_tensor **out) {
  *out = nullptr;
  return psc::guard([&] {
    if (transfer->done) transfer->done->synchronize();
    transfer->done.reset();
    transfer->source.reset();
    *out = psc::own(transfer->host);
  });
}

void psc_transfer_free(psc_transfer *transfer) { delete transfer; }
