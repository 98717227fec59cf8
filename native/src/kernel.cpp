// Operators that do in one pass over bfloat16 on the CPU what takes several operators of libtorch, each of which would
// read and write everything again: on processors whose bfloat16 products are fast, the operators between a model's
// products may cost as much as the products. Biases are added after the products, as libtorch would first fill the
// product's memory with them.
//
// Where a kernel does not support its arguments (another device, dtype or layout, or gradients are kept), libtorch's
// operators compute the result.
#include "kernel.h"

#include "rows.h"

#include <ATen/ATen.h>
#include <ATen/TensorIterator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/GradMode.h>
#include <torch/library.h>

#include <tuple>

namespace {

using psc::bf16;

// The number of elements that justifies another thread.
constexpr int64_t GRAIN = 32768;
// The number of products of two numbers that justifies another thread.
constexpr int64_t PRODUCT_GRAIN = 1 << 20;

bool plain_values(const at::Tensor &x) {
  return x.device().is_cpu() && x.layout() == at::kStrided && x.scalar_type() == at::kBFloat16 && !x.is_neg() &&
         !(at::GradMode::is_enabled() && x.requires_grad());
}

bool plain(const at::Tensor &x) { return plain_values(x) && x.is_contiguous(); }

// Tensors whose last dimension is a row, and a row that fits them.
bool plain_rows(const at::Tensor &x) { return plain(x) && x.dim() > 0; }
bool plain_row(const at::Tensor &row, const at::Tensor &x) {
  return plain(row) && row.dim() == 1 && row.size(0) == x.size(-1);
}

bf16 *rows_of(const at::Tensor &x) { return reinterpret_cast<bf16 *>(x.data_ptr<at::BFloat16>()); }
const bf16 *read(const at::Tensor &x) { return rows_of(x); }

// Calls work(first, end) for ranges that cover `count` items, on libtorch's own threads; a range has `grain` items or
// more. Uses an iterator over one byte per item, whose loop is compiled in libtorch: at::parallel_for would be compiled
// here, serially without OpenMP, or else against a second OpenMP with threads of its own beside libtorch's.
template <class Work>
void for_ranges(int64_t count, int64_t grain, Work &&work) {
  auto marks = at::empty({count}, at::kByte);
  const char *first = static_cast<const char *>(marks.data_ptr());
  auto iterator = at::TensorIterator::nullary_op(marks);
  auto loop = [&](char **data, const int64_t *strides, int64_t inner, int64_t outer) {
    for (int64_t j = 0; j < outer; j++) {
      int64_t at = data[0] - first + j * strides[1];
      work(at, at + inner);
    }
  };
  iterator.for_each(loop, std::max<int64_t>(1, grain));
}

// Calls work(row) for every row of x.
template <class Work>
void for_rows(const at::Tensor &x, Work &&work) {
  if (x.numel() == 0) return;
  int64_t count = x.size(-1);
  for_ranges(x.numel() / count, GRAIN / count, [&](int64_t first, int64_t end) {
    for (int64_t row = first; row < end; row++) work(row);
  });
}

// x = gelu(x + bias), in the approximation by tanh.
at::Tensor &bias_gelu_(at::Tensor &x, const at::Tensor &bias) {
  if (!plain_rows(x) || !plain_row(bias, x)) return at::gelu_(x.add_(bias), "tanh");
  auto &kernels = psc::row_kernels();
  for_rows(x, [&](int64_t row) { kernels.bias_gelu(rows_of(x) + row * x.size(-1), read(bias), x.size(-1)); });
  return x;
}

// x = relu(x + bias).
at::Tensor &bias_relu_(at::Tensor &x, const at::Tensor &bias) {
  if (!plain_rows(x) || !plain_row(bias, x)) return x.add_(bias).relu_();
  auto &kernels = psc::row_kernels();
  for_rows(x, [&](int64_t row) { kernels.bias_relu(rows_of(x) + row * x.size(-1), read(bias), x.size(-1)); });
  return x;
}

// h = x + bias; x = relu(h) where h > threshold, and 0 elsewhere.
at::Tensor &bias_threshold_(at::Tensor &x, const at::Tensor &bias, const at::Tensor &threshold) {
  if (!plain_rows(x) || !plain_row(bias, x) || !plain_row(threshold, x)) {
    x.add_(bias);
    auto open = x.gt(threshold);
    return x.relu_().mul_(open);
  }
  auto &kernels = psc::row_kernels();
  for_rows(x, [&](int64_t row) {
    kernels.bias_threshold(rows_of(x) + row * x.size(-1), read(bias), read(threshold), x.size(-1));
  });
  return x;
}

bool plain_sum(const at::Tensor &x, const at::Tensor &update, const at::Tensor &bias) {
  return plain_rows(x) && plain(update) && update.sizes() == x.sizes() && plain_row(bias, x);
}

// Returns x + (update + bias).
at::Tensor add_update(const at::Tensor &x, const at::Tensor &update, const at::Tensor &bias) {
  if (!plain_sum(x, update, bias)) return x + (update + bias);
  auto sum = at::empty_like(x);
  auto &kernels = psc::row_kernels();
  int64_t count = x.size(-1);
  for_rows(x, [&](int64_t row) {
    int64_t at = row * count;
    kernels.add(rows_of(sum) + at, read(x) + at, read(update) + at, read(bias), count);
  });
  return sum;
}

at::Tensor composite_norm(const at::Tensor &x, double eps, at::ScalarType dtype) {
  return at::layer_norm(x.to(at::kFloat), {x.size(-1)}, {}, {}, eps).to(dtype);
}

// LayerNorm over the last dimension without weights, computed in float32.
at::Tensor norm(const at::Tensor &x, double eps) {
  if (!plain_rows(x)) return composite_norm(x, eps, x.scalar_type());
  auto out = at::empty_like(x);
  auto &kernels = psc::row_kernels();
  int64_t count = x.size(-1);
  for_rows(x, [&](int64_t row) {
    int64_t at = row * count;
    kernels.norm(rows_of(out) + at, read(x) + at, static_cast<float>(eps), count);
  });
  return out;
}

// Returns x + (update + bias) and its LayerNorm, in one pass; the norm has the dtype of the update.
std::tuple<at::Tensor, at::Tensor> add_norm(const at::Tensor &x, const at::Tensor &update, const at::Tensor &bias,
                                            double eps) {
  if (!plain_sum(x, update, bias)) {
    auto sum = x + (update + bias);
    return {sum, composite_norm(sum, eps, update.scalar_type())};
  }
  auto sum = at::empty_like(x);
  auto out = at::empty_like(x);
  auto &kernels = psc::row_kernels();
  int64_t count = x.size(-1);
  for_rows(x, [&](int64_t row) {
    int64_t at = row * count;
    auto small = static_cast<float>(eps);
    kernels.add_norm(rows_of(sum) + at, rows_of(out) + at, read(x) + at, read(update) + at, read(bias), small, count);
  });
  return {sum, out};
}

// The log softmax of logits + bias [n, d_vocab] at targets [n, 1], float32 [n, 1].
at::Tensor log_prob(const at::Tensor &logits, const at::Tensor &bias, const at::Tensor &targets) {
  TORCH_CHECK(logits.dim() == 2 && targets.dim() == 2 && targets.size(0) == logits.size(0) && targets.size(1) == 1,
              "log_prob needs logits [n, d_vocab] and targets [n, 1], not ", logits.sizes(), " and ", targets.sizes());
  bool known = targets.device().is_cpu() && targets.scalar_type() == at::kLong;
  if (!known || !plain_rows(logits) || !plain_row(bias, logits)) {
    return at::log_softmax(logits.to(at::kFloat) + bias, -1).gather(-1, targets);
  }
  auto places = targets.contiguous();
  const int64_t *place = places.data_ptr<int64_t>();
  int64_t count = logits.size(1);
  for (int64_t row = 0; row < logits.size(0); row++) {
    TORCH_CHECK(place[row] >= 0 && place[row] < count, "index ", place[row],
                " is out of bounds for dimension 1 with size ", count);
  }
  auto out = at::empty({logits.size(0), 1}, at::kFloat);
  float *result = out.data_ptr<float>();
  auto &kernels = psc::row_kernels();
  for_rows(logits, [&](int64_t row) {
    result[row] = kernels.log_prob(read(logits) + row * count, read(bias), place[row], count);
  });
  return out;
}

// Heads [batch, head, pos, d_head] whose last dimension is contiguous; the strides of the others are arbitrary.
bool plain_heads(const at::Tensor &x, const at::Tensor &like) {
  return plain_values(x) && x.dim() == 4 && x.sizes() == like.sizes() && x.numel() > 0 && x.stride(3) == 1;
}

// softmax(scale q k) v over each query's own position and those before it. q, k, v and the result are
// [batch, head, pos, d_head]; the result lies in memory as [batch, pos, head, d_head].
at::Tensor causal_attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, double scale) {
  if (!plain_heads(q, q) || !plain_heads(k, q) || !plain_heads(v, q)) {
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, true, scale);
  }
  int64_t heads = q.size(1), positions = q.size(2), d_head = q.size(3);
  auto out = at::empty({q.size(0), positions, heads, d_head}, q.options()).transpose(1, 2);
  auto head_of = [heads](const at::Tensor &x, int64_t number) {
    return rows_of(x) + number / heads * x.stride(0) + number % heads * x.stride(1);
  };
  int64_t parts = (positions + psc::QUERIES - 1) / psc::QUERIES;
  int64_t products = positions * std::min(positions, psc::QUERIES) * d_head;  // of a part, on average
  auto &kernels = psc::row_kernels();
  for_ranges(q.size(0) * heads * parts, PRODUCT_GRAIN / products, [&](int64_t first, int64_t end) {
    auto scratch = c10::GetCPUAllocator()->allocate(psc::attention_scratch(d_head) * sizeof(float));
    for (int64_t at = first; at < end; at++) {
      int64_t number = at / parts, query = at % parts * psc::QUERIES;
      psc::HeadQueries queries{head_of(out, number),
                               head_of(q, number),
                               head_of(k, number),
                               head_of(v, number),
                               out.stride(2),
                               q.stride(2),
                               k.stride(2),
                               v.stride(2),
                               query,
                               std::min(psc::QUERIES, positions - query),
                               d_head,
                               static_cast<float>(scale)};
      kernels.attention(queries, static_cast<float *>(scratch.get()));
    }
  });
  return out;
}

}  // namespace

namespace psc {

void register_kernels() {
  static torch::Library library(torch::Library::FRAGMENT, "lens", std::nullopt, __FILE__, __LINE__);
  library.def("bias_gelu_(Tensor(a!) x, Tensor bias) -> Tensor(a!)", &bias_gelu_);
  library.def("bias_relu_(Tensor(a!) x, Tensor bias) -> Tensor(a!)", &bias_relu_);
  library.def("bias_threshold_(Tensor(a!) x, Tensor bias, Tensor threshold) -> Tensor(a!)", &bias_threshold_);
  library.def("add_update(Tensor x, Tensor update, Tensor bias) -> Tensor", &add_update);
  library.def("norm(Tensor x, float eps) -> Tensor", &norm);
  library.def("add_norm(Tensor x, Tensor update, Tensor bias, float eps) -> (Tensor, Tensor)", &add_norm);
  library.def("log_prob(Tensor logits, Tensor bias, Tensor targets) -> Tensor", &log_prob);
  library.def("causal_attention(Tensor q, Tensor k, Tensor v, float scale) -> Tensor", &causal_attention);
  library.def("limit_kernels(int newest) -> int", &limit_kernels);
}

}  // namespace psc
