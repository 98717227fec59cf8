// The hook operator and the hooks that are active on a thread.
#pragma once

#include "psc.h"

namespace psc {

// Registers lens::hook_point(Tensor, str) -> Tensor, the operator that the model's TorchScript calls at every hook
// point.
void register_hook_point();

// Makes these hooks (or none, if null) the thread's own until the end of the scope, then puts the former ones back.
class ActiveHooks {
 public:
  explicit ActiveHooks(const psc_hooks *hooks);
  ~ActiveHooks();
  ActiveHooks(const ActiveHooks &) = delete;
  ActiveHooks &operator=(const ActiveHooks &) = delete;

 private:
  const psc_hooks *former_;
};

}  // namespace psc
