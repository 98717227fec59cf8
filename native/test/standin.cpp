// A stand-in for libtorch_cuda.so beside a CPU-only libtorch, for tests only. Tensors report that they are on cuda:0 or
// cuda:1, libtorch refuses to mix them with CPU tensors and with each other, and kernels run on the processor. Code
// that fails on a GPU because a tensor was left on the host fails here too; waits, copies and launches, which make code
// slow on a GPU, are counted here. The stand-in shows neither wrong CUDA kernels, nor races, nor time.
//
// Like a GPU it has its own memory, with a limit; like PyTorch's allocator it keeps freed memory. After an asynchronous
// copy to page-locked memory, that holds garbage until the copy is waited for. With STANDIN_PROTECT=1 only kernels can
// access device memory: any other access ends the process. STANDIN_LIMIT sets the bytes of each device; STANDIN_REPORT
// names a file to which the counts are appended at exit.
#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/SDPBackend.h>
#include <ATen/TensorIterator.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/Copy.h>
#include <ATen/native/transformers/attention.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_as_complex_native.h>
#include <ATen/ops/view_as_real_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#define STANDIN_API extern "C" __attribute__((visibility("default")))

namespace {

constexpr int kDevices = 2;
constexpr size_t kRegion = size_t{96} << 30;  // address space, not memory
constexpr size_t kRounded = 512;
constexpr size_t kLarge = 1 << 20;

thread_local int kernel_depth = 0;  // operators called inside a kernel are not counted as the program's
thread_local c10::DeviceIndex device_index = 0;

// ----------------------------------------------------------------------------------------------------------- counts

class Counts {
 public:
  void add(const std::string &name, int64_t by = 1) {
    std::lock_guard<std::mutex> hold(lock_);
    counts_[name] += by;
  }
  int64_t get(const std::string &name) {
    std::lock_guard<std::mutex> hold(lock_);
    auto found = counts_.find(name);
    return found == counts_.end() ? 0 : found->second;
  }
  void at_least(const std::string &name, int64_t value) {
    std::lock_guard<std::mutex> hold(lock_);
    counts_[name] = std::max(counts_[name], value);
  }
  void clear() {
    std::lock_guard<std::mutex> hold(lock_);
    counts_.clear();
  }
  std::string report() {
    std::lock_guard<std::mutex> hold(lock_);
    std::string text;
    for (const auto &[name, count] : counts_) text += name + " " + std::to_string(count) + "\n";
    return text;
  }

 private:
  std::mutex lock_;
  std::map<std::string, int64_t> counts_;
};

Counts &counts() {
  static auto *all = new Counts();  // never destroyed: threads may count while the process ends
  return *all;
}

void count_wait(const char *why) {
  counts().add("waits");
  counts().add(std::string("wait:") + why);
}

struct AtExit {
  ~AtExit() {
    const char *path = std::getenv("STANDIN_REPORT");
    FILE *file = path ? std::fopen(path, "a") : nullptr;
    if (!file) return;
    std::fputs(counts().report().c_str(), file);
    std::fclose(file);
  }
} at_exit;

// ----------------------------------------------------------------------------------------------------------- memory

int64_t from_environment(const char *name, int64_t otherwise) {
  const char *text = std::getenv(name);
  return text && *text ? std::atoll(text) : otherwise;
}

std::string amount(size_t bytes) {
  char text[32];
  if (bytes >= size_t{1} << 30)
    std::snprintf(text, sizeof text, "%.2f GiB", bytes / 1073741824.0);
  else if (bytes >= 1 << 20)
    std::snprintf(text, sizeof text, "%.2f MiB", bytes / 1048576.0);
  else
    std::snprintf(text, sizeof text, "%.2f KiB", bytes / 1024.0);
  return text;
}

struct Block {
  size_t bytes;
  int device;
};

// The memory of both devices, in one region, so that all of it can be protected at once.
class Memory {
 public:
  std::atomic<int64_t> limit{from_environment("STANDIN_LIMIT", int64_t{8} << 30)};

