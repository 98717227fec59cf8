// Section "exchange" of psc.h: DLPack and the Arrow C data interface, both without a copy.
#include "guard.h"
#include "handles.h"

#include <ATen/Context.h>
#include <ATen/DLConvertor.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace {

// The structures of the Arrow C data interface, in the layout of its specification.
struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  ArrowSchema **children;
  ArrowSchema *dictionary;
  void (*release)(ArrowSchema *);
  void *private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  ArrowArray **children;
  ArrowArray *dictionary;
  void (*release)(ArrowArray *);
  void *private_data;
};

static_assert(sizeof(ArrowSchema) == 72 && sizeof(ArrowArray) == 80, "the sizes that psc.h names");

// Throws unless the tensor owns its memory: memory of psc_tensor_wrap belongs to the caller, which may free it.
void require_owned(const at::Tensor &tensor) {
  psc::require_plain(tensor, "another library");
  const auto &data = tensor.storage().data_ptr();
  TORCH_CHECK(tensor.numel() == 0 || (data.get_deleter() != nullptr && data.get_context() != nullptr),
              "this tensor's memory belongs to another owner, who may free it while the other library uses it: give it "
              "a copy() instead");
}

// A counted managed tensor, which wraps libtorch's own.
struct Export final : psc::Counted<PSC_KIND_EXPORT> {
  DLManagedTensor managed;
  DLManagedTensor *inner;
};

// Throws if sizes and strides exceed the range of an address. Empty strides mean that rows lie one after the other.
void require_extent(const std::vector<int64_t> &sizes, const std::vector<int64_t> &strides, int64_t element) {
  int64_t last = 0, product = 1, part;
  bool empty = false;
  for (size_t i = 0; i < sizes.size(); i++) {
    TORCH_CHECK(sizes[i] >= 0, "a size of ", sizes[i], " is negative");
    empty |= sizes[i] == 0;
  }
  for (size_t i = sizes.size(); i-- > 0 && !empty;) {
    int64_t stride = strides.empty() ? product : strides[i];
    TORCH_CHECK(stride >= 0, "a stride of ", stride, " is negative, which a tensor here cannot have");
    bool over = __builtin_mul_overflow(sizes[i] - 1, stride, &part) || __builtin_add_overflow(last, part, &last) ||
                (strides.empty() && __builtin_mul_overflow(product, sizes[i], &product));
    TORCH_CHECK(!over, "the sizes are too large");
  }
  TORCH_CHECK(!__builtin_add_overflow(last, int64_t{1}, &last) && !__builtin_mul_overflow(last, element, &part),
              "the sizes are too large");
}

at::ScalarType dlpack_type(DLDataType type) {
  struct Known {
    uint8_t code;
    uint8_t bits;
    at::ScalarType type;
  };
  static const Known known[] = {{kDLFloat, 32, at::kFloat},     {kDLFloat, 64, at::kDouble}, {kDLFloat, 16, at::kHalf},
                                {kDLBfloat, 16, at::kBFloat16}, {kDLInt, 64, at::kLong},     {kDLInt, 32, at::kInt},
                                {kDLInt, 16, at::kShort},       {kDLInt, 8, at::kChar},      {kDLUInt, 8, at::kByte},
                                {kDLBool, 8, at::kBool}};
  for (const auto &each : known)
    if (type.lanes == 1 && type.code == each.code && type.bits == each.bits) return each.type;
  TORCH_CHECK(false, "a DLPack tensor of type code ", int{type.code}, ", ", int{type.bits}, " bits and ", type.lanes,
              " lanes has no dtype here");
}

c10::Device dlpack_device(DLDevice device) {
  if (device.device_type == kDLCPU || device.device_type == kDLCUDAHost) return c10::Device(c10::kCPU);
  TORCH_CHECK(device.device_type == kDLCUDA, "a DLPack tensor on a device of type ", int{device.device_type},
              " cannot be used here");
  TORCH_CHECK(device.device_id >= 0 && device.device_id < at::detail::getCUDAHooks().deviceCount(),
              "a DLPack tensor lies on CUDA device ", device.device_id, ", which this libtorch cannot use");
  return c10::Device(c10::kCUDA, static_cast<c10::DeviceIndex>(device.device_id));
}

const char *arrow_format(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return "f";
    case at::kDouble: return "g";
    case at::kHalf: return "e";
    case at::kLong: return "l";
    case at::kInt: return "i";
    case at::kShort: return "s";
    case at::kChar: return "c";
    case at::kByte: return "C";
    default: TORCH_CHECK(false, "Arrow has no column of ", type, " in the layout of a tensor: convert it first");
  }
}

at::ScalarType arrow_type(const char *format) {
  for (auto type : {at::kFloat, at::kDouble, at::kHalf, at::kLong, at::kInt, at::kShort, at::kChar, at::kByte})
    if (std::strcmp(format, arrow_format(type)) == 0) return type;
  TORCH_CHECK(false, "an Arrow column of format '", format, "' has not the layout of a tensor");
}

