// Counts libtorch's work in this process, on the CPU and on all threads, for tests: operators by name, bytes of
// allocations, and floating-point operations of products (two for each multiplication and addition).
// Compiled with NDEBUG, as libtorch is: without it RecordFunction has another layout.
#include <ATen/record_function.h>
#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <string>

#define COUNTERS_API extern "C" __attribute__((visibility("default")))

namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> bytes{0}, flops{0}, operators{0};
std::mutex lock;
std::map<std::string, int64_t> names;

class CountingAllocator final : public c10::Allocator {
 public:
  explicit CountingAllocator(c10::Allocator *real) : real_(real) {}
  c10::DataPtr allocate(size_t size) override {
    if (counting) bytes += static_cast<int64_t>(size);
    return real_->allocate(size);
  }
  c10::DeleterFnPtr raw_deleter() const override { return real_->raw_deleter(); }
  void copy_data(void *to, const void *from, size_t size) const override { real_->copy_data(to, from, size); }

 private:
  c10::Allocator *const real_;
};

int64_t product(const at::Tensor &a, const at::Tensor &b) { return 2 * a.numel() * b.size(-1); }

int64_t flops_of(const std::string &name, c10::ArrayRef<const c10::IValue> in) {
  if (name == "aten::mm" || name == "aten::bmm") return product(in[0].toTensor(), in[1].toTensor());
  if (name == "aten::addmm" || name == "aten::baddbmm") return product(in[1].toTensor(), in[2].toTensor());
  if (name == "aten::_scaled_dot_product_flash_attention_for_cpu") {
    return 2 * 2 * in[0].toTensor().numel() * in[1].toTensor().size(-2);  // scores, and weighted values
  }
  return 0;
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction &function) {
  if (!counting) return nullptr;
  const std::string name = function.name();
  operators++;
  // In a call from TorchScript, the inputs are the interpreter's whole stack, and the operator's own are at its end.
  const auto inputs = function.inputs();
  flops += flops_of(name, inputs.slice(inputs.size() - std::min(function.num_inputs(), inputs.size())));
  std::lock_guard<std::mutex> hold(lock);
  names[name]++;
  return nullptr;
}

}  // namespace

// Starts counting, from zero.
COUNTERS_API void counters_start() {
  static std::once_flag once;
  std::call_once(once, [] {
    static CountingAllocator allocator(c10::GetCPUAllocator());
    c10::SetCPUAllocator(&allocator, 100);
    at::addGlobalCallback(at::RecordFunctionCallback(&begin).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  });
  bytes = flops = operators = 0;
  {
    std::lock_guard<std::mutex> hold(lock);
    names.clear();
  }
  counting = true;
}

COUNTERS_API void counters_stop() { counting = false; }
COUNTERS_API int64_t counters_bytes() { return bytes; }
COUNTERS_API int64_t counters_flops() { return flops; }
COUNTERS_API int64_t counters_operators() { return operators; }

// Returns the counts of operators, a name and a number on each line. The text is valid until the thread's next call.
COUNTERS_API const char *counters_report() {
  thread_local std::string text;
  text.clear();
  std::lock_guard<std::mutex> hold(lock);
  for (const auto &[name, count] : names) text += name + " " + std::to_string(count) + "\n";
  return text.c_str();
}
