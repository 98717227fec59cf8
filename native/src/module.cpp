// Section "module" of psc.h: TorchScript modules, built from source or loaded, and called with hooks.
#include "call.h"
#include "guard.h"
#include "handles.h"
#include "hook.h"
#include "unchanged.h"
#include "values.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/frontend/resolver.h>
#include <torch/csrc/jit/frontend/sugared_value.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

struct psc_module final : psc::Counted<PSC_KIND_MODULE> {
  explicit psc_module(torch::jit::Module m) : module(std::move(m)) {}
  torch::jit::Module module;
};

namespace {

constexpr const char *METADATA = "panascope.json";  // the extra file inside a .pt

// libtorch's own resolver knows `torch`; this one adds `lens`.
struct LensResolver final : torch::jit::Resolver {
  std::shared_ptr<torch::jit::SugaredValue> resolveValue(const std::string &name, torch::jit::GraphFunction &m,
                                                         const torch::jit::SourceRange &loc) override {
    if (name == "lens") return std::make_shared<torch::jit::BuiltinModule>("lens");
    return torch::jit::nativeResolver()->resolveValue(name, m, loc);
  }
};

// Switches the graph optimiser off; it is thread-local in libtorch, so it is set for the call and then restored.
class PlainExecution {
 public:
  PlainExecution() : former_(torch::jit::getGraphExecutorOptimize()) { torch::jit::setGraphExecutorOptimize(false); }
  ~PlainExecution() { torch::jit::setGraphExecutorOptimize(former_); }
  PlainExecution(const PlainExecution &) = delete;
  PlainExecution &operator=(const PlainExecution &) = delete;

 private:
  bool former_;
};

}  // namespace

int32_t psc_module_new(const char *name, psc_module **out) {
  *out = nullptr;
  return psc::guard([&] { *out = new psc_module(torch::jit::Module(name)); });
}

int32_t psc_module_like(const psc_module *model, psc_module **out) {
  *out = nullptr;
  return psc::guard([&] {
    *out = new psc_module(torch::jit::Module(model->module._ivalue()->compilation_unit(), model->module.type()));
  });
}

int32_t psc_module_add_parameter(psc_module *module, const char *name, const psc_tensor *tensor) {
  return psc::guard([&] { module->module.register_parameter(name, tensor->tensor, false); });
}

int32_t psc_module_add_text(psc_module *module, const char *name, const char *text) {
  return psc::guard([&] { module->module.register_attribute(name, c10::StringType::get(), std::string(text)); });
}

int32_t psc_module_add_child(psc_module *module, const char *name, const psc_module *child) {
  return psc::guard([&] { module->module.register_module(name, child->module); });
}

int32_t psc_module_define(psc_module *module, const char *source) {
  return psc::guard([&] { module->module.define(source, std::make_shared<LensResolver>()); });
}

int32_t psc_module_child(const psc_module *module, const char *name, psc_module **out) {
  *out = nullptr;
  return psc::guard([&] {
    auto value = module->module.attr(name);
    TORCH_CHECK(value.isModule(), "'", name, "' is not a submodule");
    *out = new psc_module(value.toModule());
  });
}

int32_t psc_module_parameter(const psc_module *module, const char *name, psc_tensor **out) {
  *out = nullptr;
  return psc::guard([&] {
    auto value = module->module.attr(name);
    TORCH_CHECK(value.isTensor(), "'", name, "' is not a tensor");
    *out = psc::own(value.toTensor());
  });
}

int32_t psc_module_parameter_names(const psc_module *module, const char **text) {
  *text = nullptr;
  return psc::guard([&] {
    std::string names;
    for (const auto &parameter : module->module.named_parameters()) names += parameter.name + "\n";
    *text = psc::keep_text(std::move(names));
  });
}

int32_t psc_module_call(const psc_module *module, const char *method, const psc_hooks *hooks, psc_call *call,
                        const psc_value *args, int32_t count, psc_value *results, int32_t capacity,
                        int32_t *result_count) {
  *result_count = 0;
  return psc::guard([&] {
    psc::CallState state(call);
    PlainExecution plain;
    auto found = module->module.get_method(method);
    torch::jit::Stack stack;
    stack.push_back(module->module._ivalue());
    psc::push_arguments(found.function().getSchema(), 1, args, count, stack);
    psc::Unchanged unchanged;
    for (size_t i = 1; i < stack.size(); i++) unchanged.remember(stack[i]);
    unchanged.remember(stack.front().toObjectRef());
    psc::ActiveHooks active(hooks, unchanged);
    found.function().run(stack);
    unchanged.require(method);
    psc::pop_results(stack, results, capacity, result_count);
  });
}

int32_t psc_module_save(const psc_module *module, const char *path, const char *metadata) {
  return psc::guard([&] {
    std::unique_ptr<FILE, int (*)(FILE *)> file(std::fopen(path, "wb"), std::fclose);
    TORCH_CHECK(file, path, " cannot be opened: ", std::strerror(errno));
    // libtorch's archive writer throws again in its destructor if a write fails, which ends the process. Therefore each
    // write reports success, and the failure is thrown once the writer is destroyed.
    int failure = 0;
    auto write = [&](const void *bytes, size_t count) {
      if (failure == 0 && std::fwrite(bytes, 1, count, file.get()) != count) failure = errno != 0 ? errno : EIO;
      return count;
    };
    torch::jit::ExportModule(module->module, write, {{METADATA, metadata}});
    if (std::fclose(file.release()) != 0 && failure == 0) failure = errno;
    TORCH_CHECK(failure == 0, path, " cannot be written: ", std::strerror(failure));
  });
}

int32_t psc_module_load(const char *path, int32_t device_type, int32_t device_index, psc_module **out,
                        const char **metadata) {
  *out = nullptr;
  *metadata = nullptr;
  return psc::guard([&] {
    torch::jit::ExtraFilesMap extra{{METADATA, ""}};
    auto loaded = std::make_unique<psc_module>(torch::jit::load(path, psc::device(device_type, device_index), extra));
    *metadata = psc::keep_text(extra[METADATA]);
    *out = loaded.release();
  });
}

void psc_module_free(psc_module *module) { delete module; }
