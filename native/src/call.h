// State that is set for the duration of a call and restored after it: gradients, and memory accounting.
#pragma once

#include "psc.h"

#include <c10/core/GradMode.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <memory>
#include <optional>

namespace psc {

struct MemoryWatch;

class CallState {
 public:
  explicit CallState(psc_call *call);
  ~CallState();
  CallState(const CallState &) = delete;
  CallState &operator=(const CallState &) = delete;

 private:
  psc_call *call_;
  c10::AutoGradMode gradients_;
  std::shared_ptr<MemoryWatch> watch_;
  std::optional<c10::DebugInfoGuard> watching_;
};

}  // namespace psc