  Memory() : protect_(from_environment("STANDIN_PROTECT", 0) != 0) {
    void *got = mmap(nullptr, kRegion, access(false), MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    TORCH_CHECK(got != MAP_FAILED, "the stand-in cannot reserve its memory");
    base_ = static_cast<char *>(got);
  }

  void *allocate(size_t wanted, int device) {
    const size_t bytes = (wanted + kRounded - 1) / kRounded * kRounded;
    std::unique_lock<std::mutex> hold(lock_);
    auto &idle = idle_[device][bytes];
    char *at;
    if (!idle.empty()) {
      at = idle.back();
      idle.pop_back();
    } else {
      if (bytes > static_cast<size_t>(limit) || reserved_[device] + bytes > static_cast<size_t>(limit))
        release_idle(device);
      if (bytes > static_cast<size_t>(limit) || reserved_[device] + bytes > static_cast<size_t>(limit))
        refuse(wanted, device);
      at = carve(bytes);
      reserved_[device] += bytes;
    }
    live_[at] = {bytes, device};
    allocated_[device] += bytes;
    const size_t total = allocated_[device], reserved = reserved_[device];
    hold.unlock();
    counts().add("allocated_bytes", static_cast<int64_t>(bytes));
    counts().at_least("peak_bytes", static_cast<int64_t>(total));
    c10::reportMemoryUsageToProfiler(at, static_cast<int64_t>(bytes), total, reserved,
                                     c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(device)));
    return at;
  }

  void release(void *pointer) {
    std::unique_lock<std::mutex> hold(lock_);
    auto found = live_.find(static_cast<char *>(pointer));
    if (found == live_.end()) {
      std::fputs("stand-in: device memory is freed twice\n", stderr);
      std::abort();
    }
    const Block block = found->second;
    live_.erase(found);
    allocated_[block.device] -= block.bytes;
    if (block.bytes >= kLarge) discard(static_cast<char *>(pointer), block.bytes);
    idle_[block.device][block.bytes].push_back(static_cast<char *>(pointer));
    const size_t total = allocated_[block.device], reserved = reserved_[block.device];
    hold.unlock();
    c10::reportMemoryUsageToProfiler(pointer, -static_cast<int64_t>(block.bytes), total, reserved,
                                     c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(block.device)));
  }

  // Returns the device of a pointer into memory that is in use; -1 for any other pointer.
  int device_of(const void *pointer) {
    std::lock_guard<std::mutex> hold(lock_);
    auto after = live_.upper_bound(const_cast<char *>(static_cast<const char *>(pointer)));
    if (after == live_.begin()) return -1;
    --after;
    return static_cast<const char *>(pointer) < after->first + after->second.bytes ? after->second.device : -1;
  }

  // Lets kernels access the memory until as many have left as entered.
  void enter() {
    if (!protect_) return;
    std::lock_guard<std::mutex> hold(protection_lock_);
    if (inside_++ == 0) mprotect(base_, kRegion, access(true));
  }
  void leave() {
    if (!protect_) return;
    std::lock_guard<std::mutex> hold(protection_lock_);
    if (--inside_ == 0) mprotect(base_, kRegion, access(false));
  }

 private:
  int access(bool kernel) const { return kernel || !protect_ ? PROT_READ | PROT_WRITE : PROT_NONE; }

  // Gives whole pages back to the system, except those that a neighbour uses too.
  static void discard(char *at, size_t bytes) {
    static const uintptr_t page = sysconf(_SC_PAGESIZE);
    const uintptr_t first = (reinterpret_cast<uintptr_t>(at) + page - 1) / page * page;
    const uintptr_t end = (reinterpret_cast<uintptr_t>(at) + bytes) / page * page;
    if (first < end) madvise(reinterpret_cast<void *>(first), end - first, MADV_DONTNEED);
  }

  char *carve(size_t bytes) {
    // Released memory is reused by a request that fits it exactly or splits it.
    for (auto hole = holes_.lower_bound(bytes); hole != holes_.end();) {
      char *at = hole->second;
      const size_t rest = hole->first - bytes;
      holes_.erase(hole);
      if (rest > 0) holes_.emplace(rest, at + bytes);
      return at;
    }
    TORCH_CHECK(used_ + bytes <= kRegion, "the stand-in's address space is used up");
    char *at = base_ + used_;
    used_ += bytes;
    return at;
  }

