// Section "op" of psc.h: one door to every operator of ATen's dispatcher, boxed.
#include "gradient.h"
#include "guard.h"
#include "memory.h"
#include "values.h"

#include <ATen/core/dispatch/Dispatcher.h>

#include <map>
#include <mutex>

struct psc_op {
  c10::OperatorHandle handle;
};

int32_t psc_op_find(const char *name, const char *overload, const psc_op **out) {
  *out = nullptr;
  return psc::guard([&] {
    // Operators live as long as the process, so their handles do too; a map node never moves.
    static std::mutex mutex;
    static std::map<std::pair<std::string, std::string>, psc_op> found;
    std::lock_guard<std::mutex> lock(mutex);
    auto key = std::make_pair(std::string(name), std::string(overload));
    auto known = found.find(key);
    if (known == found.end()) {
      auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
      TORCH_CHECK(handle.has_value(), "libtorch has no operator ", name, *overload ? "." : "", overload);
      known = found.emplace(key, psc_op{*handle}).first;
    }
    *out = &known->second;
  });
}

int32_t psc_op_schema(const psc_op *op, const char **text) {
  *text = nullptr;
  return psc::guard([&] { *text = psc::keep_text(toString(op->handle.schema())); });
}

int32_t psc_op_call(const psc_op *op, const psc_value *args, int32_t count, psc_value *results, int32_t capacity,
                    int32_t *result_count) {
  *result_count = 0;
  return psc::guard([&] {
    psc::CallGradMode mode;
    psc::CallMemory memory;
    torch::jit::Stack stack;
    psc::push_arguments(op->handle.schema(), 0, args, count, stack);
    op->handle.callBoxed(stack);
    psc::pop_results(stack, results, capacity, result_count);
  });
}
