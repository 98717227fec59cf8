// Section "op" of psc.h: calls any operator of ATen's dispatcher, boxed.
#include "call.h"
#include "guard.h"
#include "refused.h"
#include "unchanged.h"
#include "values.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <map>
#include <mutex>

struct psc_op {
  explicit psc_op(c10::OperatorHandle found) : handle(std::move(found)) {
    const auto &arguments = handle.schema().arguments();
    for (size_t i = 0; i < arguments.size(); i++)
      if (arguments[i].alias_info() && arguments[i].alias_info()->isWrite()) written.push_back(i);
  }

  c10::OperatorHandle handle;
  std::vector<size_t> written;  // the indices of the arguments that the operator changes
};

namespace {

// Refuses operators that exist to change a tensor's shape or memory in place. Unchanged could detect their changes
// afterwards, as it does for other operators, but could not always restore the tensor.
void require_values_only(const c10::OperatorHandle &handle) {
  TORCH_CHECK(!handle.hasTag(at::Tag::inplace_view) && handle.schema().name() != "aten::set_data",
              handle.schema().name(),
              " changes a tensor's shape or memory in place, and others may remember the ones it had: call the "
              "operator that gives a new tensor");
}

// Gives memory to tensors of zeros without memory, which only some operators support; others read at address 0. Tensors
// that are written to stay as they are, and libtorch refuses them.
void give_memory(torch::jit::Stack &stack, const std::vector<size_t> &written) {
  for (size_t i = 0; i < stack.size(); i++) {
    if (!stack[i].isTensor() || !stack[i].toTensor().defined() || !stack[i].toTensor()._is_zerotensor()) continue;
    if (std::find(written.begin(), written.end(), i) == written.end()) stack[i] = stack[i].toTensor().clone();
  }
}

}  // namespace

int32_t psc_op_find(const char *name, const char *overload, const psc_op **out) {
  *out = nullptr;
  return psc::guard([&] {
    // Operators live as long as the process, so their handles do too; a map node never moves.
    static std::mutex mutex;
    static std::map<std::pair<std::string, std::string>, psc_op> found;
    std::lock_guard<std::mutex> lock(mutex);
    auto key = std::make_pair(std::string(name), std::string(overload));
    const char *why = psc::refusal(key.first);
    TORCH_CHECK(!why, name, " cannot be called from here: it ", why);
    auto known = found.find(key);
    if (known == found.end()) {
      auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
      TORCH_CHECK(handle.has_value(), "libtorch has no operator ", name, *overload ? "." : "", overload);
      known = found.emplace(key, psc_op(*handle)).first;
    }
    *out = &known->second;
  });
}

int32_t psc_op_schema(const psc_op *op, const char **text) {
  *text = nullptr;
  return psc::guard([&] { *text = psc::keep_text(toString(op->handle.schema())); });
}

int32_t psc_op_names(const char **text) {
  *text = nullptr;
  return psc::guard([&] {
    std::string names;
    for (const auto &name : c10::Dispatcher::singleton().getAllOpNames())
      if (!psc::refusal(name.name))
        names += name.overload_name.empty() ? name.name + "\n" : name.name + "." + name.overload_name + "\n";
    *text = psc::keep_text(std::move(names));
  });
}

int32_t psc_op_call(const psc_op *op, psc_call *call, const psc_value *args, int32_t count, psc_value *results,
                    int32_t capacity, int32_t *result_count) {
  *result_count = 0;
  return psc::guard([&] {
    psc::CallState state(call);
    torch::jit::Stack stack;
    psc::push_arguments(op->handle.schema(), 0, args, count, stack);
    give_memory(stack, op->written);
    psc::require_safe(op->handle.schema().name(), stack);
    psc::Unchanged unchanged;
    if (!op->written.empty()) {
      require_values_only(op->handle);
      for (size_t i : op->written) unchanged.remember(stack[i]);
    }
    op->handle.callBoxed(stack);
    unchanged.require(op->handle.schema().name());
    psc::pop_results(stack, results, capacity, result_count);
  });
}