  void release_idle(int device) {
    for (auto &[bytes, blocks] : idle_[device]) {
      for (char *at : blocks) {
        discard(at, bytes);
        holes_.emplace(bytes, at);
        reserved_[device] -= bytes;
      }
      blocks.clear();
    }
  }

  [[noreturn]] void refuse(size_t wanted, int device) {
    const size_t all = static_cast<size_t>(limit), kept = reserved_[device];
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate ", amount(wanted), ". GPU ",
                     device, " has a total capacity of ", amount(all), " of which ",
                     amount(all > kept ? all - kept : 0), " is free. (stand-in)");
    std::abort();
  }

  const bool protect_;
  char *base_;
  size_t used_ = 0;
  int64_t inside_ = 0;
  std::mutex lock_, protection_lock_;
  std::map<char *, Block> live_;
  std::multimap<size_t, char *> holes_;
  std::array<std::map<size_t, std::vector<char *>>, kDevices> idle_;
  std::array<size_t, kDevices> allocated_{}, reserved_{};
};

Memory &memory() {
  static auto *all = new Memory();
  return *all;
}

struct Kernel {
  Kernel() {
    if (kernel_depth++ == 0) memory().enter();
  }
  ~Kernel() {
    if (--kernel_depth == 0) memory().leave();
  }
};

void release(void *pointer) {
  if (pointer) memory().release(pointer);
}

struct DeviceAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void *got = bytes == 0 ? nullptr : memory().allocate(bytes, device_index);
    return {got, got, &release, c10::Device(c10::kCUDA, device_index)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void *to, const void *from, size_t bytes) const override {
    Kernel inside;
    default_copy_data(to, from, bytes);
  }
} device_allocator;

// Host memory that is reported as page-locked.
std::mutex pinned_lock;
std::map<const char *, size_t> pinned;

void release_pinned(void *pointer) {
  if (!pointer) return;
  {
    std::lock_guard<std::mutex> hold(pinned_lock);
    pinned.erase(static_cast<const char *>(pointer));
  }
  std::free(pointer);
}

struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void *got = bytes == 0 ? nullptr : std::aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (got) {
      std::lock_guard<std::mutex> hold(pinned_lock);
      pinned[static_cast<const char *>(got)] = bytes;
    }
    return {got, got, &release_pinned, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release_pinned; }
  void copy_data(void *to, const void *from, size_t bytes) const override { default_copy_data(to, from, bytes); }
} pinned_allocator;

bool is_pinned(const void *pointer) {
  std::lock_guard<std::mutex> hold(pinned_lock);
  auto after = pinned.upper_bound(static_cast<const char *>(pointer));
  if (after == pinned.begin()) return false;
  --after;
  return static_cast<const char *>(pointer) < after->first + after->second;
}

// ------------------------------------------------------------------------------------------------ unfinished copies

struct Pending {
  int64_t number;
  at::Tensor from, to;
};

// The pending copies of both devices, in order.
class Queue {
 public:
  // Fills the target with garbage, which finish() replaces.
  void copy_later(const at::Tensor &from, const at::Tensor &to) {
    std::memset(to.data_ptr(), 0xa5, to.nbytes());
    std::lock_guard<std::mutex> hold(lock_);
    pending_.push_back({++last_, from.clone(), to});
  }
  int64_t last() {
    std::lock_guard<std::mutex> hold(lock_);
    return last_;
  }
  bool finished(int64_t number) {
    std::lock_guard<std::mutex> hold(lock_);
    return pending_.empty() || pending_.front().number > number;
  }
  void finish(int64_t number) {
    for (;;) {
      Pending next;
      {
        std::lock_guard<std::mutex> hold(lock_);
        if (pending_.empty() || pending_.front().number > number) return;
        next = std::move(pending_.front());
        std::memcpy(next.to.data_ptr(), next.from.data_ptr(), next.to.nbytes());
        pending_.pop_front();
      }
    }
  }
  void finish() { finish(INT64_MAX); }

