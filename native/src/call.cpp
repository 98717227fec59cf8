// The state of a call, as psc_call in psc.h describes it.
#include "call.h"

#include <c10/core/Allocator.h>

#include <algorithm>
#include <unordered_map>

namespace psc {

// Receives libtorch's reports of memory, in the place of libtorch's own profiler.
struct MemoryWatch final : c10::MemoryReportingInfoBase {
  int64_t allocated = 0, in_use = 0, peak = 0;
  std::unordered_map<void *, int64_t> seen;  // memory allocated before the call does not count when it is freed

  void reportMemoryUsage(void *address, int64_t bytes, size_t, size_t, c10::Device) override {
    if (bytes > 0) {
      allocated += bytes;
      in_use += bytes;
      seen[address] = bytes;
      peak = std::max(peak, in_use);
    } else if (auto found = seen.find(address); found != seen.end()) {
      in_use -= found->second;
      seen.erase(found);
    }
  }
  bool memoryProfilingEnabled() const override { return true; }
};

CallState::CallState(psc_call *call) : call_(call), gradients_(call->gradients != 0) {
  call->allocated = call->peak = 0;
  if (call->watch == 0) return;
  watch_ = std::make_shared<MemoryWatch>();
  watching_.emplace(c10::DebugInfoKind::PROFILER_STATE, watch_);
}

CallState::~CallState() {
  if (!watch_) return;
  call_->allocated = watch_->allocated;
  call_->peak = watch_->peak;
}

}  // namespace psc
