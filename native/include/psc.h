/*
 * psc.h - the contract between Panascope's Java side and libtorch. Pure C11.
 *
 * Rules that hold for every function here:
 *   - A function that can fail returns a status, PSC_OK or one PSC_ERR_ code, and writes its results through trailing
 *     out pointers, which it first sets to NULL or zero. psc_last_error() then holds one sentence, for this thread.
 *   - No C++ exception and no thread state (grad mode, hooks, optimiser switches) outlives a call, but for
 *     psc_last_error's sentence and texts, which are to be read at once: a caller's thread may be another one of the
 *     system's at its next call.
 *   - Handles are opaque. Each PSC_OUT_OWNED handle is freed once, by the matching psc_*_free; freeing NULL does
 *     nothing.
 *   - Text is UTF-8, NUL-terminated. Sizes and strides count elements.
 *   - Any thread may call; one handle must not be used by two threads at once unless both only read it.
 */
#ifndef PSC_H
#define PSC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Who owns what a pointer leads to. One of these stands before every pointer below, and a test reads them. */
#define PSC_BORROWED  /* read during the call only; the caller keeps it */
#define PSC_CONSUMED  /* the callee takes it over, whatever the status */
#define PSC_OUT       /* the callee writes a plain value there */
#define PSC_OUT_OWNED /* the callee writes a handle there; the caller frees it */
#define PSC_STATIC    /* belongs to the shim, for the life of the process; text until this thread's next call */

#if defined(__GNUC__)
#define PSC_API __attribute__((visibility("default")))
#else
#define PSC_API
#endif

/* ---------------------------------------------------------------------------------------------------------- error */

#define PSC_OK 0
#define PSC_ERR_CALLBACK 1        /* a hook returned a status other than PSC_OK */
#define PSC_ERR_OUT_OF_MEMORY 2   /* of the host or of a device */
#define PSC_ERR_INDEX 3           /* an index outside its range */
#define PSC_ERR_VALUE 4           /* a shape, dtype, device or value that does not fit */
#define PSC_ERR_NOT_IMPLEMENTED 5 /* libtorch has no kernel for this */
#define PSC_ERR_UNKNOWN 6

/* The sentence for the last failed call of this thread; "" if none failed. */
PSC_API PSC_STATIC const char *psc_last_error(void);

/* -------------------------------------------------------------------------------------------------------- runtime */

#define PSC_ABI_VERSION 6

#define PSC_KIND_TENSOR 0
#define PSC_KIND_MODULE 1
#define PSC_KIND_HOOKS 2
#define PSC_KIND_EXPORT 3 /* tensors given to other libraries, which have not let go of them yet */
#define PSC_KIND_TRANSFER 4

/* PSC_ABI_VERSION of the header this library was compiled from. */
PSC_API int32_t psc_abi_version(void);

/* SHA-256, in hexadecimal, of the header this library was compiled from. */
PSC_API PSC_STATIC const char *psc_header_sha256(void);

/* The libtorch version this library was compiled for, such as "2.7.1"; its C++ ABI fits no other. */
PSC_API PSC_STATIC const char *psc_built_for(void);

/* Registers lens::hook_point and switches the profiling executor off, for the process. Once is enough, twice does no
 * harm. */
PSC_API int32_t psc_runtime_init(void);

/* libtorch's own account of its build (version, BLAS, oneDNN, CUDA) and of its threads. */
PSC_API int32_t psc_runtime_describe(PSC_OUT const char **text);

/* Threads that one operator may use. The setter affects the whole process. */
PSC_API int32_t psc_threads_get(PSC_OUT int32_t *threads);
PSC_API int32_t psc_threads_set(int32_t threads);

/* Seeds libtorch's default generators. */
PSC_API int32_t psc_seed(int64_t seed);

/* Handles of a PSC_KIND_ that were handed out and not freed; -1 for an unknown kind. */
PSC_API int64_t psc_live_handles(int32_t kind);

/* --------------------------------------------------------------------------------------------------------- device */

#define PSC_DEVICE_CPU 0
#define PSC_DEVICE_CUDA 1
#define PSC_DEVICE_MPS 2

/* How many devices of a kind can be used; 0 if there are none, or libtorch was built without them. */
PSC_API int32_t psc_device_count(int32_t device_type, PSC_OUT int32_t *count);

/* A device's name and the bytes of its memory; "" and 0 where the driver does not say, and for the CPU. */
PSC_API int32_t psc_device_describe(int32_t device_type, int32_t device_index, PSC_OUT const char **name,
                                    PSC_OUT int64_t *bytes);

/* Bytes of a device's memory that tensors use, and that libtorch's allocator holds for them and for later ones; 0 for
   the CPU, whose memory it does not count. */