 private:
  std::mutex lock_;
  int64_t last_ = 0;
  std::deque<Pending> pending_;
};

Queue &queue() {
  static auto *all = new Queue();
  return *all;
}

// ----------------------------------------------------------------------------------------------- devices and events

struct Guard final : c10::impl::DeviceGuardImplInterface {
  static constexpr c10::DeviceType static_type = c10::kCUDA;

  c10::DeviceType type() const override { return c10::kCUDA; }
  c10::Device getDevice() const override { return {c10::kCUDA, device_index}; }
  c10::Device exchangeDevice(c10::Device device) const override {
    const c10::Device before = getDevice();
    setDevice(device);
    return before;
  }
  void setDevice(c10::Device device) const override {
    TORCH_CHECK(device.is_cuda() && device.index() < kDevices, "CUDA error: invalid device ordinal");
    uncheckedSetDevice(device);
  }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.index() >= 0) device_index = device.index();
  }
  c10::DeviceIndex deviceCount() const noexcept override { return kDevices; }

  c10::Stream getStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream getDefaultStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream exchangeStream(c10::Stream stream) const override {
    return c10::Stream(c10::Stream::DEFAULT, stream.device());
  }
  bool queryStream(const c10::Stream &) const override { return queue().finished(queue().last()); }
  void synchronizeStream(const c10::Stream &) const override {
    count_wait("stream");
    queue().finish();
  }
  void synchronizeDevice(c10::DeviceIndex) const override {
    count_wait("device");
    queue().finish();
  }
  void recordDataPtrOnStream(const c10::DataPtr &, const c10::Stream &) const override {}

  void record(void **event, const c10::Stream &, c10::DeviceIndex, c10::EventFlag) const override {
    if (!*event) *event = new int64_t;
    *static_cast<int64_t *>(*event) = queue().last();
  }
  void block(void *, const c10::Stream &) const override {}  // there is one stream
  bool queryEvent(void *event) const override { return !event || queue().finished(*static_cast<int64_t *>(event)); }
  void synchronizeEvent(void *event) const override {
    if (!event) return;
    count_wait("event");
    queue().finish(*static_cast<int64_t *>(event));
  }
  void destroyEvent(void *event, c10::DeviceIndex) const noexcept override { delete static_cast<int64_t *>(event); }
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard);

struct CUDAHooks final : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  c10::DeviceIndex deviceCount() const override { return kDevices; }
  c10::DeviceIndex current_device() const override { return device_index; }
  c10::DeviceIndex getCurrentDevice() const override { return device_index; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::Allocator *getPinnedMemoryAllocator() const override { return &pinned_allocator; }
  c10::Allocator *getCUDADeviceAllocator() const override { return &device_allocator; }
  bool isPinnedPtr(const void *pointer) const override { return is_pinned(pointer); }
  c10::Device getDeviceFromPtr(void *pointer) const override {
    const int device = memory().device_of(pointer);
    TORCH_CHECK(device >= 0, "the pointer lies in no device's memory");
    return {c10::kCUDA, static_cast<c10::DeviceIndex>(device)};
  }
  void deviceSynchronize(c10::DeviceIndex) const override {
    count_wait("device");
    queue().finish();
  }
  std::string showConfig() const override { return "  - CUDA stand-in on the processor\n"; }
  const at::Generator &getDefaultGenerator(c10::DeviceIndex) const override {
    return at::detail::getDefaultCPUGenerator();
  }
};
using at::CUDAHooksRegistry;
using at::RegistererCUDAHooksRegistry;
REGISTER_CUDA_HOOKS(CUDAHooks);

// ---------------------------------------------------------------------------------------------------------- kernels

// Returns a CPU tensor over a device tensor's memory, for a kernel to read.
at::Tensor on_host(const at::TensorBase &tensor) {
  if (!tensor.is_cuda()) return at::Tensor(tensor);
  auto options = at::TensorOptions(tensor.scalar_type()).device(c10::kCPU);
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(), [](void *) {}, options);
}

