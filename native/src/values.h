// Converts arguments and results between psc_value and libtorch's stack, for operators and module methods.
#pragma once

#include "psc.h"

#include <ATen/core/function_schema.h>
#include <ATen/core/stack.h>

namespace psc {

// Checks the arguments against the schema (an error names the one that does not fit), adds defaults, pushes all.
// `first` is the schema argument that args[0] stands for: 1 for a method, whose self is already on the stack.
void push_arguments(const c10::FunctionSchema &schema, size_t first, const psc_value *args, int32_t count,
                    torch::jit::Stack &stack);

// Lays the stack out flat in results. If they do not fit, frees what was written and throws.
void pop_results(const torch::jit::Stack &stack, psc_value *results, int32_t capacity, int32_t *result_count);

}  // namespace psc
