// Section "runtime" of psc.h: versions, threads, live handles.
#include "guard.h"
#include "handles.h"
#include "hook.h"
#include "kernel.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/version.h>

#include <atomic>
#include <mutex>

namespace psc {
std::atomic<int64_t> live_handles[PSC_KIND_TRANSFER + 1];

namespace {
std::mutex threads_mutex;
int32_t threads_wanted = 0;
std::atomic<uint64_t> threads_settings{0};
thread_local uint64_t threads_followed = 0;
}  // namespace

void follow_threads() {
  if (threads_followed == threads_settings.load(std::memory_order_acquire)) return;
  std::lock_guard<std::mutex> lock(threads_mutex);
  threads_followed = threads_settings.load(std::memory_order_relaxed);
  at::set_num_threads(threads_wanted);
}
}  // namespace psc

int32_t psc_abi_version(void) { return PSC_ABI_VERSION; }

const char *psc_header_sha256(void) { return PSC_HEADER_SHA256; }

const char *psc_built_for(void) { return TORCH_VERSION; }

int32_t psc_runtime_init(void) {
  return psc::guard([] {
    static std::once_flag once;
    std::call_once(once, [] {
      psc::register_hook_point();
      psc::register_kernels();
      // The profiling executor would recompile the model for every new shape.
      torch::jit::getProfilingMode() = false;
      torch::jit::getExecutorMode() = false;
      // Without this check, operators read where the indices of a sparse tensor point, even outside its memory.
      at::globalContext().setCheckSparseTensorInvariants(true);
    });
  });
}

int32_t psc_runtime_describe(const char **text) {
  *text = nullptr;
  return psc::guard([&] { *text = psc::keep_text(at::show_config() + at::get_parallel_info()); });
}

int32_t psc_threads_get(int32_t *threads) {
  *threads = 0;
  return psc::guard([&] { *threads = at::get_num_threads(); });
}

int32_t psc_threads_set(int32_t threads) {
  return psc::guard([&] {
    TORCH_CHECK(threads > 0, "the number of threads must be positive, not ", threads);
    std::lock_guard<std::mutex> lock(psc::threads_mutex);
    psc::threads_wanted = threads;
    psc::threads_followed = psc::threads_settings.load(std::memory_order_relaxed) + 1;
    psc::threads_settings.store(psc::threads_followed, std::memory_order_release);
    at::set_num_threads(threads);
  });
}

int32_t psc_seed(int64_t seed) {
  return psc::guard([&] { at::manual_seed(static_cast<uint64_t>(seed)); });
}

int64_t psc_live_handles(int32_t kind) {
  if (kind < PSC_KIND_TENSOR || kind > PSC_KIND_TRANSFER) return -1;
  return psc::live_handles[kind].load(std::memory_order_relaxed);
}
