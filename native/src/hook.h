// The hook operator and the hooks that are active on a thread.
#pragma once

#include "psc.h"
#include "unchanged.h"

namespace psc {

// Registers lens::hook_point(Tensor, str) -> Tensor, the operator that the model's TorchScript calls at every hook
// point.
void register_hook_point();

// Makes these hooks (or none, if null) the thread's own until the end of the scope, then puts the former ones back.
class ActiveHooks {
 public:
  // What a hook keeps of an activation is remembered: the method that goes on could change it.
  ActiveHooks(const psc_hooks *hooks, Unchanged &kept);
  ~ActiveHooks();
  ActiveHooks(const ActiveHooks &) = delete;
  ActiveHooks &operator=(const ActiveHooks &) = delete;

 private:
  const psc_hooks *former_;
  Unchanged *former_kept_;
};

}  // namespace psc
