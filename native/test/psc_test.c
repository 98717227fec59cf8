/* Calls every function of psc.h and provokes every error, from plain C. Exit status 0 means that all checks passed. */
#include "psc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks = 0;

#define CHECK(condition)                                                                                               \
  do {                                                                                                                 \
    checks++;                                                                                                          \
    if (!(condition)) {                                                                                                \
      fprintf(stderr, "%s:%d: %s does not hold (last error: %s)\n", __FILE__, __LINE__, #condition, psc_last_error()); \
      exit(1);                                                                                                         \
    }                                                                                                                  \
  } while (0)

#define OK(call) CHECK((call) == PSC_OK)

static void fails(int32_t status, int32_t expected, const char *text) {
  if (status != expected || strstr(psc_last_error(), text) == NULL) {
    fprintf(stderr, "expected status %d with '%s', got %d: %s\n", expected, text, status, psc_last_error());
    exit(1);
  }
  checks++;
}

static psc_value tensor_value(psc_tensor *t) { return (psc_value){.tag = PSC_TAG_TENSOR, .as = {.p = t}}; }
static psc_value int_value(int64_t i) { return (psc_value){.tag = PSC_TAG_INT, .as = {.i = i}}; }

static void runtime(void) {
  CHECK(psc_abi_version() == PSC_ABI_VERSION);
  CHECK(strlen(psc_header_sha256()) == 64);
  CHECK(strchr(psc_built_for(), '.') != NULL);
  OK(psc_runtime_init());
  OK(psc_runtime_init());
  const char *text;
  OK(psc_runtime_describe(&text));
  char wanted[64];
  snprintf(wanted, sizeof wanted, "TORCH_VERSION=%s", psc_built_for());
  CHECK(strstr(text, wanted) != NULL);
  int32_t n;
  OK(psc_threads_get(&n));
  OK(psc_threads_set(2));
  fails(psc_threads_set(0), PSC_ERR_VALUE, "must be positive");
  OK(psc_threads_set(n));
  OK(psc_seed(1));
  CHECK(psc_live_handles(PSC_KIND_TENSOR) == 0);
  CHECK(psc_live_handles(77) == -1);
}

static void tensors(void) {
  psc_tensor *t, *alias;
  psc_tensor_info info;
  OK(psc_tensor_empty(PSC_INT64, (int64_t[]){2, 3}, 2, PSC_DEVICE_CPU, 0, &t));
  OK(psc_tensor_describe(t, &info));
  CHECK(info.dtype == PSC_INT64 && info.rank == 2 && info.sizes[1] == 3 && info.strides[0] == 3 && info.bytes == 48);
  CHECK(info.contiguous == 1 && info.inference == 0 && info.elements == 6 && info.device_type == PSC_DEVICE_CPU);
  OK(psc_tensor_alias(t, &alias));
  psc_tensor_free(t);
  CHECK(psc_live_handles(PSC_KIND_TENSOR) == 1);
  psc_tensor_free(alias);
  psc_tensor_free(NULL);
  float data[4] = {1, 2, 3, 4};
  for (int32_t dtype = PSC_FLOAT32; dtype <= PSC_BOOL; dtype++) {
    OK(psc_tensor_wrap(data, dtype, (int64_t[]){1}, 1, &t));
    OK(psc_tensor_describe(t, &info));
    CHECK(info.dtype == dtype && info.address == (int64_t)(intptr_t)data);
    psc_tensor_free(t);
  }
  fails(psc_tensor_empty(99, NULL, 0, PSC_DEVICE_CPU, 0, &t), PSC_ERR_VALUE, "dtype code 99");
  CHECK(t == NULL);
  fails(psc_tensor_empty(PSC_FLOAT32, NULL, 0, 99, 0, &t), PSC_ERR_VALUE, "device type 99");
  fails(psc_tensor_wrap(data, PSC_FLOAT32, NULL, PSC_MAX_RANK + 1, &t), PSC_ERR_VALUE, "rank 13");
  fails(psc_tensor_empty(PSC_FLOAT32, (int64_t[]){1LL << 50}, 1, PSC_DEVICE_CPU, 0, &t), PSC_ERR_OUT_OF_MEMORY,
        "allocate");
}

static psc_call plainly;

static psc_tensor *made_by(const char *name, const char *overload, const psc_value *args, int32_t count) {
  const psc_op *op;
  psc_value result = {0};
  int32_t n;
  OK(psc_op_find(name, overload, &op));
  OK(psc_op_call(op, &plainly, args, count, &result, 1, &n));
  CHECK(result.tag == PSC_TAG_TENSOR);
  return result.as.p;
}

static void refused(const char *name, const char *overload, const psc_value *args, int32_t count, const char *why) {
  const psc_op *op;
  psc_value result = {0};
  int32_t n;
  OK(psc_op_find(name, overload, &op));
  fails(psc_op_call(op, &plainly, args, count, &result, 1, &n), PSC_ERR_VALUE, why);
}

/* Tests tensors whose elements are not in memory as they are read, and operators that would move memory. */
static void odd_tensors(void) {
  float data[6] = {1, 2, 3, 4, 5, 6};
  psc_tensor *t, *negative, *zeros, *sparse, *meta, *host, *wide, *narrow;
  psc_tensor_info info;
  psc_transfer *transfer;
  void *managed;
  OK(psc_tensor_wrap(data, PSC_FLOAT32, (int64_t[]){2, 3}, 2, &t));
  psc_value self = tensor_value(t);

  negative = made_by("aten::_neg_view", "", &self, 1);
  OK(psc_tensor_describe(negative, &info));
  CHECK(info.memory == PSC_MEMORY_LAZY && info.address == 0 && info.sizes[1] == 3);
  OK(psc_tensor_host(negative, PSC_INT64, &host));
  OK(psc_tensor_describe(host, &info));
  CHECK(info.memory == PSC_MEMORY_PLAIN && ((int64_t *)(intptr_t)info.address)[5] == -6);
  psc_tensor_free(host);
  OK(psc_transfer_begin(negative, &transfer));
  OK(psc_transfer_finish(transfer, &host));
  psc_transfer_free(transfer);
  OK(psc_tensor_describe(host, &info));
  CHECK(((float *)(intptr_t)info.address)[0] == -1);
  psc_tensor_free(host);
  fails(psc_dlpack_export(negative, &managed), PSC_ERR_VALUE, "copy()");
  psc_tensor_free(negative);

  OK(psc_tensor_host(t, PSC_FLOAT32, &host)); /* is plain already, so the memory is shared */
  OK(psc_tensor_describe(host, &info));
  CHECK(info.address == (int64_t)(intptr_t)data);
  psc_tensor_free(host);

  psc_value shape = {.tag = PSC_TAG_INT_LIST, .count = 1, .as = {.p = (int64_t[]){4}}};
  zeros = made_by("aten::_efficientzerotensor", "", &shape, 1);
  OK(psc_tensor_describe(zeros, &info));
  CHECK(info.memory == PSC_MEMORY_LAZY && info.address == 0);
  OK(psc_tensor_host(zeros, PSC_FLOAT32, &host));
  OK(psc_tensor_describe(host, &info));
  CHECK(info.elements == 4 && ((float *)(intptr_t)info.address)[3] == 0);
  psc_tensor_free(host);
  psc_tensor_free(zeros);

  sparse = made_by("aten::to_sparse", "", &self, 1);
  OK(psc_tensor_describe(sparse, &info));
  CHECK(info.memory == PSC_MEMORY_NONE && info.sizes[0] == 2);
  fails(psc_tensor_host(sparse, PSC_FLOAT32, &host), PSC_ERR_VALUE, "no elements in rows");
  fails(psc_transfer_begin(sparse, &transfer), PSC_ERR_VALUE, "no elements in rows");
  fails(psc_dlpack_export(sparse, &managed), PSC_ERR_VALUE, "copy()");
  psc_tensor_free(sparse);

  psc_value names[] = {shape, {.tag = PSC_TAG_NONE}, {.tag = PSC_TAG_INT, .as = {.i = 99}}};
  refused("aten::empty", "memory_format", (psc_value[]){shape, {.tag = PSC_TAG_INT, .as = {.i = 9999}}}, 2,
          "should be a ScalarType");
  refused("aten::empty", "memory_format", names, 3, "should be a Layout");
  refused("aten::empty", "memory_format", (psc_value[]){shape, {.tag = PSC_TAG_STRING, .as = {.p = "x"}}}, 2,
          "is a text");
  meta = made_by("aten::empty_like", "", &self, 1);
  psc_tensor_free(meta);

  refused("aten::t_", "", &self, 1, "in place");
  refused("aten::resize_", "", (psc_value[]){self, shape}, 2, "in place");
  refused("aten::set_", "", &self, 1, "in place");
  /* Two results: too large for `out`, and smaller than it. */
  psc_value out[] = {tensor_value(t), tensor_value(t), {.tag = PSC_TAG_INT, .as = {.i = 1}}, {0}};
  OK(psc_tensor_empty(PSC_FLOAT32, (int64_t[]){1}, 1, PSC_DEVICE_CPU, 0, &narrow));
  OK(psc_tensor_empty(PSC_FLOAT32, (int64_t[]){99}, 1, PSC_DEVICE_CPU, 0, &wide));
  out[3] = tensor_value(narrow);
  refused("aten::add", "out", out, 4, "not resizable");
  out[3] = tensor_value(wide);
  refused("aten::add", "out", out, 4, "would change the shape");
  OK(psc_tensor_describe(wide, &info));
  CHECK(info.rank == 1 && info.sizes[0] == 99);
  psc_tensor_free(narrow);
  psc_tensor_free(wide);
  psc_tensor_free(t);

  const char *all;
  OK(psc_op_names(&all));
  CHECK(strstr(all, "aten::add.Tensor\n") != NULL && strstr(all, "lens::hook_point\n") != NULL);
}

static void operators(void) {
  const psc_op *add, *split, *index, *none;
  OK(psc_op_find("aten::add", "Tensor", &add));
  OK(psc_op_find("aten::split", "Tensor", &split));
  OK(psc_op_find("aten::select", "int", &index));
  fails(psc_op_find("aten::no_such", "", &none), PSC_ERR_VALUE, "no operator aten::no_such");
  const char *schema;
  OK(psc_op_schema(add, &schema));
  CHECK(strncmp(schema, "aten::add.Tensor(Tensor self", 28) == 0);

  float data[4] = {1, 2, 3, 4};
  psc_tensor *t;
  OK(psc_tensor_wrap(data, PSC_FLOAT32, (int64_t[]){4}, 1, &t));
  psc_value args[3] = {tensor_value(t), tensor_value(t), int_value(2)}, results[2];
  int32_t n;
  psc_tensor_info info;
  OK(psc_op_call(add, &plainly, args, 2, results, 2, &n)); /* alpha by default */
  OK(psc_op_call(add, &plainly, args, 3, results + 1, 1, &n));
  CHECK(n == 1 && results[0].tag == PSC_TAG_TENSOR);
  OK(psc_tensor_describe(results[1].as.p, &info));
  CHECK(((float *)(intptr_t)info.address)[3] == 12);
  psc_tensor_free(results[0].as.p);
  psc_tensor_free(results[1].as.p);

  psc_value cut[2] = {tensor_value(t), int_value(2)};
  OK(psc_op_call(split, &plainly, cut, 2, results, 2, &n)); /* a list of results is laid out flat */
  CHECK(n == 2);
  psc_tensor_free(results[0].as.p);
  psc_tensor_free(results[1].as.p);
  int64_t before = psc_live_handles(PSC_KIND_TENSOR);
  fails(psc_op_call(split, &plainly, cut, 2, results, 1, &n), PSC_ERR_VALUE, "more results than");
  CHECK(psc_live_handles(PSC_KIND_TENSOR) == before && n == 0);

  fails(psc_op_call(add, &plainly, args, 1, results, 1, &n), PSC_ERR_VALUE, "needs a value for argument 'other'");
  psc_value wrong[2] = {tensor_value(t), int_value(1)};
  fails(psc_op_call(add, &plainly, wrong, 2, results, 1, &n), PSC_ERR_VALUE, "argument 'other' should be Tensor");
  psc_value many[9] = {tensor_value(t), tensor_value(t)};
  fails(psc_op_call(add, &plainly, many, 9, results, 1, &n), PSC_ERR_VALUE, "at most 3 arguments");
  psc_value far[3] = {tensor_value(t), int_value(0), int_value(9)};
  fails(psc_op_call(index, &plainly, far, 3, results, 1, &n), PSC_ERR_INDEX, "out of range");
  const psc_op *bad;
  OK(psc_op_find("aten::softmax", "int", &bad));
  psc_tensor *integers;
  OK(psc_tensor_empty(PSC_INT64, (int64_t[]){2, 2}, 2, PSC_DEVICE_CPU, 0, &integers));
  psc_value unfit[2] = {tensor_value(integers), int_value(0)};
  fails(psc_op_call(bad, &plainly, unfit, 2, results, 1, &n), PSC_ERR_NOT_IMPLEMENTED, "not implemented");
  psc_tensor_free(integers);
  psc_tensor_free(t);
}

static int32_t doubling(int64_t run, const char *name, psc_tensor *activation, psc_tensor **replacement) {
  if (run == 13) return PSC_ERR_CALLBACK;
  CHECK(strcmp(name, "here") == 0);
  const psc_op *add;
  OK(psc_op_find("aten::add", "Tensor", &add));
  psc_value args[2] = {tensor_value(activation), tensor_value(activation)}, result;
  int32_t n;
  OK(psc_op_call(add, &plainly, args, 2, &result, 1, &n));
  *replacement = result.as.p;
  return PSC_OK;
}

static float run(const psc_module *module, const psc_hooks *hooks, psc_tensor *x) {
  psc_value arg = tensor_value(x), result;
  int32_t n;
  OK(psc_module_call(module, "forward", hooks, &plainly, &arg, 1, &result, 1, &n));
  psc_tensor_info info;
  OK(psc_tensor_describe(result.as.p, &info));
  float value = *(float *)(intptr_t)info.address;
  psc_tensor_free(result.as.p);
  return value;
}

static void modules_and_hooks(const char *file) {
  psc_module *root, *child, *again;
  float three = 3, one = 1;
  psc_tensor *weight, *x, *same;
  OK(psc_tensor_wrap(&three, PSC_FLOAT32, NULL, 0, &weight));
  OK(psc_tensor_wrap(&one, PSC_FLOAT32, NULL, 0, &x));
  OK(psc_module_new("Root", &root));
  OK(psc_module_new("Child", &child));
  OK(psc_module_add_parameter(child, "weight", weight));
  OK(psc_module_define(
      child, "def forward(self, x: Tensor) -> Tensor:\n    return lens.hook_point(x, \"here\") * self.weight\n"));
  OK(psc_module_add_child(root, "child", child));
  OK(psc_module_define(root,
                       "def forward(self, x: Tensor) -> Tensor:\n    return self.child.forward(x)\n"
                       "def broken(self, x: Tensor) -> Tensor:\n    return x.view([7])\n"));
  psc_module *scratch; /* a source that does not compile leaves its module unfit to save */
  OK(psc_module_new("Scratch", &scratch));
  fails(psc_module_define(scratch, "def f(self):\n    return nowhere\n"), PSC_ERR_VALUE, "undefined value nowhere");
  psc_module_free(scratch);

  const char *names[1] = {"here"}, *elsewhere[1] = {"there"};
  psc_hooks *doubled, *silent, *failing;
  OK(psc_hooks_new(doubling, 1, names, 1, &doubled));
  OK(psc_hooks_new(doubling, 1, elsewhere, 1, &silent));
  OK(psc_hooks_new(doubling, 13, names, 1, &failing));
  fails(psc_hooks_new(NULL, 1, names, 1, &(psc_hooks *){NULL}), PSC_ERR_VALUE, "need a callback");
  CHECK(psc_live_handles(PSC_KIND_HOOKS) == 3);
  CHECK(run(root, NULL, x) == 3 && run(root, doubled, x) == 6 && run(root, silent, x) == 3);
  psc_value arg = tensor_value(x), result;
  int32_t n;
  fails(psc_module_call(root, "forward", failing, &plainly, &arg, 1, &result, 1, &n), PSC_ERR_CALLBACK,
        "a hook failed");
  CHECK(run(root, NULL, x) == 3); /* nothing of the failed run is left on the thread */
  fails(psc_module_call(root, "broken", NULL, &plainly, &arg, 1, &result, 1, &n), PSC_ERR_VALUE,
        "shape '[7]' is invalid");
  fails(psc_module_call(root, "absent", NULL, &plainly, &arg, 1, &result, 1, &n), PSC_ERR_VALUE, "absent");

  psc_module *first, *second; /* modules that share code, with different names of the hook point */
  OK(psc_module_new("Part", &first));
  OK(psc_module_add_text(first, "part", "he"));
  OK(psc_module_add_parameter(first, "weight", weight));
  OK(psc_module_define(
      first,
      "def forward(self, x: Tensor) -> Tensor:\n"
      "    return lens.hook_point(x, self.part, \"re\") * self.weight if lens.hooked(self.part, \"re\") else x\n"));
  OK(psc_module_like(first, &second));
  fails(psc_module_call(second, "forward", doubled, &plainly, &(psc_value){.tag = PSC_TAG_TENSOR, .as = {.p = x}}, 1,
                        &(psc_value){0}, 1, &(int32_t){0}),
        PSC_ERR_VALUE, "Expected");
  OK(psc_module_add_text(second, "part", "el"));
  OK(psc_module_add_parameter(second, "weight", x));
  CHECK(run(first, NULL, x) == 1 && run(first, doubled, x) == 6 && run(second, doubled, x) == 1);
  psc_module_free(first);
  psc_module_free(second);

  const char *text;
  OK(psc_module_parameter_names(root, &text));
  CHECK(strcmp(text, "child.weight\n") == 0);
  OK(psc_module_child(root, "child", &again));
  OK(psc_module_parameter(again, "weight", &same));
  psc_tensor_free(same);
  psc_module_free(again);
  fails(psc_module_child(child, "weight", &again), PSC_ERR_VALUE, "not a submodule");
  fails(psc_module_parameter(root, "child", &same), PSC_ERR_VALUE, "not a tensor");

  fails(psc_module_save(root, "/dev/full", ""), PSC_ERR_VALUE, "cannot be written");
  OK(psc_module_save(root, file, "{\"a\": 1}"));
  psc_module *loaded;
  OK(psc_module_load(file, PSC_DEVICE_CPU, 0, &loaded, &text));
  CHECK(strcmp(text, "{\"a\": 1}") == 0);
  CHECK(run(loaded, doubled, x) == 6);
  remove(file);
  fails(psc_module_load(file, PSC_DEVICE_CPU, 0, &again, &text), PSC_ERR_VALUE, "open file failed");

  psc_module_free(loaded);
  psc_module_free(root);
  psc_module_free(child);
  psc_hooks_free(doubled);
  psc_hooks_free(silent);
  psc_hooks_free(failing);
  psc_hooks_free(NULL);
  psc_tensor_free(weight);
  psc_tensor_free(x);
}

static void exchange(void) {
  float data[6] = {1, 2, 3, 4, 5, 6};
  psc_tensor *borrowed, *t, *back;
  psc_value shape_like, made;
  const psc_op *clone;
  int32_t n;
  void *managed;
  OK(psc_tensor_wrap(data, PSC_FLOAT32, (int64_t[]){2, 3}, 2, &borrowed));
  fails(psc_dlpack_export(borrowed, &managed), PSC_ERR_VALUE, "belongs to another owner");
  OK(psc_op_find("aten::clone", "", &clone));
  shape_like = tensor_value(borrowed);
  psc_call watched = {.watch = 1};
  OK(psc_op_call(clone, &watched, &shape_like, 1, &made, 1, &n));
  CHECK(watched.allocated >= (int64_t)sizeof data && watched.peak >= (int64_t)sizeof data);
  t = made.as.p;

  OK(psc_dlpack_export(t, &managed));
  CHECK(psc_live_handles(PSC_KIND_EXPORT) == 1);
  psc_tensor_free(t); /* the export keeps the memory */
  OK(psc_dlpack_import(managed, &back));
  psc_tensor_info info;
  OK(psc_tensor_describe(back, &info));
  CHECK(info.rank == 2 && info.sizes[1] == 3 && ((float *)(intptr_t)info.address)[5] == 6);
  OK(psc_dlpack_export(back, &managed));
  psc_dlpack_free(managed);
  CHECK(psc_live_handles(PSC_KIND_EXPORT) == 1);

  _Alignas(8) char schema[72], array[80];
  fails(psc_arrow_export(borrowed, "x", schema, array), PSC_ERR_VALUE, "belongs to another owner");
  OK(psc_arrow_export(back, "x", schema, array));
  psc_tensor_free(back);
  OK(psc_arrow_import(schema, array, &t));
  fails(psc_arrow_import(schema, array, &back), PSC_ERR_VALUE, "released already");
  OK(psc_tensor_describe(t, &info));
  CHECK(info.rank == 2 && info.sizes[0] == 2 && ((float *)(intptr_t)info.address)[4] == 5);
  OK(psc_arrow_export(t, "x", schema, array));
  psc_arrow_release(schema, array);
  psc_arrow_release(schema, array);
  psc_tensor_free(t);
  psc_tensor_free(borrowed);
  CHECK(psc_live_handles(PSC_KIND_EXPORT) == 0);
}

static int32_t double_gradient(int64_t run, const char *name, psc_tensor *gradient, psc_tensor **replacement) {
  CHECK(strcmp(name, "here") == 0);
  if (run == 13) return PSC_ERR_UNKNOWN;
  const psc_op *add;
  psc_value args[2] = {tensor_value(gradient), tensor_value(gradient)}, result;
  int32_t n;
  OK(psc_op_find("aten::add", "Tensor", &add));
  OK(psc_op_call(add, &plainly, args, 2, &result, 1, &n));
  *replacement = result.as.p;
  return PSC_OK;
}

static void gradient_hooks(void) {
  for (int64_t run = 12; run <= 13; run++) {
    float data[1] = {3};
    psc_tensor *t, *leaf, *gradient;
    const psc_op *mul;
    psc_value result;
    int32_t n;
    psc_call keeping = {.gradients = 1};
    psc_hooks *hooks;
    OK(psc_tensor_wrap(data, PSC_FLOAT32, NULL, 0, &t));
    OK(psc_grad_leaf(t, &leaf));
    OK(psc_hooks_new(double_gradient, run, NULL, 0, &hooks));
    OK(psc_hooks_on_gradient(hooks, "here", leaf));
    psc_hooks_free(hooks);
    OK(psc_op_find("aten::mul", "Tensor", &mul));
    psc_value args[2] = {tensor_value(leaf), tensor_value(leaf)};
    OK(psc_op_call(mul, &keeping, args, 2, &result, 1, &n));
    psc_tensor *output = result.as.p;
    if (run == 13) {
      fails(psc_grad_compute(output, &leaf, 1, &gradient), PSC_ERR_CALLBACK, "gradient failed");
    } else {
      OK(psc_grad_compute(output, &leaf, 1, &gradient));
      psc_tensor_info info;
      OK(psc_tensor_describe(gradient, &info));
      CHECK(*(float *)(intptr_t)info.address == 12); /* twice 2x */
      psc_tensor_free(gradient);
    }
    psc_tensor_free(output);
    psc_tensor_free(leaf);
    psc_tensor_free(t);
  }
}

/* Tests what holds for any device; `index` is the number of an existing one. */
static void device(int32_t type, int32_t index) {
  const char *name;
  int64_t bytes, allocated, reserved, before;
  OK(psc_device_describe(type, index, &name, &bytes));
  CHECK(name != NULL && bytes >= 0);
  OK(psc_device_memory(type, index, &before, &reserved));
  psc_tensor *t, *host, *again;
  OK(psc_tensor_empty(PSC_FLOAT32, (int64_t[]){1 << 20}, 1, type, index, &t));
  OK(psc_device_memory(type, index, &allocated, &reserved));
  CHECK(type == PSC_DEVICE_CPU ? allocated == 0 && reserved == 0
                               : allocated - before == 4 << 20 && reserved >= allocated);

  const psc_op *fill;
  OK(psc_op_find("aten::fill_", "Scalar", &fill));
  psc_value args[] = {tensor_value(t), {.tag = PSC_TAG_DOUBLE, .as = {.d = 2.5}}}, result;
  int32_t n;
  OK(psc_op_call(fill, &plainly, args, 2, &result, 1, &n));
  psc_tensor_free(result.as.p);
  psc_transfer *transfer;
  OK(psc_transfer_begin(t, &transfer));
  CHECK(psc_live_handles(PSC_KIND_TRANSFER) == 1);
  OK(psc_transfer_finish(transfer, &host));
  OK(psc_transfer_finish(transfer, &again));
  psc_transfer_free(transfer);
  psc_transfer_free(NULL);
  psc_tensor_info info;
  OK(psc_tensor_describe(host, &info));
  CHECK(info.device_type == PSC_DEVICE_CPU && info.contiguous == 1 && info.bytes == 4 << 20);
  CHECK(((const float *)(intptr_t)info.address)[0] == 2.5f &&
        ((const float *)(intptr_t)info.address)[(1 << 20) - 1] == 2.5f);
  psc_tensor_free(again);
  psc_tensor_free(host);
  OK(psc_transfer_begin(t, &transfer));
  psc_transfer_free(transfer); /* a transfer that was not waited for */
  OK(psc_device_synchronize(type, index));

  if (type != PSC_DEVICE_CPU) {
    fails(psc_tensor_empty(PSC_FLOAT32, (int64_t[]){INT64_C(1) << 48}, 1, type, index, &again), PSC_ERR_OUT_OF_MEMORY,
          "out of memory");
    CHECK(again == NULL);
    psc_value mixed[] = {tensor_value(t), tensor_value(NULL)};
    const psc_op *add;
    OK(psc_op_find("aten::add", "Tensor", &add));
    OK(psc_tensor_empty(PSC_FLOAT32, (int64_t[]){1 << 20}, 1, PSC_DEVICE_CPU, 0, &host));
    mixed[1].as.p = host;
    fails(psc_op_call(add, &plainly, mixed, 2, &result, 1, &n), PSC_ERR_VALUE, "same device");
    psc_tensor_free(host);
    void *managed;
    OK(psc_dlpack_export(t, &managed));
    OK(psc_dlpack_import(managed, &again));
    OK(psc_tensor_describe(again, &info));
    CHECK(info.device_type == type && info.device_index == index);
    psc_tensor_free(again);
  }
  psc_tensor_free(t);
  OK(psc_device_trim(type, index));
  OK(psc_device_memory(type, index, &allocated, &reserved));
  CHECK(allocated == before && reserved - before < 4 << 20);
}

static void devices(void) {
  int32_t n;
  const char *name;
  int64_t bytes;
  OK(psc_device_count(PSC_DEVICE_CPU, &n));
  CHECK(n == 1);
  OK(psc_device_count(PSC_DEVICE_MPS, &n));
  fails(psc_device_count(99, &n), PSC_ERR_VALUE, "device type 99");
  fails(psc_device_describe(PSC_DEVICE_CPU, 1, &name, &bytes), PSC_ERR_INDEX, "device 1 is not one of 1");
  CHECK(name == NULL);
  fails(psc_device_memory(PSC_DEVICE_CPU, -1, &bytes, &bytes), PSC_ERR_INDEX, "device -1");
  fails(psc_device_trim(99, 0), PSC_ERR_VALUE, "device type 99");
  fails(psc_device_synchronize(PSC_DEVICE_CPU, 1), PSC_ERR_INDEX, "device 1");
  device(PSC_DEVICE_CPU, 0);
  OK(psc_device_count(PSC_DEVICE_CUDA, &n));
  for (int32_t i = 0; i < n; i++) device(PSC_DEVICE_CUDA, i);
  fails(psc_device_describe(PSC_DEVICE_CUDA, n, &name, &bytes), PSC_ERR_INDEX, "is not one of");
}

int main(int argc, char **argv) {
  CHECK(argc == 2); /* the path of a file that may be written */
  runtime();
  tensors();
  operators();
  odd_tensors();
  modules_and_hooks(argv[1]);
  exchange();
  gradient_hooks();
  devices();
  for (int32_t kind = PSC_KIND_TENSOR; kind <= PSC_KIND_TRANSFER; kind++) CHECK(psc_live_handles(kind) == 0);
  printf("psc_test: %d checks hold, no handle is left\n", checks);
  return 0;
}