PSC_API int32_t psc_device_memory(int32_t device_type, int32_t device_index, PSC_OUT int64_t *allocated,
                                  PSC_OUT int64_t *reserved);

/* Gives back to the device what libtorch's allocator holds and no tensor uses; nothing on the CPU, where it holds
 * nothing. */
PSC_API int32_t psc_device_trim(int32_t device_type, int32_t device_index);

/* Waits until a device has done all that was asked of it. */
PSC_API int32_t psc_device_synchronize(int32_t device_type, int32_t device_index);

/* --------------------------------------------------------------------------------------------------------- tensor */

typedef struct psc_tensor psc_tensor;

#define PSC_FLOAT32 1
#define PSC_FLOAT64 2
#define PSC_FLOAT16 3
#define PSC_BFLOAT16 4
#define PSC_INT64 5
#define PSC_INT32 6
#define PSC_INT16 7
#define PSC_INT8 8
#define PSC_UINT8 9
#define PSC_BOOL 10
#define PSC_DTYPE_OTHER 0 /* a dtype that this contract does not name */

#define PSC_MAX_RANK 12

#define PSC_MEMORY_PLAIN 0 /* its elements are at its address, as its strides say */
#define PSC_MEMORY_LAZY 1  /* its elements are computed when read: negated, conjugated, or zeros without memory */
#define PSC_MEMORY_NONE 2  /* it has no elements in rows: sparse, quantized, or of a layout of oneDNN's */

typedef struct psc_tensor_info {
  int32_t dtype;
  int32_t device_type;
  int32_t device_index; /* 0 on the CPU */
  int32_t rank;
  int32_t contiguous; /* 1 if row-major without gaps */
  int32_t inference;  /* 1 if made in inference mode: such a tensor must never reach a user */
  int32_t memory;     /* a PSC_MEMORY_ */
  int64_t elements;
  int64_t bytes;
  int64_t address; /* of the first element, on its device; 0 if its memory is not plain */
  int64_t sizes[PSC_MAX_RANK];
  int64_t strides[PSC_MAX_RANK];
} psc_tensor_info;

/* An uninitialised tensor. */
PSC_API int32_t psc_tensor_empty(int32_t dtype, PSC_BORROWED const int64_t *sizes, int32_t rank, int32_t device_type,
                                 int32_t device_index, PSC_OUT_OWNED psc_tensor **out);

/* A row-major CPU tensor over memory of the caller, which must outlive every tensor that shares it. No copy. */
PSC_API int32_t psc_tensor_wrap(PSC_BORROWED void *data, int32_t dtype, PSC_BORROWED const int64_t *sizes, int32_t rank,
                                PSC_OUT_OWNED psc_tensor **out);

/* Another handle to the same tensor. */
PSC_API int32_t psc_tensor_alias(PSC_BORROWED const psc_tensor *tensor, PSC_OUT_OWNED psc_tensor **out);

/* All that can be said of a tensor without looking at its data. */
PSC_API int32_t psc_tensor_describe(PSC_BORROWED const psc_tensor *tensor, PSC_OUT psc_tensor_info *info);

/* The same elements as a row-major CPU tensor of some dtype, of plain memory; shared, not copied, where the tensor is
 * that already. */
PSC_API int32_t psc_tensor_host(PSC_BORROWED const psc_tensor *tensor, int32_t dtype, PSC_OUT_OWNED psc_tensor **out);

PSC_API void psc_tensor_free(PSC_CONSUMED psc_tensor *tensor);

typedef struct psc_transfer psc_transfer;

/* Begins to copy a tensor to the host, into page-locked memory, behind what its device was asked for before, and does
   not wait. A CPU tensor is shared, not copied, unless it has to be made row-major. */
PSC_API int32_t psc_transfer_begin(PSC_BORROWED const psc_tensor *tensor, PSC_OUT_OWNED psc_transfer **out);

/* Waits for the copy: a row-major CPU tensor. Again gives another handle to the same one. */
PSC_API int32_t psc_transfer_finish(PSC_BORROWED psc_transfer *transfer, PSC_OUT_OWNED psc_tensor **out);

/* Lets go of it, finished or not. */
PSC_API void psc_transfer_free(PSC_CONSUMED psc_transfer *transfer);

/* ------------------------------------------------------------------------------------------------------------- op */

/* An argument or a result. `count` is the length of a list, or the index of a device. */
typedef struct psc_value {
  int32_t tag;
  int32_t count;
  union {
    int64_t i;            /* INT, BOOL, DTYPE (a PSC_ dtype), DEVICE (a PSC_DEVICE_ type) */
    double d;             /* DOUBLE */
    PSC_BORROWED void *p; /* TENSOR, STRING, and the lists: of psc_tensor*, int64_t, double */
  } as;
} psc_value;

