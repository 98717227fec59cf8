#include "values.h"

#include "handles.h"

#include <ATen/core/List.h>
#include <ATen/core/jit_type.h>

namespace psc {
namespace {

constexpr int32_t MAX_DIMENSIONS = 64;

template <class T>
c10::List<T> list_of(const psc_value &value) {
  auto items = static_cast<const T *>(value.as.p);
  c10::List<T> list;
  list.reserve(value.count);
  for (int32_t i = 0; i < value.count; i++) list.push_back(items[i]);
  return list;
}

c10::IValue to_ivalue(const psc_value &value) {
  switch (value.tag) {
    case PSC_TAG_NONE: return {};
    case PSC_TAG_TENSOR: return static_cast<const psc_tensor *>(value.as.p)->tensor;
    case PSC_TAG_INT: return value.as.i;
    case PSC_TAG_DOUBLE: return value.as.d;
    case PSC_TAG_BOOL: return value.as.i != 0;
    case PSC_TAG_STRING: return std::string(static_cast<const char *>(value.as.p));
    case PSC_TAG_DTYPE: return static_cast<int64_t>(scalar_type(static_cast<int32_t>(value.as.i)));
    case PSC_TAG_DEVICE: return device(static_cast<int32_t>(value.as.i), value.count);
    case PSC_TAG_INT_LIST: return list_of<int64_t>(value);
    case PSC_TAG_DOUBLE_LIST: return list_of<double>(value);
    case PSC_TAG_TENSOR_LIST: {
      auto items = static_cast<psc_tensor *const *>(value.as.p);
      c10::List<at::Tensor> list;
      for (int32_t i = 0; i < value.count; i++) {
        TORCH_CHECK(items[i] != nullptr, "tensor ", i, " of a list is missing, and only Tensor?[] may have gaps");
        list.push_back(items[i]->tensor);
      }
      return list;
    }
    default: TORCH_CHECK(false, "value tag ", value.tag, " is not one of PSC_TAG_*");
  }
}

bool is_optional_tensor(const c10::TypePtr &type) {
  return type->kind() == c10::TypeKind::OptionalType &&
         type->castRaw<c10::OptionalType>()->getElementType()->kind() == c10::TypeKind::TensorType;
}

const char *kind_of(const psc_value &value) {
  switch (value.tag) {
    case PSC_TAG_NONE: return "None";
    case PSC_TAG_TENSOR: return "a tensor";
    case PSC_TAG_INT: return "an int";
    case PSC_TAG_DOUBLE: return "a float";
    case PSC_TAG_BOOL: return "a bool";
    case PSC_TAG_STRING: return "a text";
    case PSC_TAG_DTYPE: return "a dtype";
    case PSC_TAG_DEVICE: return "a device";
    case PSC_TAG_TENSOR_LIST: return "a list of tensors";
    case PSC_TAG_INT_LIST: return "a list of ints";
    case PSC_TAG_DOUBLE_LIST: return "a list of floats";
    default: return "of no kind of psc.h";
  }
}

// Enumerations are passed as ints. libtorch uses them as indices of tables without a check of their range.
bool fits_enumeration(const psc_value &value, const c10::TypePtr &type) {
  switch (type->kind()) {
    case c10::TypeKind::OptionalType:
      return value.tag == PSC_TAG_NONE || fits_enumeration(value, type->castRaw<c10::OptionalType>()->getElementType());
    case c10::TypeKind::ScalarTypeType:
      return value.tag != PSC_TAG_INT ||
             (value.as.i >= 0 && value.as.i < static_cast<int64_t>(at::ScalarType::Undefined));
    case c10::TypeKind::LayoutType:  // operators that fill a new tensor do not check for MKL-DNN's layout
      return value.as.i >= 0 && value.as.i < static_cast<int64_t>(at::Layout::NumOptions) &&
             value.as.i != static_cast<int64_t>(at::Layout::Mkldnn);
    case c10::TypeKind::MemoryFormatType:
      return value.as.i >= 0 && value.as.i < static_cast<int64_t>(at::MemoryFormat::NumOptions);
    default: return true;
  }
}

// The boxed kernels trust their stack: a wrong kind there causes an internal assert or worse, so it is refused here.
// Arguments of kinds that no value of psc.h has are refused too, unless they are left off.
bool fits(const psc_value &value, const c10::TypePtr &type) {
  int32_t tag = value.tag;
  switch (type->kind()) {
    case c10::TypeKind::OptionalType:
      return tag == PSC_TAG_NONE || fits(value, type->castRaw<c10::OptionalType>()->getElementType());
    case c10::TypeKind::TensorType: return tag == PSC_TAG_TENSOR;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType: return tag == PSC_TAG_INT || tag == PSC_TAG_DTYPE;
    case c10::TypeKind::FloatType: return tag == PSC_TAG_DOUBLE || tag == PSC_TAG_INT;
    case c10::TypeKind::BoolType: return tag == PSC_TAG_BOOL;
    case c10::TypeKind::StringType: return tag == PSC_TAG_STRING;
    case c10::TypeKind::NumberType: return tag == PSC_TAG_INT || tag == PSC_TAG_DOUBLE || tag == PSC_TAG_BOOL;
    case c10::TypeKind::DeviceObjType: return tag == PSC_TAG_DEVICE;
    case c10::TypeKind::ListType: {
      auto element = type->castRaw<c10::ListType>()->getElementType();
      switch (element->kind()) {
        case c10::TypeKind::TensorType: return tag == PSC_TAG_TENSOR_LIST;
        case c10::TypeKind::OptionalType: return tag == PSC_TAG_TENSOR_LIST && is_optional_tensor(element);
        case c10::TypeKind::FloatType: return tag == PSC_TAG_DOUBLE_LIST;
        case c10::TypeKind::IntType:
        case c10::TypeKind::SymIntType: return tag == PSC_TAG_INT_LIST;
        default: return false;
      }
    }
    default: return false;
  }
}

c10::IValue argument(const c10::Argument &wanted, const psc_value &value) {
  TORCH_CHECK(fits(value, wanted.type()), "argument '", wanted.name(), "' should be ", wanted.real_type()->str(),
              ", but the value given is ", kind_of(value));
  TORCH_CHECK(fits_enumeration(value, wanted.real_type()), "argument '", wanted.name(), "' should be a ",
              wanted.real_type()->str(), ", and ", value.as.i, " is none");
  // Some operators recurse over the dimensions, until the stack is used up.
  TORCH_CHECK(value.tag != PSC_TAG_INT_LIST || value.count <= MAX_DIMENSIONS ||
                  (wanted.name() != "dim" && wanted.name() != "dims"),
              "argument '", wanted.name(), "' names ", value.count, " dimensions, and a tensor has at most ",
              MAX_DIMENSIONS);
  bool promote = value.tag == PSC_TAG_INT && wanted.type()->kind() == c10::TypeKind::FloatType;
  if (promote) return static_cast<double>(value.as.i);
  if (value.tag == PSC_TAG_TENSOR_LIST && wanted.type()->kind() == c10::TypeKind::ListType &&
      wanted.type()->castRaw<c10::ListType>()->getElementType()->kind() == c10::TypeKind::OptionalType) {
    auto items = static_cast<psc_tensor *const *>(value.as.p);  // Tensor?[], as aten::index takes
    c10::impl::GenericList list(c10::OptionalType::ofTensor());
    for (int32_t i = 0; i < value.count; i++) list.push_back(items[i] ? c10::IValue(items[i]->tensor) : c10::IValue());
    return list;
  }
  return to_ivalue(value);
}

struct ResultWriter {
  psc_value *results;
  int32_t capacity;
  int32_t written = 0;

