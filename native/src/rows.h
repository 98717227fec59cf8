// Arithmetic on rows of bfloat16, in float32 inside: what the operators of kernel.cpp do to each row. Plain memory, no
// libtorch.
#pragma once

#include <cstdint>

namespace psc {

// The bits of a bfloat16: the upper half of a float32's.
using bf16 = uint16_t;

// The queries that are worked on together.
constexpr int64_t QUERIES = 64;

// Queries of one head, `count` of them from position `first` on, at most QUERIES. All else is that of position 0, each
// position `..._step` elements behind the one before.
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

// The floats of memory that attention needs, however many positions there are. It is best at a cache line's boundary.
int64_t attention_scratch(int64_t d_head);

// One set for each kind of processor. `count` is the number of elements in a row; rows need not be aligned. NaN and
// infinities go through as they do in libtorch's operators. Results are rounded to the nearest bfloat16, once.
struct RowKernels {
  // row = gelu(row + bias), by tanh
  void (*bias_gelu)(bf16 *row, const bf16 *bias, int64_t count);
  // row = relu(row + bias)
  void (*bias_relu)(bf16 *row, const bf16 *bias, int64_t count);
  // h = row + bias; row = h > threshold ? relu(h) : 0
  void (*bias_threshold)(bf16 *row, const bf16 *bias, const bf16 *threshold, int64_t count);
  // sum = row + update + bias
  void (*add)(bf16 *sum, const bf16 *row, const bf16 *update, const bf16 *bias, int64_t count);
  // out = (row - mean) / sqrt(variance + eps)
  void (*norm)(bf16 *out, const bf16 *row, float eps, int64_t count);
  // sum as above, and out = the norm of it, before it was rounded
  void (*add_norm)(bf16 *sum, bf16 *out, const bf16 *row, const bf16 *update, const bf16 *bias, float eps,
                   int64_t count);
  // log softmax of row + bias at one place
  float (*log_prob)(const bf16 *row, const bf16 *bias, int64_t target, int64_t count);
  // out = softmax(scale q k) v over the keys up to each query's own position; nothing of those after it is seen
  void (*attention)(const HeadQueries &queries, float *scratch);
};

// The newest set that this processor can run, and that limit_kernels() allows.
const RowKernels &row_kernels();

// 0: any processor, 1: AVX2, 2: AVX-512. Gives the set that is used from now on, no newer than `newest`: for tests,
// which try them all.
int64_t limit_kernels(int64_t newest);

}  // namespace psc
