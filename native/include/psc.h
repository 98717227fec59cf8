/*
 * psc.h - the C interface of Panascope's shim, the library between Panascope's Java code and libtorch. The prefix
 * psc stands for Panascope. Pure C11.
 *
 * Rules that hold for every function here:
 *   - A function that can fail returns a status, PSC_OK or a PSC_ERR_ code, and writes its results through trailing
 *     out pointers, which it first sets to NULL or zero. After a failure, psc_last_error() returns one sentence for
 *     the calling thread.
 *   - No C++ exception and no thread state (grad mode, hooks, optimiser switches) outlives a call, except the sentence
 *     of psc_last_error() and returned texts. Callers read those at once: a virtual thread may run on another native
 *     thread at its next call.
 *   - Handles are opaque. Each PSC_OUT_OWNED handle is freed once, by the matching psc_*_free; freeing NULL does
 *     nothing.
 *   - Text is UTF-8, NUL-terminated. Sizes and strides count elements.
 *   - Any thread may call; two threads must not use one handle at the same time unless both only read it.
 */
#ifndef PSC_H
#define PSC_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Who owns the memory that a pointer refers to. One of these precedes every pointer below, which a test checks. */
#define PSC_BORROWED  /* used during the call only; the caller still owns it */
#define PSC_CONSUMED  /* the callee takes ownership, for any status */
#define PSC_OUT       /* the callee writes a plain value there */
#define PSC_OUT_OWNED /* the callee writes a handle there; the caller frees it */
#define PSC_STATIC    /* owned by the shim, for the life of the process; text until this thread's next call */

#if defined(__GNUC__)
#define PSC_API __attribute__((visibility("default")))
#else
#define PSC_API
#endif

/* ---------------------------------------------------------------------------------------------------------- error */

#define PSC_OK 0
#define PSC_ERR_CALLBACK 1        /* a hook returned a status other than PSC_OK */
#define PSC_ERR_OUT_OF_MEMORY 2   /* the host or a device has no memory left */
#define PSC_ERR_INDEX 3           /* an index outside its range */
#define PSC_ERR_VALUE 4           /* a shape, dtype, device or value that does not fit */
#define PSC_ERR_NOT_IMPLEMENTED 5 /* libtorch has no kernel for this */
#define PSC_ERR_UNKNOWN 6         /* an exception of an unknown type */

/* Returns the sentence for the last failed call of this thread; "" if none failed. */
PSC_API PSC_STATIC const char *psc_last_error(void);

/* -------------------------------------------------------------------------------------------------------- runtime */

#define PSC_ABI_VERSION 6

#define PSC_KIND_TENSOR 0
#define PSC_KIND_MODULE 1
#define PSC_KIND_HOOKS 2
#define PSC_KIND_EXPORT 3 /* tensors given to other libraries, which have not released them yet */
#define PSC_KIND_TRANSFER 4

/* Returns PSC_ABI_VERSION of the header that this library was compiled from. */
PSC_API int32_t psc_abi_version(void);

/* Returns the SHA-256, in hexadecimal, of the header that this library was compiled from. */
PSC_API PSC_STATIC const char *psc_header_sha256(void);

/* Returns the libtorch version that this library was compiled for, such as "2.7.1"; its C++ ABI fits no other. */
PSC_API PSC_STATIC const char *psc_built_for(void);

/* Registers the operators of the namespace lens, such as lens::hook_point, and switches the profiling executor off, for
 * the process. Needed once; later calls do nothing. */
PSC_API int32_t psc_runtime_init(void);

/* Returns libtorch's own description of its build (version, BLAS, oneDNN, CUDA) and of its threads. */
PSC_API int32_t psc_runtime_describe(PSC_OUT const char **text);

/* Reads and sets the number of threads that one operator may use. The setter affects the whole process. */
PSC_API int32_t psc_threads_get(PSC_OUT int32_t *threads);
PSC_API int32_t psc_threads_set(int32_t threads);

/* Seeds libtorch's default generators. */
PSC_API int32_t psc_seed(int64_t seed);

/* Counts the handles of a PSC_KIND_ that exist and have not been freed; -1 for an unknown kind. */
PSC_API int64_t psc_live_handles(int32_t kind);

/* --------------------------------------------------------------------------------------------------------- device */

#define PSC_DEVICE_CPU 0
#define PSC_DEVICE_CUDA 1
#define PSC_DEVICE_MPS 2

/* Counts the usable devices of a kind; 0 if there are none, or if libtorch was built without support for the kind. */
PSC_API int32_t psc_device_count(int32_t device_type, PSC_OUT int32_t *count);

/* Returns a device's name and the size of its memory in bytes; "" and 0 where the driver does not report them, and for
 * the CPU. */
