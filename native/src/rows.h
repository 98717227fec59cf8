// Arithmetic on rows of bfloat16, computed in float32: what the operators of kernel.cpp do to each row. Works on plain
// memory, without libtorch.
#pragma once

#include <cstdint>

namespace psc {

// The bits of a bfloat16: the upper half of those of a float32.
using bf16 = uint16_t;

// The number of queries that are processed together.
constexpr int64_t QUERIES = 64;

// Queries of one head, `count` of them from position `first` on, at most QUERIES. The pointers refer to position 0, and
// each position lies `..._step` elements after the one before.
struct HeadQueries {
  bf16 *out;
  const bf16 *q;
  const bf16 *k;
  const bf16 *v;
  int64_t out_step, q_step, k_step, v_step;
  int64_t first;
  int64_t count;
  int64_t d_head;
  float scale;
};

// The number of floats of memory that attention needs, for any number of positions. Alignment to a cache line is best.
int64_t attention_scratch(int64_t d_head);

// A set of kernels for one kind of processor. `count` is the number of elements in a row; rows need not be aligned. NaN
// and infinities have the effect that they have in libtorch's operators. Results are rounded to the nearest bfloat16,
// once.
struct RowKernels {
  // row = gelu(row + bias), in the approximation by tanh
  void (*bias_gelu)(bf16 *row, const bf16 *bias, int64_t count);
  // row = relu(row + bias)
  void (*bias_relu)(bf16 *row, const bf16 *bias, int64_t count);
  // h = row + bias; row = h > threshold ? relu(h) : 0
  void (*bias_threshold)(bf16 *row, const bf16 *bias, const bf16 *threshold, int64_t count);
  // sum = row + update + bias
  void (*add)(bf16 *sum, const bf16 *row, const bf16 *update, const bf16 *bias, int64_t count);
  // out = (row - mean) / sqrt(variance + eps)
  void (*norm)(bf16 *out, const bf16 *row, float eps, int64_t count);
  // sum = row + update + bias; out = the norm of the sum before it is rounded
  void (*add_norm)(bf16 *sum, bf16 *out, const bf16 *row, const bf16 *update, const bf16 *bias, float eps,
                   int64_t count);
  // log softmax of row + bias at the index `target`
  float (*log_prob)(const bf16 *row, const bf16 *bias, int64_t target, int64_t count);
  // out = softmax(scale q k) v over the keys up to each query's own position; later keys have no effect
  void (*attention)(const HeadQueries &queries, float *scratch);
};

// Returns the newest set that this processor can run and that limit_kernels() allows.
const RowKernels &row_kernels();

// Limits the set of kernels to `newest` (0: any processor, 1: AVX2, 2: AVX-512) and returns the number of the set that
// is used from now on. For tests, which try all sets.
int64_t limit_kernels(int64_t newest);

}  // namespace psc
