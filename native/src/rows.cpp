// The row kernels. They are written once (rows_body.h, attention_body.h), with the compiler's vector types, and
// compiled once for each kind of processor: code inlined into a function with a target attribute is compiled for that
// target.
#include "rows.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

// Vectors are passed only between functions that are always inlined, so no calling convention matters.
#pragma GCC diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

// For loops over registers: an array is kept in registers only if every index into it is a constant.
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

namespace {

using psc::bf16;
using psc::QUERIES;

// The number of keys that are processed together.
constexpr int64_t KEYS = 64;
// The number of keys, and later of queries, that are multiplied by vectors while those are in registers.
constexpr int64_t TOGETHER = 4;
// The lanes of the widest vectors; the data of a head that attention keeps are padded to a multiple of it.
constexpr int64_t WIDEST = 16;

// The memory of attention while it iterates over the keys, all in float32.
struct Scratch {
  Scratch(float *memory, int64_t d_head)
      : width(filled(d_head)),
        queries(memory),
        keys(queries + width * QUERIES),
        values(keys + KEYS * width),
        out(values + KEYS * width),
        scores(out + QUERIES * width),
        most(scores + KEYS * QUERIES),
        sums(most + QUERIES),
        shrink(sums + QUERIES) {}

  static int64_t filled(int64_t d_head) { return (d_head + WIDEST - 1) / WIDEST * WIDEST; }
  static int64_t size(int64_t d_head) { return 2 * filled(d_head) * (QUERIES + KEYS) + KEYS * QUERIES + 3 * QUERIES; }

  int64_t width;   // d_head, padded with zeros
  float *queries;  // [width, QUERIES], scaled
  float *keys;     // [KEYS, width]
  float *values;   // [KEYS, width]
  float *out;      // [QUERIES, width], before the division by the sums
  float *scores;   // [KEYS, QUERIES], then their exponentials
  float *most;     // [QUERIES], the largest score so far
  float *sums;     // [QUERIES], of the exponentials so far
  float *shrink;   // [QUERIES], the factor for all sums so far when larger scores appear
};

// The kernels of one kind of processor, in a namespace of their own.
#define KERNELS(...)                                                                                                  \
  __VA_ARGS__ void bias_gelu(bf16 *x, const bf16 *b, int64_t n) { body::bias_gelu(x, b, n); }                         \
  __VA_ARGS__ void bias_relu(bf16 *x, const bf16 *b, int64_t n) { body::bias_relu(x, b, n); }                         \
  __VA_ARGS__ void bias_threshold(bf16 *x, const bf16 *b, const bf16 *t, int64_t n) {                                 \
    body::bias_threshold(x, b, t, n);                                                                                 \
  }                                                                                                                   \
  __VA_ARGS__ void add(bf16 *s, const bf16 *x, const bf16 *u, const bf16 *b, int64_t n) { body::add(s, x, u, b, n); } \
  __VA_ARGS__ void norm(bf16 *y, const bf16 *x, float eps, int64_t n) { body::norm(y, x, eps, n); }                   \
  __VA_ARGS__ void add_norm(bf16 *s, bf16 *y, const bf16 *x, const bf16 *u, const bf16 *b, float e, int64_t n) {      \
    body::add_norm(s, y, x, u, b, e, n);                                                                              \
  }                                                                                                                   \
  __VA_ARGS__ float log_prob(const bf16 *x, const bf16 *b, int64_t t, int64_t n) {                                    \
    return body::log_prob(x, b, t, n);                                                                                \
  }                                                                                                                   \
  __VA_ARGS__ void attention(const psc::HeadQueries &q, float *scratch) { body::attention(q, scratch); }              \
  constexpr psc::RowKernels SET{&bias_gelu, &bias_relu, &bias_threshold, &add, &norm, &add_norm, &log_prob, &attention};

namespace any {
constexpr int64_t LANES = 4;
namespace body {
#include "rows_body.h"

#include "attention_body.h"
}  // namespace body
KERNELS()
}  // namespace any

#ifdef __x86_64__
namespace avx2 {
constexpr int64_t LANES = 8;
namespace body {
#include "rows_body.h"

#include "attention_body.h"
}  // namespace body
KERNELS(__attribute__((target("avx2,fma"))))
}  // namespace avx2

namespace avx512 {
constexpr int64_t LANES = 16;
namespace body {
#include "rows_body.h"

#include "attention_body.h"
}  // namespace body
KERNELS(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))))
}  // namespace avx512

constexpr const psc::RowKernels *SETS[] = {&any::SET, &avx2::SET, &avx512::SET};

int64_t newest_here() {
  bool wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (!wide) return 0;
  bool wider = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  bool all = wider && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return all ? 2 : 1;
}
#else
constexpr const psc::RowKernels *SETS[] = {&any::SET};

int64_t newest_here() { return 0; }
#endif

std::atomic<int64_t> used{newest_here()};

}  // namespace

namespace psc {

int64_t attention_scratch(int64_t d_head) { return Scratch::size(d_head); }

const RowKernels &row_kernels() { return *SETS[used.load(std::memory_order_relaxed)]; }

int64_t limit_kernels(int64_t newest) {
  used = std::clamp<int64_t>(newest, 0, newest_here());
  return used;
}

}  // namespace psc
