// Adding up what libtorch's allocators are asked for during a call, where somebody watches.
#pragma once

#include <c10/util/ThreadLocalDebugInfo.h>

#include <optional>

namespace psc {

// Hears of this thread's allocations for the length of a call, if psc_memory_watch was called; costs a flag otherwise.
class CallMemory {
 public:
  CallMemory();

 private:
  std::optional<c10::DebugInfoGuard> guard_;
};

}  // namespace psc