at::Tensor empty_on(c10::Device device, at::IntArrayRef sizes, at::ScalarType type) {
  c10::OptionalDeviceGuard here(device);
  return at::detail::empty_generic(sizes, &device_allocator, c10::DispatchKeySet(c10::DispatchKey::CUDA), type,
                                   std::nullopt);
}

// Copies a kernel's result to a tensor on the device.
at::Tensor on_device(const at::Tensor &made, c10::Device device) {
  c10::OptionalDeviceGuard here(device);
  auto moved = at::detail::empty_strided_generic(made.sizes(), made.strides(), &device_allocator,
                                                 c10::DispatchKeySet(c10::DispatchKey::CUDA), made.scalar_type());
  on_host(moved).copy_(made);
  return moved;
}

const std::set<std::string> kDataDependent = {
    "aten::nonzero",  "aten::masked_select",     "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive",
    "aten::bincount", "aten::repeat_interleave", "aten::equal"};

// Runs every operator that has no implementation of its own here: counts it, checks it, and computes it on the
// processor over the device's memory.
void run_kernel(const c10::OperatorHandle &op, torch::jit::Stack *stack) {
  const auto &schema = op.schema();
  const size_t first = stack->size() - schema.arguments().size();
  std::optional<c10::Device> device;
  std::vector<std::pair<at::Tensor, at::Tensor>> seen;  // a tensor of the device, and the CPU tensor over its memory
  bool bool_index = false;

  auto moved = [&](const at::Tensor &tensor) -> at::Tensor {
    if (!tensor.defined()) return tensor;
    if (!tensor.is_cuda()) {
      const bool may_be_on_host = tensor.dim() == 0 || schema.name() == "aten::index" ||
                                  schema.name() == "aten::index_put_" || schema.name() == "aten::_index_put_impl_";
      TORCH_CHECK(may_be_on_host || kernel_depth > 0,
                  "Expected all tensors to be on the same device, but found at least two devices, cuda:", device_index,
                  " and cpu! (", schema.name(), ")");
      return tensor;
    }
    if (!device) device = tensor.device();
    TORCH_CHECK(*device == tensor.device(),
                "Expected all tensors to be on the same device, but found at least two devices, ", *device, " and ",
                tensor.device(), "! (", schema.name(), ")");
    // An empty tensor may be an `out` argument, which the kernel enlarges.
    at::Tensor host =
        tensor.numel() == 0 ? at::empty(tensor.sizes(), tensor.options().device(c10::kCPU)) : on_host(tensor);
    seen.emplace_back(tensor, host);
    return host;
  };

  for (size_t i = first; i < stack->size(); i++) {
    c10::IValue &value = (*stack)[i];
    if (value.isTensor()) {
      value = moved(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor &each : value.toTensorVector()) list.push_back(moved(each));
      value = list;
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> list;
      for (const std::optional<at::Tensor> &each : value.toOptionalTensorVector()) {
        if (each && each->scalar_type() == at::kBool) bool_index = true;
        list.push_back(each ? std::optional<at::Tensor>(moved(*each)) : std::nullopt);
      }
      value = list;
    } else if (value.isDevice() && value.toDevice().is_cuda()) {
      if (!device) device = value.toDevice();
      value = c10::Device(c10::kCPU);
    }
  }
  if (!device) device = c10::Device(c10::kCUDA, device_index);
  if (!device->has_index()) device = c10::Device(c10::kCUDA, device_index);

  if (kernel_depth == 0) {
    counts().add("kernels");
    counts().add(schema.overload_name().empty() ? schema.name() : schema.name() + "." + schema.overload_name());
    if (bool_index || kDataDependent.count(schema.name())) {
      count_wait("data");
      queue().finish();
    }
  }
  Kernel inside;
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);

  for (const auto &[original, host] : seen) {
    if (host.sizes() == original.sizes()) continue;
    original.resize_(host.sizes());
    on_host(original).copy_(host);
  }
  auto back = [&](const at::Tensor &result) -> at::Tensor {
    if (!result.defined()) return result;
    for (const auto &[original, host] : seen) {
      if (result.is_same(host)) return original;
      if (result.numel() > 0 && host.numel() > 0 && result.storage().data() == host.storage().data()) {
        return original.as_strided(result.sizes(), result.strides(),
                                   original.storage_offset() + result.storage_offset());
      }
    }
    return on_device(result, *device);
  };
  const size_t returned = stack->size() - schema.returns().size();
  for (size_t i = returned; i < stack->size(); i++) {
    c10::IValue &value = (*stack)[i];
    if (value.isTensor()) {
      value = back(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor &each : value.toTensorVector()) list.push_back(back(each));
      value = list;
    }
  }
}