  psc_value &next() {
    TORCH_CHECK(written < capacity, "there are more results than the ", capacity, " that the caller has room for");
    results[written] = {};
    return results[written++];
  }

  void write(const c10::IValue &value) {
    if (value.isTensorList() || value.isTuple() || value.isList()) {
      if (value.isTuple())
        for (const auto &item : value.toTupleRef().elements()) write(item);
      else
        for (const c10::IValue &item : value.toListRef()) write(item);
      return;
    }
    psc_value &out = next();
    if (value.isTensor()) {
      out.tag = value.toTensor().defined() ? PSC_TAG_TENSOR : PSC_TAG_NONE;
      out.as.p = value.toTensor().defined() ? own(value.toTensor()) : nullptr;
    } else if (value.isInt()) {
      out.tag = PSC_TAG_INT;
      out.as.i = value.toInt();
    } else if (value.isDouble()) {
      out.tag = PSC_TAG_DOUBLE;
      out.as.d = value.toDouble();
    } else if (value.isBool()) {
      out.tag = PSC_TAG_BOOL;
      out.as.i = value.toBool();
    } else {
      TORCH_CHECK(value.isNone(), "a result of type ", value.tagKind(), " has no form in psc.h");
    }
  }
};

}  // namespace

void push_arguments(const c10::FunctionSchema &schema, size_t first, const psc_value *args, int32_t count,
                    torch::jit::Stack &stack) {
  const auto &wanted = schema.arguments();
  TORCH_CHECK(count >= 0 && static_cast<size_t>(count) <= wanted.size() - first, schema.name(), " takes at most ",
              wanted.size() - first, " arguments, not ", count);
  stack.reserve(stack.size() + wanted.size() - first);
  for (int32_t i = 0; i < count; i++) stack.push_back(argument(wanted[first + i], args[i]));
  for (size_t i = first + count; i < wanted.size(); i++) {
    TORCH_CHECK(wanted[i].default_value().has_value(), schema.name(), " needs a value for argument '", wanted[i].name(),
                "'");
    stack.push_back(*wanted[i].default_value());
  }
}

void pop_results(const torch::jit::Stack &stack, psc_value *results, int32_t capacity, int32_t *result_count) {
  ResultWriter writer{results, capacity};
  struct Undo {  // not a second catch: an exception out of write() must not leak handles
    ResultWriter &writer;
    bool done = false;
    ~Undo() {
      if (done) return;
      for (int32_t i = 0; i < writer.written; i++)
        if (writer.results[i].tag == PSC_TAG_TENSOR) psc_tensor_free(static_cast<psc_tensor *>(writer.results[i].as.p));
    }
  } undo{writer};
  for (const auto &value : stack) writer.write(value);
  undo.done = true;
  *result_count = writer.written;
}

}  // namespace psc
