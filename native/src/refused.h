// Operators that are not called from here, since they end the process.
#pragma once

#include <string>

namespace psc {

// Why an operator ("aten::add", without overload) is refused; nullptr if it is not.
const char *refusal(const std::string &name);

}  // namespace psc
