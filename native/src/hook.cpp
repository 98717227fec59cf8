// Section "hook" of psc.h: the hook operator, and the callback to the caller's language.
#include "hook.h"

#include "guard.h"
#include "handles.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <pthread.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/library.h>

#include <memory>
#include <unordered_set>

struct psc_hooks final : psc::Counted<PSC_KIND_HOOKS> {
  psc_hook_fn callback;
  int64_t run;
  std::unordered_set<std::string> names;
};

namespace {

thread_local const psc_hooks *active = nullptr;
thread_local psc::Unchanged *active_kept = nullptr;

// The stack that a callback to Java needs: the JVM reserves some 100 KB at the low end of the stack, and ends the
// process if a callback reaches them, as no exception could be caught there.
constexpr uintptr_t STACK_FOR_CALLBACK = 160 * 1024;

// Returns the lowest address of this thread's stack; 0 if the system does not report it.
uintptr_t stack_lowest() {
  thread_local const uintptr_t end = [] {
#ifdef __APPLE__
    const auto highest = reinterpret_cast<uintptr_t>(pthread_get_stackaddr_np(pthread_self()));
    return highest - pthread_get_stacksize_np(pthread_self());
#else
    pthread_attr_t attributes;
    void *lowest = nullptr;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return uintptr_t{0};
    if (pthread_attr_getstack(&attributes, &lowest, &size) != 0) lowest = nullptr;
    pthread_attr_destroy(&attributes);
    return reinterpret_cast<uintptr_t>(lowest);
#endif
  }();
  return end;
}

bool stack_suffices() {
  char here;
  return reinterpret_cast<uintptr_t>(&here) - stack_lowest() >= STACK_FOR_CALLBACK;
}

void require_stack() {
  if (!stack_suffices())
    throw psc::HookFailed{
        "too little of this thread's stack is left to call a hook: runs are nested too deeply, or the stack is too "
        "small (-Xss)"};
}

// Calls the hook of a point, if there is one, and replaces the activation with its result.
void call_hook(c10::IValue &value, const std::string &name) {
  const psc_hooks *hooks = active;
  if (hooks->names.count(name) == 0) return;
  require_stack();
  psc_tensor activation{value.toTensor()};
  psc_tensor *replacement = nullptr;
  size_t holders = activation.tensor.use_count();
  int32_t status = hooks->callback(hooks->run, name.c_str(), &activation, &replacement);
  std::unique_ptr<psc::OwnedTensor> taken(static_cast<psc::OwnedTensor *>(replacement));
  if (activation.tensor.use_count() > holders) active_kept->remember(activation.tensor);
  if (status != PSC_OK) throw psc::HookFailed{};
  if (taken) value = taken->tensor;
}

// stack: activation, name -> activation. Boxed, so that a point without a hook costs no conversion and no copy.
void hook_point(const c10::OperatorHandle &, torch::jit::Stack *stack) {
  if (active != nullptr) call_hook((*stack)[stack->size() - 2], stack->back().toStringRef());
  stack->pop_back();
}

// stack: activation, part, name -> activation. The point's name is both texts joined, so that modules that differ only
// in their part share their code.
void hook_point_in(const c10::OperatorHandle &, torch::jit::Stack *stack) {
  if (active != nullptr)
    call_hook((*stack)[stack->size() - 3], (*stack)[stack->size() - 2].toStringRef() + stack->back().toStringRef());
  torch::jit::drop(*stack, 2);
}

// Returns whether a point has a hook. The model computes values that only a hook needs only if there is one.
bool hooked(const std::string &name) { return active != nullptr && active->names.count(name) != 0; }
bool hooked_in(const std::string &part, const std::string &name) {
  return active != nullptr && active->names.count(part + name) != 0;
}

}  // namespace

namespace psc {

void register_hook_point() {
  // A second copy of the shim in one process would register the operator again, and libtorch would end the process.
  TORCH_CHECK(!c10::Dispatcher::singleton().findSchema({"lens::hook_point", ""}),
              "another copy of libpanascope is already loaded in this process");
  static torch::Library library(torch::Library::DEF, "lens", std::nullopt, __FILE__, __LINE__);
  // Conservative: a hook may do anything, so the compiler must neither move, merge nor drop the call.
  library.def(
      torch::schema("lens::hook_point(Tensor activation, str name) -> Tensor", c10::AliasAnalysisKind::CONSERVATIVE));
  library.impl("hook_point", torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd,
                                             torch::CppFunction::makeFromBoxedFunction<&hook_point>()));
  library.def(torch::schema("lens::hook_point.part(Tensor activation, str part, str name) -> Tensor",
                            c10::AliasAnalysisKind::CONSERVATIVE));
  library.impl("hook_point.part", torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd,
                                                  torch::CppFunction::makeFromBoxedFunction<&hook_point_in>()));
  library.def(torch::schema("lens::hooked(str name) -> bool", c10::AliasAnalysisKind::CONSERVATIVE), &hooked);
  library.def(torch::schema("lens::hooked.part(str part, str name) -> bool", c10::AliasAnalysisKind::CONSERVATIVE),
              &hooked_in);
}

ActiveHooks::ActiveHooks(const psc_hooks *hooks, Unchanged &kept) : former_(active), former_kept_(active_kept) {
  active = hooks;
  active_kept = &kept;
}
ActiveHooks::~ActiveHooks() {
  active = former_;
  active_kept = former_kept_;
}

}  // namespace psc

int32_t psc_hooks_new(psc_hook_fn callback, int64_t run, const char *const *names, int32_t count, psc_hooks **out) {
  *out = nullptr;
  return psc::guard([&] {
    TORCH_CHECK(callback != nullptr, "hooks need a callback");
    auto hooks = std::make_unique<psc_hooks>();
    hooks->callback = callback;
    hooks->run = run;
    hooks->names.insert(names, names + count);
    *out = hooks.release();
  });
}

int32_t psc_hooks_on_gradient(const psc_hooks *hooks, const char *name, psc_tensor *activation) {
  return psc::guard([&] {
    // By value: the graph that keeps this function may outlive the set.
    auto callback = hooks->callback;
    auto run = hooks->run;
    activation->tensor.register_hook(
        [callback, run, point = std::string(name)](const at::Tensor &gradient) -> at::Tensor {
          if (!gradient.defined()) return gradient;
          if (!stack_suffices()) throw psc::GradientHookFailed{};
          psc_tensor handle{
              gradient.clone()};  // the engine shares a gradient among branches, and a hook may write to it
          psc_tensor *replacement = nullptr;
          int32_t status = callback(run, point.c_str(), &handle, &replacement);
          std::unique_ptr<psc::OwnedTensor> taken(static_cast<psc::OwnedTensor *>(replacement));
          if (status != PSC_OK) throw psc::GradientHookFailed{};
          return taken ? taken->tensor : handle.tensor;
        });
  });
}

void psc_hooks_free(psc_hooks *hooks) { delete hooks; }
