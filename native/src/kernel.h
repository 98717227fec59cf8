// Operators that do in one pass over bfloat16 what takes several operators of libtorch.
#pragma once

namespace psc {

// Registers the operators in the namespace lens, beside lens::hook_point; called once in a process.
void register_kernels();

}  // namespace psc