void copy_kernel(at::TensorIterator &iterator, bool non_blocking) {
  const at::Tensor to(iterator.tensor_base(0)), from(iterator.tensor_base(1));
  c10::impl::ExcludeDispatchKeyGuard no_autograd(c10::autograd_dispatch_keyset);
  const bool to_host = !to.is_cuda() && from.is_cuda(), to_device = to.is_cuda() && !from.is_cuda();
  if (kernel_depth == 0) {
    const char *way = to_host ? "d2h" : to_device ? "h2d" : "d2d";
    counts().add(way);
    counts().add(std::string(way) + "_bytes", static_cast<int64_t>(to_device ? from.nbytes() : to.nbytes()));
    if (!to_host && !to_device) counts().add("kernels");
    const bool waits = (to_host && !(non_blocking && is_pinned(to.data_ptr()))) || (to_device && !non_blocking);
    if (waits) {
      count_wait(way);
      queue().finish();
    }
    if (to_host && !waits && to.is_contiguous() && to.scalar_type() == from.scalar_type()) {
      Kernel inside;
      queue().copy_later(on_host(from).contiguous(), to);
      return;
    }
  }
  Kernel inside;
  on_host(to).copy_(on_host(from));
}

at::Tensor empty(c10::SymIntArrayRef sizes, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device> device, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  c10::OptionalDeviceGuard here(device);
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(sizes), &device_allocator,
                                   c10::DispatchKeySet(c10::DispatchKey::CUDA), at::dtype_or_default(type), format);
}
at::Tensor empty_strided(c10::SymIntArrayRef sizes, c10::SymIntArrayRef strides, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>) {
  c10::OptionalDeviceGuard here(device);
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides),
                                           &device_allocator, c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                           at::dtype_or_default(type));
}
at::Tensor as_strided(const at::Tensor &self, c10::SymIntArrayRef sizes, c10::SymIntArrayRef strides,
                      std::optional<c10::SymInt> offset) {
  return at::native::as_strided_tensorimpl(self, C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides),
                                           offset ? std::optional<int64_t>(offset->expect_int()) : std::nullopt);
}
at::Tensor view(const at::Tensor &self, c10::SymIntArrayRef sizes) {
  return at::native::view(self, C10_AS_INTARRAYREF_SLOW(sizes));
}
at::Tensor reshape_alias(const at::Tensor &self, c10::SymIntArrayRef sizes, c10::SymIntArrayRef strides) {
  return at::native::_reshape_alias(self, C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides));
}
at::Tensor unfold(const at::Tensor &self, int64_t dimension, int64_t size, int64_t step) {
  return at::native::unfold(self, dimension, size, step);
}

at::Scalar local_scalar(const at::Tensor &self) {
  if (kernel_depth == 0) {
    count_wait("item");
    queue().finish();
  }
  Kernel inside;
  return at::_local_scalar_dense(on_host(self));
}

const at::Tensor &resize(const at::Tensor &self, c10::SymIntArrayRef wanted, std::optional<at::MemoryFormat>) {
  c10::TensorImpl *tensor = self.unsafeGetTensorImpl();
  tensor->set_sizes_contiguous(C10_AS_INTARRAYREF_SLOW(wanted));
  const size_t bytes = (tensor->numel() + tensor->storage_offset()) * tensor->itemsize();
  c10::StorageImpl *storage = tensor->unsafe_storage().unsafeGetStorageImpl();
  if (bytes > storage->nbytes()) {
    c10::OptionalDeviceGuard here(self.device());
    c10::DataPtr larger = device_allocator.allocate(bytes);
    if (storage->nbytes()) device_allocator.copy_data(larger.get(), storage->data(), storage->nbytes());
    storage->set_data_ptr_noswap(std::move(larger));
    storage->set_nbytes(bytes);
  }
  return self;
}

