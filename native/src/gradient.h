// Whether a thread's calls keep what gradients need.
#pragma once

#include <c10/core/GradMode.h>

namespace psc {

// The state that psc_grad_enable set for this thread; off until then, whatever libtorch's own default is.
bool gradients_enabled();

// Sets libtorch's grad mode to that for the length of a call, and puts back what was there.
class CallGradMode {
 public:
  CallGradMode() : mode_(gradients_enabled()) {}

 private:
  c10::AutoGradMode mode_;
};

}  // namespace psc