#define PSC_TAG_NONE 0
#define PSC_TAG_TENSOR 1
#define PSC_TAG_INT 2
#define PSC_TAG_DOUBLE 3
#define PSC_TAG_BOOL 4
#define PSC_TAG_STRING 5
#define PSC_TAG_DTYPE 6
#define PSC_TAG_DEVICE 7
#define PSC_TAG_TENSOR_LIST 8
#define PSC_TAG_INT_LIST 9
#define PSC_TAG_DOUBLE_LIST 10

typedef struct psc_op psc_op;

/* An operator of libtorch's dispatcher, such as "aten::add" with overload "Tensor". Those that would end the process
 * where arguments do not fit are refused. */
PSC_API int32_t psc_op_find(PSC_BORROWED const char *name, PSC_BORROWED const char *overload,
                            PSC_OUT PSC_STATIC const psc_op **out);

/* Its schema, as libtorch writes it. */
PSC_API int32_t psc_op_schema(PSC_BORROWED const psc_op *op, PSC_OUT const char **text);

/* The names of all operators that psc_op_find gives, one a line, each with its overload after a dot. */
PSC_API int32_t psc_op_names(PSC_OUT const char **text);

/* How to call, and what was seen meanwhile. */
typedef struct psc_call {
  int32_t gradients; /* 1 to keep what gradients need */
  int32_t watch; /* 1 to add up what libtorch's allocators are asked for on this thread, calls out of hooks included */
  int64_t allocated; /* bytes, if watched */
  int64_t peak;      /* the most of these that were in use at once */
} psc_call;

/* Calls it. Arguments left off at the end take the schema's defaults. Tensors among the results are owned by the
   caller; a list or tuple of results is laid out flat. Too small a capacity is an error, and frees all. So is an
   operator that would give an argument another shape or other memory: the caller may know the ones it had. */
PSC_API int32_t psc_op_call(PSC_BORROWED const psc_op *op, PSC_BORROWED psc_call *call,
                            PSC_BORROWED const psc_value *args, int32_t count, PSC_OUT_OWNED psc_value *results,
                            int32_t capacity, PSC_OUT int32_t *result_count);

/* --------------------------------------------------------------------------------------------------------- module */

typedef struct psc_module psc_module;
typedef struct psc_hooks psc_hooks;

/* An empty TorchScript module; the name is that of its type. */
PSC_API int32_t psc_module_new(PSC_BORROWED const char *name, PSC_OUT_OWNED psc_module **out);

/* Another module of the same type, with the methods that were compiled for it and, so far, no value for any parameter,
   text or submodule: calling it before each is registered anew is an error. */
PSC_API int32_t psc_module_like(PSC_BORROWED const psc_module *model, PSC_OUT_OWNED psc_module **out);

/* Registers a parameter. The module shares the tensor's memory. */
PSC_API int32_t psc_module_add_parameter(PSC_BORROWED psc_module *module, PSC_BORROWED const char *name,
                                         PSC_BORROWED const psc_tensor *tensor);

/* Registers a text, an attribute that methods can read. */
PSC_API int32_t psc_module_add_text(PSC_BORROWED psc_module *module, PSC_BORROWED const char *name,
                                    PSC_BORROWED const char *text);

/* Registers a submodule, shared with its own handle. */
PSC_API int32_t psc_module_add_child(PSC_BORROWED psc_module *module, PSC_BORROWED const char *name,
                                     PSC_BORROWED const psc_module *child);

/* Compiles methods from TorchScript source. `torch` and `lens` are known names. */
PSC_API int32_t psc_module_define(PSC_BORROWED psc_module *module, PSC_BORROWED const char *source);

/* A submodule, or a parameter, by its name. */
PSC_API int32_t psc_module_child(PSC_BORROWED const psc_module *module, PSC_BORROWED const char *name,
                                 PSC_OUT_OWNED psc_module **out);
PSC_API int32_t psc_module_parameter(PSC_BORROWED const psc_module *module, PSC_BORROWED const char *name,
                                     PSC_OUT_OWNED psc_tensor **out);

/* Names of all parameters, submodules' included, one a line. */
PSC_API int32_t psc_module_parameter_names(PSC_BORROWED const psc_module *module, PSC_OUT const char **text);

/* Calls a method. `hooks` may be NULL: then no hook point reports. The rest as for psc_op_call. */
PSC_API int32_t psc_module_call(PSC_BORROWED const psc_module *module, PSC_BORROWED const char *method,
                                PSC_BORROWED const psc_hooks *hooks, PSC_BORROWED psc_call *call,
                                PSC_BORROWED const psc_value *args, int32_t count, PSC_OUT_OWNED psc_value *results,
                                int32_t capacity, PSC_OUT int32_t *result_count);

