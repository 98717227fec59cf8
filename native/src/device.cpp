// Section "device" of psc.h: counts and describes devices, and manages their memory.
#include "guard.h"
#include "handles.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <c10/core/Allocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <dlfcn.h>

#include <memory>

namespace {

int32_t count_of(int32_t device_type) {
  switch (device_type) {
    case PSC_DEVICE_CPU: return 1;
    case PSC_DEVICE_CUDA: return static_cast<int32_t>(at::detail::getCUDAHooks().deviceCount());
    case PSC_DEVICE_MPS: return at::hasMPS() ? 1 : 0;
    default: TORCH_CHECK(false, "device type ", device_type, " is not one of PSC_DEVICE_*");
  }
}

c10::Device existing(int32_t device_type, int32_t device_index) {
  const int32_t count = count_of(device_type);
  TORCH_CHECK_INDEX(device_index >= 0 && device_index < count, "device ", device_index, " is not one of ", count);
  return psc::device(device_type, device_index);
}

// Finds a function of NVIDIA's driver, which libtorch has loaded if it runs on CUDA: libtorch's public headers give
// neither the name nor the memory size of a device.
template <class Function>
Function driver_function(const char *name) {
  for (const char *library : {"libcuda.so.1", "libtorch_cuda.so"}) {
    // The handle is not closed: the library was loaded before and stays loaded.
    if (void *loaded = dlopen(library, RTLD_LAZY | RTLD_NOLOAD)) {
      if (void *found = dlsym(loaded, name)) return reinterpret_cast<Function>(found);
    }
  }
  return nullptr;
}

// Receives the totals that CUDA's allocator reports with every allocation to the memory profiler of the thread.
struct Totals final : c10::MemoryReportingInfoBase {
  int64_t allocated = 0, reserved = 0;

  void reportMemoryUsage(void *, int64_t bytes, size_t total_allocated, size_t total_reserved,
                         c10::Device device) override {
    if (device.is_cpu() || bytes <= 0) return;
    allocated = static_cast<int64_t>(total_allocated) - bytes;
    reserved = static_cast<int64_t>(total_reserved);
  }
  bool memoryProfilingEnabled() const override { return true; }
};

// More bytes than any device has, and fewer than libtorch refuses to allocate.
constexpr int64_t kTooMuch = int64_t{1} << 50;

}  // namespace

int32_t psc_device_count(int32_t device_type, int32_t *count) {
  *count = 0;
  return psc::guard([&] { *count = count_of(device_type); });
}

int32_t psc_device_describe(int32_t device_type, int32_t device_index, const char **name, int64_t *bytes) {
  *name = nullptr;
  *bytes = 0;
  return psc::guard([&] {
    const c10::Device device = existing(device_type, device_index);
    char text[256] = "";
    if (device.is_cuda()) {
      // The driver counts the devices that are visible, as libtorch does. Both signatures are part of its stable
      // interface.
      const auto get_name = driver_function<int (*)(char *, int, int)>("cuDeviceGetName");
      const auto total = driver_function<int (*)(size_t *, int)>("cuDeviceTotalMem_v2");
      size_t size = 0;
      if (get_name == nullptr || get_name(text, sizeof text - 1, device_index) != 0) text[0] = 0;
      if (total != nullptr && total(&size, device_index) == 0) *bytes = static_cast<int64_t>(size);
    }
    *name = psc::keep_text(text);
  });
}

int32_t psc_device_memory(int32_t device_type, int32_t device_index, int64_t *allocated, int64_t *reserved) {
  *allocated = *reserved = 0;
  return psc::guard([&] {
    const c10::Device device = existing(device_type, device_index);
    if (device.is_cpu()) return;
    const auto totals = std::make_shared<Totals>();
    {
      c10::DebugInfoGuard listening(c10::DebugInfoKind::PROFILER_STATE, totals);
      at::empty({1}, at::TensorOptions(at::kByte).device(device));
    }
    *allocated = totals->allocated;
    *reserved = totals->reserved;
  });
}

int32_t psc_device_trim(int32_t device_type, int32_t device_index) {
  return psc::guard([&] {
    const c10::Device device = existing(device_type, device_index);
    if (device.is_cpu()) return;
    // libtorch's CPU-only headers declare no function that empties the cache of CUDA's allocator, but the allocator
    // empties it before it reports that memory is exhausted.
    try {
      at::empty({kTooMuch}, at::TensorOptions(at::kByte).device(device));
    } catch (const c10::OutOfMemoryError &) {
    }
  });
}

int32_t psc_device_synchronize(int32_t device_type, int32_t device_index) {
  return psc::guard([&] {
    const c10::Device device = existing(device_type, device_index);
    if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
  });
}