PSC_API int32_t psc_device_describe(int32_t device_type, int32_t device_index, PSC_OUT const char **name,
                                    PSC_OUT int64_t *bytes);

/* Returns the bytes of a device's memory that tensors use, and the bytes that libtorch's allocator holds for present
 * and later tensors; 0 for the CPU, whose memory libtorch does not count. */
PSC_API int32_t psc_device_memory(int32_t device_type, int32_t device_index, PSC_OUT int64_t *allocated,
                                  PSC_OUT int64_t *reserved);

/* Gives the memory that libtorch's allocator holds and no tensor uses back to the device. Does nothing on the CPU,
 * where the allocator holds none. */
PSC_API int32_t psc_device_trim(int32_t device_type, int32_t device_index);

/* Waits until a device has finished all work queued on it. Does nothing on the CPU. */
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

#define PSC_MEMORY_PLAIN 0 /* the elements are at the address, in the layout of the strides */
#define PSC_MEMORY_LAZY 1  /* the elements are computed when read: negated, conjugated, or zeros without memory */
#define PSC_MEMORY_NONE 2  /* there are no elements in rows: sparse, quantized, or in a layout of oneDNN */

typedef struct psc_tensor_info {
  int32_t dtype;
  int32_t device_type;
  int32_t device_index; /* 0 on the CPU */
  int32_t rank;
  int32_t contiguous; /* 1 if row-major without gaps */
  int32_t inference;  /* 1 if made in inference mode: such a tensor must never be returned */
  int32_t memory;     /* a PSC_MEMORY_ constant */
  int64_t elements;
  int64_t bytes;
  int64_t address; /* of the first element, on the device; 0 if the memory is not plain */
  int64_t sizes[PSC_MAX_RANK];
  int64_t strides[PSC_MAX_RANK];
} psc_tensor_info;

/* Allocates an uninitialised tensor. */
PSC_API int32_t psc_tensor_empty(int32_t dtype, PSC_BORROWED const int64_t *sizes, int32_t rank, int32_t device_type,
                                 int32_t device_index, PSC_OUT_OWNED psc_tensor **out);

/* Makes a row-major CPU tensor over memory of the caller, without a copy. The memory must outlive every tensor that
 * shares it. */
PSC_API int32_t psc_tensor_wrap(PSC_BORROWED void *data, int32_t dtype, PSC_BORROWED const int64_t *sizes, int32_t rank,
                                PSC_OUT_OWNED psc_tensor **out);

/* Makes another handle to a tensor. */
PSC_API int32_t psc_tensor_alias(PSC_BORROWED const psc_tensor *tensor, PSC_OUT_OWNED psc_tensor **out);

/* Describes a tensor without reading its elements. */
PSC_API int32_t psc_tensor_describe(PSC_BORROWED const psc_tensor *tensor, PSC_OUT psc_tensor_info *info);

/* Returns the elements as a row-major CPU tensor of plain memory and of a given dtype. It shares the memory of a tensor
 * that is one already. */
PSC_API int32_t psc_tensor_host(PSC_BORROWED const psc_tensor *tensor, int32_t dtype, PSC_OUT_OWNED psc_tensor **out);

/* Frees a handle. The memory is freed with the last tensor that shares it. */
PSC_API void psc_tensor_free(PSC_CONSUMED psc_tensor *tensor);

typedef struct psc_transfer psc_transfer;

/* Begins to copy a tensor to the host, into page-locked memory, after the work that its device has queued, and does not
 * wait. A CPU tensor is shared, not copied, unless it has to be made row-major. */
PSC_API int32_t psc_transfer_begin(PSC_BORROWED const psc_tensor *tensor, PSC_OUT_OWNED psc_transfer **out);

/* Waits for the copy and returns it as a row-major CPU tensor. A second call returns another handle to it. */
PSC_API int32_t psc_transfer_finish(PSC_BORROWED psc_transfer *transfer, PSC_OUT_OWNED psc_tensor **out);

/* Frees a transfer, finished or not. */
PSC_API void psc_transfer_free(PSC_CONSUMED psc_transfer *transfer);

/* ------------------------------------------------------------------------------------------------------------- op */

