// Operators that do in one pass over bfloat16 what takes several of libtorch's.
#pragma once

namespace psc {

// Registers them beside lens::hook_point; once in a process.
void register_kernels();

}  // namespace psc
