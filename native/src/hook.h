// The hook operator and the hooks that are active on a thread.
#pragma once

#include "psc.h"
#include "unchanged.h"

namespace psc {

// Registers lens::hook_point(Tensor, str) -> Tensor, the operator that the model's TorchScript calls at every hook
// point.
void register_hook_point();

// Makes these hooks (or none, if null) active on the thread until the end of the scope, then restores the former ones.
class ActiveHooks {
 public:
  // `kept` remembers the activations that hooks keep, which the rest of the method could change.
  ActiveHooks(const psc_hooks *hooks, Unchanged &kept);
  ~ActiveHooks();
  ActiveHooks(const ActiveHooks &) = delete;
  ActiveHooks &operator=(const ActiveHooks &) = delete;

 private:
  const psc_hooks *former_;
  Unchanged *former_kept_;
};

}  // namespace psc