/* Writes a .pt file, with `metadata` beside the code; loads one, with "" for absent metadata. */
PSC_API int32_t psc_module_save(PSC_BORROWED const psc_module *module, PSC_BORROWED const char *path,
                                PSC_BORROWED const char *metadata);
PSC_API int32_t psc_module_load(PSC_BORROWED const char *path, int32_t device_type, int32_t device_index,
                                PSC_OUT_OWNED psc_module **out, PSC_OUT const char **metadata);

PSC_API void psc_module_free(PSC_CONSUMED psc_module *module);

/* ------------------------------------------------------------------------------------------------------- gradient */

/* The same memory cut off from how it came about, as something that gradients can be asked of. */
PSC_API int32_t psc_grad_leaf(PSC_BORROWED const psc_tensor *tensor, PSC_OUT_OWNED psc_tensor **out);

/* 1 if gradients flow through the tensor, else 0. */
PSC_API int32_t psc_grad_flows(PSC_BORROWED const psc_tensor *tensor, PSC_OUT int32_t *flows);

/* The gradient of one number with respect to each input, NULL where it does not depend on it. What was kept for it is
 * let go. */
PSC_API int32_t psc_grad_compute(PSC_BORROWED const psc_tensor *output, PSC_BORROWED psc_tensor *const *inputs,
                                 int32_t count, PSC_OUT_OWNED psc_tensor **gradients);

/* -------------------------------------------------------------------------------------------------------- exchange */

/*
 * Tensors to and from other libraries of this process, without a copy. What is exported keeps the memory alive until
 * the other library calls its release function, on any thread; memory that is only borrowed (psc_tensor_wrap) is
 * refused, since nothing could keep it.
 */

/* A DLManagedTensor (DLPack 0.8, the unversioned form). Whoever takes it calls its deleter once. */
PSC_API int32_t psc_dlpack_export(PSC_BORROWED const psc_tensor *tensor, PSC_OUT_OWNED void **managed);

/* A tensor over a DLManagedTensor's memory; the last tensor that shares it calls the deleter. Consumed only if it
 * succeeds. */
PSC_API int32_t psc_dlpack_import(PSC_BORROWED void *managed, PSC_OUT_OWNED psc_tensor **out);

/* Calls the deleter of a DLManagedTensor that nobody took. */
PSC_API void psc_dlpack_free(PSC_CONSUMED void *managed);

/* Fills an ArrowSchema (72 bytes) and an ArrowArray (80 bytes) of the caller's with a column: [rows] as numbers, [rows,
 * n] as fixed-size lists of n. */
PSC_API int32_t psc_arrow_export(PSC_BORROWED const psc_tensor *tensor, PSC_BORROWED const char *name,
                                 PSC_BORROWED void *schema, PSC_BORROWED void *array);

/* A tensor over such a column of another library's, which is moved out of `array` (marked released, as the Arrow C data
   interface says) and released with the last tensor that shares it; `schema` is released at once. A column that does
   not fit is refused, and both are as they were. */
PSC_API int32_t psc_arrow_import(PSC_BORROWED void *schema, PSC_BORROWED void *array, PSC_OUT_OWNED psc_tensor **out);

/* Releases an ArrowSchema and an ArrowArray that nobody took; what is released already stays so. */
PSC_API void psc_arrow_release(PSC_BORROWED void *schema, PSC_BORROWED void *array);

/* ----------------------------------------------------------------------------------------------------------- hook */

/*
 * Called at each named point that a run reaches, on the thread of that run. `activation` ends with the call.
 * Leave *replacement NULL to let the activation pass; a tensor written there is taken over by the shim.
 * Any status but PSC_OK ends the run with PSC_ERR_CALLBACK. The callee must not unwind through this frame.
 */
typedef int32_t (*psc_hook_fn)(int64_t run, PSC_BORROWED const char *name, PSC_BORROWED psc_tensor *activation,
                               PSC_CONSUMED psc_tensor **replacement);

/* A set of hook point names and the function that hears of them; `run` is passed through. */
PSC_API int32_t psc_hooks_new(PSC_BORROWED psc_hook_fn callback, int64_t run, PSC_BORROWED const char *const *names,
                              int32_t count, PSC_OUT_OWNED psc_hooks **out);

/* Calls the callback with the gradient of an activation when it is computed, on the thread that called
   psc_grad_compute; a replacement flows on. The name need not be among the set's, and the set may be freed before.
   Fails with PSC_ERR_CALLBACK out of psc_grad_compute. */
PSC_API int32_t psc_hooks_on_gradient(PSC_BORROWED const psc_hooks *hooks, PSC_BORROWED const char *name,
                                      PSC_BORROWED psc_tensor *activation);

PSC_API void psc_hooks_free(PSC_CONSUMED psc_hooks *hooks);

#ifdef __cplusplus
}
#endif
#endif