// Makes a tensor a view of a storage, as loading and saving do.
at::Tensor &set_storage(at::Tensor &self, c10::Storage source, c10::SymInt offset, c10::SymIntArrayRef sizes,
                        c10::SymIntArrayRef strides) {
  TORCH_CHECK(source.device() == self.device(), "a tensor on ", self.device(), " cannot take a storage on ",
              source.device());
  c10::TensorImpl *tensor = self.unsafeGetTensorImpl();
  tensor->set_storage_keep_dtype(std::move(source));
  tensor->set_sizes_and_strides(C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides), offset.expect_int());
  return self;
}

// Attention is a single kernel on a GPU too; here it is the kernel of the processor.
int64_t choose_attention(const at::Tensor &query, const at::Tensor &, const at::Tensor &,
                         const std::optional<at::Tensor> &mask, double dropout, bool, std::optional<double>, bool) {
  const bool plain =
      !mask && dropout == 0 && query.dim() == 4 && !(at::GradMode::is_enabled() && query.requires_grad());
  return static_cast<int64_t>(plain ? at::SDPBackend::efficient_attention : at::SDPBackend::math);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> efficient_attention(
    const at::Tensor &query, const at::Tensor &key, const at::Tensor &value, const std::optional<at::Tensor> &, bool,
    double dropout, bool causal, std::optional<double> scale) {
  counts().add("kernels");
  counts().add("aten::_scaled_dot_product_efficient_attention");
  Kernel inside;
  auto [out, sums] = at::_scaled_dot_product_flash_attention_for_cpu(on_host(query), on_host(key), on_host(value),
                                                                     dropout, causal, std::nullopt, scale);
  auto seed = empty_on(query.device(), {}, at::kLong);
  return {on_device(out, query.device()), on_device(sums, query.device()), seed, seed};
}

struct Registered {
  Registered() {
    c10::SetAllocator(c10::kCUDA, &device_allocator, 10);
    at::native::copy_stub.set_cuda_dispatch_ptr(&copy_kernel);
    at::native::_fused_sdp_choice_stub.set_cuda_dispatch_ptr(&choose_attention);
  }
} registered;

}  // namespace

TORCH_LIBRARY_IMPL(_, CUDA, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&run_kernel>()); }
TORCH_LIBRARY_IMPL(aten, CUDA, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("as_strided", as_strided);
  m.impl("view", view);
  m.impl("_reshape_alias", reshape_alias);
  m.impl("unfold", unfold);
  m.impl("view_as_real", at::native::view_as_real);
  m.impl("view_as_complex", at::native::view_as_complex);
  m.impl("_local_scalar_dense", local_scalar);
  m.impl("resize_", resize);
  m.impl("set_.source_Storage_storage_offset", set_storage);
  m.impl("_fused_sdp_choice", choose_attention);
  m.impl("_scaled_dot_product_efficient_attention", efficient_attention);
}

// ------------------------------------------------------------------------------------------------------- for tests

// Returns a count by its name: kernels, waits, wait:item, h2d, d2h_bytes, peak_bytes, or an operator's own name; 0 if
// it was never counted.
STANDIN_API int64_t standin_count(const char *name) { return counts().get(name); }

// Returns all counts, a name and a number on each line. The text is valid until the thread's next call.
STANDIN_API const char *standin_report() {
  thread_local std::string text;
  text = counts().report();
  return text.c_str();
}

STANDIN_API void standin_reset() { counts().clear(); }

// Sets the bytes of memory that each device has.
STANDIN_API void standin_limit(int64_t bytes) { memory().limit = bytes; }

// The functions of the driver that describe a device.
STANDIN_API int cuDeviceGetName(char *name, int size, int device) {
  std::snprintf(name, static_cast<size_t>(size), "Stand-in %d", device);
  return device < kDevices ? 0 : 101;
}
STANDIN_API int cuDeviceTotalMem_v2(size_t *bytes, int device) {
  *bytes = static_cast<size_t>(memory().limit);
  return device < kDevices ? 0 : 101;
}