/* An argument or a result. `count` is the length of a list, or the index of a device. */
typedef struct psc_value {
  int32_t tag;
  int32_t count;
  union {
    int64_t i;            /* INT, BOOL, DTYPE (a PSC_ dtype), DEVICE (a PSC_DEVICE_ type) */
    double d;             /* DOUBLE */
    PSC_BORROWED void *p; /* TENSOR, STRING, and the lists of psc_tensor*, int64_t or double */
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

/* Looks up an operator of libtorch's dispatcher, such as "aten::add" with overload "Tensor". Operators that would end
 * the process where arguments do not fit are refused. */
PSC_API int32_t psc_op_find(PSC_BORROWED const char *name, PSC_BORROWED const char *overload,
                            PSC_OUT PSC_STATIC const psc_op **out);

/* Returns the schema of an operator, as libtorch writes it. */
PSC_API int32_t psc_op_schema(PSC_BORROWED const psc_op *op, PSC_OUT const char **text);

/* Lists all operators that psc_op_find accepts, one per line, each with its overload after a dot. */
PSC_API int32_t psc_op_names(PSC_OUT const char **text);

/* Options of a call, and what was measured during it. */
typedef struct psc_call {
  int32_t gradients; /* 1 keeps what gradients need */
  int32_t watch; /* 1 adds up what this thread requests of libtorch's allocators, including calls made by hooks */
  int64_t allocated; /* bytes, if watched */
  int64_t peak;      /* the largest number of these bytes in use at one time */
} psc_call;

/* Calls an operator. Arguments left off at the end take the schema's defaults. The caller owns the tensors among the
 * results; a list or tuple of results is laid out flat. A capacity that is too small is an error, and all results are
 * freed. An operator that would change the shape or the memory of an argument fails too, since the caller may have
 * stored them. */
PSC_API int32_t psc_op_call(PSC_BORROWED const psc_op *op, PSC_BORROWED psc_call *call,
                            PSC_BORROWED const psc_value *args, int32_t count, PSC_OUT_OWNED psc_value *results,
                            int32_t capacity, PSC_OUT int32_t *result_count);

/* --------------------------------------------------------------------------------------------------------- module */

typedef struct psc_module psc_module;
typedef struct psc_hooks psc_hooks;

/* Makes an empty TorchScript module; the name is that of its type. */
PSC_API int32_t psc_module_new(PSC_BORROWED const char *name, PSC_OUT_OWNED psc_module **out);

/* Makes another module of a module's type, with the methods that were compiled for it and without a value for any
 * parameter, text or submodule: calling it before each of those is registered again is an error. */
PSC_API int32_t psc_module_like(PSC_BORROWED const psc_module *model, PSC_OUT_OWNED psc_module **out);

/* Registers a parameter. The module shares the tensor's memory. */
PSC_API int32_t psc_module_add_parameter(PSC_BORROWED psc_module *module, PSC_BORROWED const char *name,
                                         PSC_BORROWED const psc_tensor *tensor);

/* Registers a text as an attribute that methods can read. */
PSC_API int32_t psc_module_add_text(PSC_BORROWED psc_module *module, PSC_BORROWED const char *name,
                                    PSC_BORROWED const char *text);

/* Registers a submodule, which the child's own handle shares. */
PSC_API int32_t psc_module_add_child(PSC_BORROWED psc_module *module, PSC_BORROWED const char *name,
                                     PSC_BORROWED const psc_module *child);

/* Compiles methods from TorchScript source, in which the names `torch` and `lens` are known. */
PSC_API int32_t psc_module_define(PSC_BORROWED psc_module *module, PSC_BORROWED const char *source);

/* Returns a submodule, or a parameter, by name. */
PSC_API int32_t psc_module_child(PSC_BORROWED const psc_module *module, PSC_BORROWED const char *name,
                                 PSC_OUT_OWNED psc_module **out);
PSC_API int32_t psc_module_parameter(PSC_BORROWED const psc_module *module, PSC_BORROWED const char *name,
                                     PSC_OUT_OWNED psc_tensor **out);

/* Lists the names of all parameters, including those of submodules, one per line. */
PSC_API int32_t psc_module_parameter_names(PSC_BORROWED const psc_module *module, PSC_OUT const char **text);

/* Calls a method. `hooks` may be NULL: then no hook is called. All other parameters are those of psc_op_call. */
PSC_API int32_t psc_module_call(PSC_BORROWED const psc_module *module, PSC_BORROWED const char *method,
                                PSC_BORROWED const psc_hooks *hooks, PSC_BORROWED psc_call *call,
                                PSC_BORROWED const psc_value *args, int32_t count, PSC_OUT_OWNED psc_value *results,
                                int32_t capacity, PSC_OUT int32_t *result_count);

/* Saves a module to a .pt file, with `metadata` beside the code; loads a module, with "" for missing metadata. */
PSC_API int32_t psc_module_save(PSC_BORROWED const psc_module *module, PSC_BORROWED const char *path,
                                PSC_BORROWED const char *metadata);
PSC_API int32_t psc_module_load(PSC_BORROWED const char *path, int32_t device_type, int32_t device_index,
                                PSC_OUT_OWNED psc_module **out, PSC_OUT const char **metadata);

/* Frees a handle to a module. */
PSC_API void psc_module_free(PSC_CONSUMED psc_module *module);

/* ------------------------------------------------------------------------------------------------------- gradient */

/* Makes a tensor that gradients can be computed for: it shares the memory of another tensor, but not the history of how
 * that was computed. */
PSC_API int32_t psc_grad_leaf(PSC_BORROWED const psc_tensor *tensor, PSC_OUT_OWNED psc_tensor **out);

/* Sets `flows` to 1 if gradients flow through the tensor, else to 0. */
PSC_API int32_t psc_grad_flows(PSC_BORROWED const psc_tensor *tensor, PSC_OUT int32_t *flows);

/* Computes the gradient of one number with respect to each input, NULL where the number does not depend on the input.
 * Frees what was kept for the gradients. */
PSC_API int32_t psc_grad_compute(PSC_BORROWED const psc_tensor *output, PSC_BORROWED psc_tensor *const *inputs,
                                 int32_t count, PSC_OUT_OWNED psc_tensor **gradients);

/* -------------------------------------------------------------------------------------------------------- exchange */

/*
 * Exchanges tensors with other libraries of this process, without a copy. An exported tensor keeps the memory alive
 * until the other library calls its release function, on any thread. Memory that is only borrowed (psc_tensor_wrap) is
 * not exported, since nothing could keep it alive.
 */

/* Exports a DLManagedTensor (DLPack 0.8, the unversioned form). Its receiver calls the deleter once. */
PSC_API int32_t psc_dlpack_export(PSC_BORROWED const psc_tensor *tensor, PSC_OUT_OWNED void **managed);

/* Makes a tensor over a DLManagedTensor's memory; freeing the last tensor that shares it calls the deleter. Takes
 * ownership only on success. */
PSC_API int32_t psc_dlpack_import(PSC_BORROWED void *managed, PSC_OUT_OWNED psc_tensor **out);

/* Calls the deleter of a DLManagedTensor that has not been imported. */
PSC_API void psc_dlpack_free(PSC_CONSUMED void *managed);

/* Exports a tensor as a column, to an ArrowSchema (72 bytes) and an ArrowArray (80 bytes) of the caller: [rows] as
 * numbers, [rows, n] as fixed-size lists of n. */
PSC_API int32_t psc_arrow_export(PSC_BORROWED const psc_tensor *tensor, PSC_BORROWED const char *name,
                                 PSC_BORROWED void *schema, PSC_BORROWED void *array);

/* Makes a tensor over a column of another library: numbers [rows], or fixed-size lists of them [rows, n]. The column is
 * moved out of `array` (which is marked released, as the Arrow C data interface specifies) and released with the last
 * tensor that shares it; `schema` is released at once. If the column does not fit, both stay unchanged. */
PSC_API int32_t psc_arrow_import(PSC_BORROWED void *schema, PSC_BORROWED void *array, PSC_OUT_OWNED psc_tensor **out);

/* Releases an ArrowSchema and an ArrowArray that have not been imported; skips one that is released already. */
PSC_API void psc_arrow_release(PSC_BORROWED void *schema, PSC_BORROWED void *array);

/* ----------------------------------------------------------------------------------------------------------- hook */

/*
 * Callback at each named hook point that a run reaches, on the thread of that run. `activation` is valid only during
 * the call. *replacement stays NULL to leave the activation unchanged; the shim takes over a tensor written there.
 * Any status other than PSC_OK ends the run with PSC_ERR_CALLBACK. The callback must not unwind through this frame.
 */
typedef int32_t (*psc_hook_fn)(int64_t run, PSC_BORROWED const char *name, PSC_BORROWED psc_tensor *activation,
                               PSC_CONSUMED psc_tensor **replacement);

/* Makes a set of hook point names and their callback; `run` is passed through to it. */
PSC_API int32_t psc_hooks_new(PSC_BORROWED psc_hook_fn callback, int64_t run, PSC_BORROWED const char *const *names,
                              int32_t count, PSC_OUT_OWNED psc_hooks **out);

/* Registers the callback for the gradient of an activation. It is called on the thread that calls psc_grad_compute,
 * when the gradient has been computed; a replacement takes the gradient's place. The name need not be in the set, and
 * the set may be freed before. If the callback fails, psc_grad_compute fails with PSC_ERR_CALLBACK. */
PSC_API int32_t psc_hooks_on_gradient(PSC_BORROWED const psc_hooks *hooks, PSC_BORROWED const char *name,
                                      PSC_BORROWED psc_tensor *activation);

/* Frees a set of hooks. */
PSC_API void psc_hooks_free(PSC_CONSUMED psc_hooks *hooks);

#ifdef __cplusplus
}
#endif
#endif