struct SchemaParts {
  std::string format, name;
  ArrowSchema child{};
  ArrowSchema *children[1] = {&child};
};

void release_schema(ArrowSchema *schema) {
  for (int64_t i = 0; i < schema->n_children; i++)
    if (schema->children[i]->release) schema->children[i]->release(schema->children[i]);
  delete static_cast<SchemaParts *>(schema->private_data);
  schema->release = nullptr;
}

void fill_schema(ArrowSchema *schema, std::unique_ptr<SchemaParts> parts, int64_t children) {
  *schema = {};
  schema->format = parts->format.c_str();
  schema->name = parts->name.c_str();
  schema->n_children = children;
  schema->children = children ? parts->children : nullptr;
  schema->private_data = parts.release();
  schema->release = release_schema;
}

// Private data of an exported array. The child of a list may be moved out of it and then keeps the memory by itself.
struct ArrayParts final : psc::Counted<PSC_KIND_EXPORT> {
  at::Tensor tensor;
  const void *buffers[2] = {nullptr, nullptr};
  ArrowArray child{};
  ArrowArray *children[1] = {&child};
};

void release_array(ArrowArray *array) {
  for (int64_t i = 0; i < array->n_children; i++)
    if (array->children[i]->release) array->children[i]->release(array->children[i]);
  delete static_cast<ArrayParts *>(array->private_data);
  array->release = nullptr;
}

std::unique_ptr<ArrayParts> parts_of(const at::Tensor &tensor) {
  auto parts = std::make_unique<ArrayParts>();
  parts->tensor = tensor;
  return parts;
}

void fill_array(ArrowArray *array, std::unique_ptr<ArrayParts> parts, int64_t length, bool list) {
  *array = {};
  array->length = length;
  array->n_buffers = list ? 1 : 2;
  if (!list) parts->buffers[1] = parts->tensor.data_ptr();
  array->buffers = parts->buffers;
  array->n_children = list ? 1 : 0;
  array->children = list ? parts->children : nullptr;
  array->private_data = parts.release();
  array->release = release_array;
}

// Throws unless an array has the given numbers of buffers and children, and no missing values.
void require_plain(const ArrowArray &array, int64_t buffers, int64_t children) {
  TORCH_CHECK(array.length >= 0 && array.offset >= 0 && array.n_buffers == buffers && array.n_children == children,
              "the Arrow array does not fit its schema");
  TORCH_CHECK(array.null_count == 0 || (array.null_count == -1 && array.buffers[0] == nullptr),
              "the Arrow column has missing values, which a tensor cannot have");
}

struct Column {
  at::ScalarType type;
  const char *data;
  std::vector<int64_t> sizes;
};

// Returns the address of the first number, with a check that the offset in bytes does not overflow.
const char *at_offset(const ArrowArray &array, int64_t first, at::ScalarType type) {
  int64_t bytes;
  TORCH_CHECK(!__builtin_mul_overflow(first, static_cast<int64_t>(c10::elementSize(type)), &bytes),
              "the Arrow column begins too far on");
  return static_cast<const char *>(array.buffers[1]) + bytes;
}

Column read(const ArrowSchema &schema, const ArrowArray &array) {
  TORCH_CHECK(schema.release != nullptr && array.release != nullptr, "the Arrow column was released already");
  TORCH_CHECK(schema.dictionary == nullptr && array.dictionary == nullptr,
              "the Arrow column holds places in a dictionary, not numbers: decode it first");
  if (std::strncmp(schema.format, "+w:", 3) != 0) {
    auto type = arrow_type(schema.format);
    require_plain(array, 2, 0);
    require_extent({array.length}, {}, static_cast<int64_t>(c10::elementSize(type)));
    return {type, at_offset(array, array.offset, type), {array.length}};
  }
  char *end = nullptr;
  int64_t width = std::strtoll(schema.format + 3, &end, 10), first, last;
  TORCH_CHECK(end != schema.format + 3 && *end == 0 && width >= 0 && width < INT32_MAX, "'", schema.format,
              "' is no format of a fixed-size list");
  TORCH_CHECK(schema.n_children == 1, "a fixed-size list has one child");
  require_plain(array, 1, 1);
  const ArrowArray &values = *array.children[0];
  TORCH_CHECK(schema.children[0]->dictionary == nullptr && values.dictionary == nullptr,
              "the Arrow lists hold places in a dictionary, not numbers: decode it first");
  auto type = arrow_type(schema.children[0]->format);
  require_plain(values, 2, 0);
  bool over = __builtin_add_overflow(array.offset, array.length, &last) || __builtin_mul_overflow(last, width, &last) ||
              __builtin_mul_overflow(array.offset, width, &first) ||
              __builtin_add_overflow(first, values.offset, &first);
  TORCH_CHECK(!over && last <= values.length, "the Arrow lists end after their values");
  require_extent({array.length, width}, {}, static_cast<int64_t>(c10::elementSize(type)));
  return {type, at_offset(values, first, type), {array.length, width}};
}

}  // namespace

