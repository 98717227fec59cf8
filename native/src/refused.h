// Refuses operators, and tensors as their arguments, that would end the process.
#pragma once

#include <ATen/core/stack.h>

#include <string>

namespace psc {

// Returns why an operator ("aten::add", without overload) is refused; nullptr if it is not.
const char *refusal(const std::string &name);

// Throws if an argument is a quantized, nested or MKL-DNN tensor, or a list with such a tensor, unless the operator
// makes ordinary tensors of them; also throws for unsafe arguments of needed operators that do not check them
// themselves.
void require_safe(const std::string &name, const torch::jit::Stack &arguments);

}  // namespace psc
