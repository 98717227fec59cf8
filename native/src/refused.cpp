// The operators that are refused, by kind and by name.
#include "refused.h"

#include <ATen/ops/result_type.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <unordered_set>

namespace {

// Namespaces of internal parts of libtorch, which rely on their callers to have checked the arguments.
constexpr std::string_view INSIDE[] = {"_c10d_functional",
                                       "_c10d_functional_autograd",
                                       "_dtensor",
                                       "_quantized",
                                       "_test",
                                       "c10d",
                                       "inductor",
                                       "mkl",
                                       "mkldnn",
                                       "mkldnn_prepacked",
                                       "onednn",
                                       "prepacked",
                                       "profiler",
                                       "quantization",
                                       "quantized",
                                       "sparse",
                                       "static_runtime",
                                       "symm_mem"};

// Prefixes of internal operators within aten: the engines below torch.quantization, torch.optim, torch.fft and
// torch.quasirandom, and operators whose names say that they are unsafe.
constexpr std::string_view INSIDE_ATEN[] = {"aten::_dyn_quant_",    "aten::_fft_",    "aten::_fused_",
                                            "aten::_sobol_engine_", "aten::_unsafe_", "aten::fbgemm_",
                                            "aten::quantized_"};

constexpr const char *INSIDE_ONLY = "belongs to libtorch's inside, which does not look at what it is given";

// Operators of aten that read or write outside their arguments' memory, divide by zero or call a null function, where
// an argument does not fit. OperatorFuzzTest found them by calling them.
const std::unordered_set<std::string> &trusting() {
  static const std::unordered_set<std::string> names{
#include "refused_names.h"
  };
  return names;
}

// libtorch's kernels for quantized, nested and MKL-DNN tensors rely on arguments made by libtorch's own modules. Only
// these operators are allowed: they make ordinary tensors of such tensors, or describe them.
const std::unordered_set<std::string> &undoing() {
  static const std::unordered_set<std::string> names{"aten::clone",
                                                     "aten::dequantize",
                                                     "aten::detach",
                                                     "aten::int_repr",
                                                     "aten::q_per_channel_axis",
                                                     "aten::q_per_channel_scales",
                                                     "aten::q_per_channel_zero_points",
                                                     "aten::q_scale",
                                                     "aten::q_zero_point",
                                                     "aten::to_dense",
                                                     "aten::to_padded_tensor",
                                                     "aten::unbind"};
  return names;
}

const char *special(const at::Tensor &tensor) {
  if (!tensor.defined()) return nullptr;
  if (tensor.is_quantized()) return "quantized: make an ordinary one of it by aten::dequantize first";
  if (tensor.is_mkldnn()) return "laid out for MKL-DNN: make an ordinary one of it by aten::to_dense first";
  if (tensor.is_nested()) return "nested: take its parts by aten::unbind first";
  return nullptr;
}

// Checks what Python's embedding_bag checks before it calls the operator, which reads the first and the last offset.
void require_bags(const torch::jit::Stack &arguments) {
  for (size_t i : {1, 2})
    TORCH_CHECK(arguments[i].isTensor() && arguments[i].toTensor().dim() == 1, "argument '",
                i == 1 ? "indices" : "offsets", "' should have one dimension");
}

// Where query heads share key heads, the operator divides their number by that of the key heads, which may be 0.
void require_heads(const torch::jit::Stack &arguments) {
  bool shared = arguments[7].isBool() && arguments[7].toBool();
  for (size_t i : {1, 2})
    TORCH_CHECK(!shared || !arguments[i].isTensor() || arguments[i].toTensor().dim() < 3 ||
                    arguments[i].toTensor().size(-3) > 0,
                "argument '", i == 1 ? "key" : "value", "' should have heads");
}

// Operators that divide integers: the smallest integer divided by -1 exceeds the largest and ends the process.
bool divides(const std::string &name) {
  static const std::unordered_set<std::string> names{
      "aten::div",           "aten::div_", "aten::divide", "aten::divide_",   "aten::floor_divide",
      "aten::floor_divide_", "aten::fmod", "aten::fmod_",  "aten::remainder", "aten::remainder_"};
  return names.count(name) != 0;
}

bool is_whole(const c10::IValue &value) {
  return value.isInt() || (value.isTensor() && value.toTensor().defined() && value.toTensor().is_cpu() &&
                           value.toTensor().layout() == at::kStrided && !value.toTensor().is_quantized() &&
                           at::isIntegralType(value.toTensor().scalar_type(), false));
}

bool holds(const c10::IValue &value, int64_t number) {
  if (value.isInt()) return value.toInt() == number;
  return value.toTensor().to(at::kLong).eq(number).any().item<bool>();
}

void require_quotients(const torch::jit::Stack &arguments) {
  const c10::IValue &dividend = arguments[0], &divisor = arguments[1];
  if (!is_whole(dividend) || !is_whole(divisor) || !holds(divisor, -1)) return;
  at::ScalarType kind = at::kLong;
  if (dividend.isTensor())
    kind = divisor.isTensor() ? at::result_type(dividend.toTensor(), divisor.toTensor())
                              : at::result_type(dividend.toTensor(), divisor.toScalar());
  else if (divisor.isTensor())
    kind = at::result_type(dividend.toScalar(), divisor.toTensor());
  TORCH_CHECK(!holds(dividend, kind == at::kLong ? INT64_MIN : INT32_MIN),
              "the smallest whole number is to be divided by -1, which gives one that is too large");
}

}  // namespace

void psc::require_safe(const std::string &name, const torch::jit::Stack &arguments) {
  const char *found = nullptr;
  for (const auto &argument : arguments) {
    if (argument.isTensor())
      found = special(argument.toTensor());
    else if (argument.isList() && !argument.isIntList() && !argument.isDoubleList() && !argument.isBoolList())
      for (const c10::IValue &item : argument.toListRef())
        if (item.isTensor() && !found) found = special(item.toTensor());
    if (found) break;
  }
  if (name == "aten::embedding_bag") require_bags(arguments);
  if (name == "aten::scaled_dot_product_attention") require_heads(arguments);
  // Without a rounding mode, div computes fractions.
  bool rounded =
      name.rfind("aten::div", 0) != 0 ||
      std::any_of(arguments.begin(), arguments.end(), [](const c10::IValue &each) { return each.isString(); });
  if (divides(name) && rounded) require_quotients(arguments);
  TORCH_CHECK(!found || undoing().count(name) != 0, "an argument is a tensor that is ", found);
}

const char *psc::refusal(const std::string &name) {
  size_t colons = name.find("::");
  if (colons == std::string::npos) return nullptr;
  std::string_view space(name.data(), colons);
  if (std::find(std::begin(INSIDE), std::end(INSIDE), space) != std::end(INSIDE)) return INSIDE_ONLY;
  if (space != "aten") return nullptr;
  // Derivatives are called by the autograd engine, with the arguments that the operators had.
  if (name.find("_backward") != std::string::npos)
    return "is a derivative, which does not look at what it is given: ask for gradients instead";
  for (std::string_view prefix : INSIDE_ATEN)
    if (std::string_view(name).substr(0, prefix.size()) == prefix) return INSIDE_ONLY;
  constexpr std::string_view UNSAFE = "_unsafe";
  if (name.size() > UNSAFE.size() && name.compare(name.size() - UNSAFE.size(), UNSAFE.size(), UNSAFE) == 0)
    return INSIDE_ONLY;
  if (trusting().count(name) != 0) return "does not look at all that it is given, and may end the process";
  return nullptr;
}
