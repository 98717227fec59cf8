// Operators that are not called from here, and tensors that are not given to them, since they end the process.
#pragma once

#include <ATen/core/stack.h>

#include <string>

namespace psc {

// Why an operator ("aten::add", without overload) is refused; nullptr if it is not.
const char *refusal(const std::string &name);

// Throws if an argument is a quantized, nested or MKL-DNN tensor, or a list with one, and the operator is none of those
// that make ordinary tensors of them; and where an operator that is needed here does not look at all that it is given.
void require_safe(const std::string &name, const torch::jit::Stack &arguments);

}  // namespace psc