int32_t psc_dlpack_export(const psc_tensor *tensor, void **managed) {
  *managed = nullptr;
  return psc::guard([&] {
    require_owned(tensor->tensor);
    auto exported = std::make_unique<Export>();
    exported->inner = at::toDLPack(tensor->tensor);
    exported->managed = *exported->inner;
    exported->managed.manager_ctx = exported.get();
    exported->managed.deleter = [](DLManagedTensor *self) {
      auto *whole = static_cast<Export *>(self->manager_ctx);
      whole->inner->deleter(whole->inner);
      delete whole;
    };
    *managed = &exported.release()->managed;
  });
}

int32_t psc_dlpack_import(void *managed, psc_tensor **out) {
  *out = nullptr;
  return psc::guard([&] {
    auto *given = static_cast<DLManagedTensor *>(managed);
    const DLTensor &t = given->dl_tensor;
    TORCH_CHECK(t.ndim >= 0 && t.ndim <= PSC_MAX_RANK, "a tensor of rank ", t.ndim, " is beyond the ", PSC_MAX_RANK,
                " of psc.h");
    auto type = dlpack_type(t.dtype);
    auto device = dlpack_device(t.device);
    std::vector<int64_t> sizes(t.shape, t.shape + t.ndim), strides;
    if (t.strides) strides.assign(t.strides, t.strides + t.ndim);
    require_extent(sizes, strides, static_cast<int64_t>(c10::elementSize(type)));
    if (!t.strides) {
      strides.resize(sizes.size());
      int64_t stride = 1;
      for (size_t i = sizes.size(); i-- > 0; stride *= std::max<int64_t>(sizes[i], 1)) strides[i] = stride;
    }
    // The handle is made before the memory is taken over, as nothing may fail afterwards.
    auto owner = std::make_unique<psc::OwnedTensor>(at::Tensor());
    // at::fromDLPack ignores byte_offset, and ends the process for strides that it does not expect.
    owner->tensor = at::from_blob(
        static_cast<char *>(t.data) + t.byte_offset, sizes, strides, [given](void *) { psc_dlpack_free(given); },
        at::TensorOptions(type).device(device), device);
    *out = owner.release();
  });
}

void psc_dlpack_free(void *managed) {
  auto *given = static_cast<DLManagedTensor *>(managed);
  if (given && given->deleter) given->deleter(given);
}

int32_t psc_arrow_export(const psc_tensor *tensor, const char *name, void *schema, void *array) {
  std::memset(schema, 0, sizeof(ArrowSchema));
  std::memset(array, 0, sizeof(ArrowArray));
  return psc::guard([&] {
    const at::Tensor &t = tensor->tensor;
    TORCH_CHECK(t.device().is_cpu(), "an Arrow column lies on the CPU: call to(Device.CPU) first");
    TORCH_CHECK(t.dim() == 1 || t.dim() == 2, "an Arrow column is made of a tensor of rank 1 or 2, not ", t.dim());
    TORCH_CHECK(t.is_contiguous(), "the elements do not lie row by row: call contiguous() first");
    require_owned(t);
    bool list = t.dim() == 2;
    auto format = arrow_format(t.scalar_type());
    auto names = std::make_unique<SchemaParts>();
    auto values = parts_of(t);
    names->name = name;
    names->format = list ? "+w:" + std::to_string(t.size(1)) : format;
    if (list) {
      auto item_names = std::make_unique<SchemaParts>();
      auto items = parts_of(t);
      item_names->name = "item";
      item_names->format = format;
      fill_schema(&names->child, std::move(item_names), 0);
      fill_array(&values->child, std::move(items), t.numel(), false);
    }
    fill_schema(static_cast<ArrowSchema *>(schema), std::move(names), list ? 1 : 0);
    fill_array(static_cast<ArrowArray *>(array), std::move(values), t.size(0), list);
  });
}

int32_t psc_arrow_import(void *schema, void *array, psc_tensor **out) {
  *out = nullptr;
  return psc::guard([&] {
    auto *names = static_cast<ArrowSchema *>(schema);
    auto *values = static_cast<ArrowArray *>(array);
    Column column = read(*names, *values);
    auto owner = std::make_unique<psc::OwnedTensor>(at::Tensor());
    std::shared_ptr<ArrowArray> moved(new ArrowArray(*values), [](ArrowArray *array) {
      array->release(array);
      delete array;
    });
    values->release = nullptr;  // moved out, as the specification says
    owner->tensor = at::from_blob(
        const_cast<char *>(column.data), column.sizes, [moved](void *) mutable { moved.reset(); },
        at::TensorOptions(column.type));
    names->release(names);
    *out = owner.release();
  });
}

void psc_arrow_release(void *schema, void *array) {
  auto *names = static_cast<ArrowSchema *>(schema);
  auto *values = static_cast<ArrowArray *>(array);
  if (names->release) names->release(names);
  if (values->release) values->release(values);
}
