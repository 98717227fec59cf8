// Section "runtime" of psc.h, continued: what calls allocate.
#include "memory.h"

#include "guard.h"

#include <c10/core/Allocator.h>

#include <algorithm>
#include <memory>
#include <unordered_map>

namespace {

thread_local bool watching = false;
thread_local int64_t allocated = 0, in_use = 0, peak = 0;
thread_local std::unordered_map<void *, int64_t> seen;  // what was there before does not count when it is freed

// Where libtorch's own profiler would hear of memory.
struct Reporter final : c10::MemoryReportingInfoBase {
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

}  // namespace

psc::CallMemory::CallMemory() {
  if (watching) guard_.emplace(c10::DebugInfoKind::PROFILER_STATE, std::make_shared<Reporter>());
}

int32_t psc_memory_watch(void) {
  watching = true;
  allocated = in_use = peak = 0;
  seen.clear();
  return PSC_OK;
}

int32_t psc_memory_watched(int64_t *all, int64_t *most) {
  watching = false;
  *all = allocated;
  *most = peak;
  return PSC_OK;
}
