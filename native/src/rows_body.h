// The row kernels that rows.cpp compiles once for each width of a processor's vectors. It includes this file in a
// namespace that defines LANES, the number of floats in a vector. Everything is inlined into the functions there, and
// so compiled for their processor.

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef bf16 Halves __attribute__((vector_size(2 * LANES)));

// The values of lanes after the end of a row.
constexpr bf16 ZERO = 0;
constexpr bf16 MINUS_INFINITY = 0xff80;
// The number of logits that are processed together: they stay in the first-level cache.
constexpr int64_t BLOCK = 4096;

// ------------------------------------------------------------------------------------------------- vectors

INLINE Floats all(float value) { return Floats{} + value; }

INLINE Floats widened(const Halves &halves) {
  Bits bits = __builtin_convertvector(halves, Bits) << 16;
  Floats floats;
  std::memcpy(&floats, &bits, sizeof floats);
  return floats;
}

// Rounds to the nearest bfloat16, ties to even; NaN stays NaN.
INLINE Halves rounded(const Floats &floats) {
  Bits bits;
  std::memcpy(&bits, &floats, sizeof bits);
  Bits nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  Bits result = floats == floats ? nearest : Bits{} + 0x7fc0;
  return __builtin_convertvector(result, Halves);
}

INLINE Floats load(const bf16 *from) {
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  return widened(halves);
}

// Loads the first `count` elements, with `rest` in the other lanes.
INLINE Floats load_some(const bf16 *from, int64_t count, bf16 rest) {
  bf16 lanes[LANES];
  for (int64_t i = 0; i < LANES; i++) lanes[i] = i < count ? from[i] : rest;
  return load(lanes);
}

INLINE void store(bf16 *to, const Floats &floats) {
  Halves halves = rounded(floats);
  std::memcpy(to, &halves, sizeof halves);
}

INLINE void store_some(bf16 *to, const Floats &floats, int64_t count) {
  bf16 lanes[LANES];
  store(lanes, floats);
  for (int64_t i = 0; i < count; i++) to[i] = lanes[i];
}

INLINE float sum_of(const Floats &floats) {
  float sum = 0;
  for (int64_t i = 0; i < LANES; i++) sum += floats[i];
  return sum;
}

INLINE float most_of(const Floats &floats) {
  float most = floats[0];
  for (int64_t i = 1; i < LANES; i++) most = floats[i] > most ? floats[i] : most;
  return most;
}

// e^x to about the precision of float32: 2^n e^r with |r| <= ln(2) / 2, and e^r by a polynomial (Cephes). 0 and
// infinity where float32 has no number; NaN for NaN.
INLINE Floats exponential(const Floats &given) {
  Floats x = given > 100.0f ? all(100.0f) : given;
  x = x < -110.0f ? all(-110.0f) : x;
  constexpr float TO_INTEGER = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  Floats shifted = x * 1.44269504f + TO_INTEGER;
  Floats n = shifted - TO_INTEGER;
  Floats r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  Floats p = all(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  // Two factors: 2^n alone may exceed float32 where the result does not. Infinity and 0 result without special cases.
  Ints bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  Ints whole = bits - 0x4b400000;
  Ints half = whole >> 1;
  Ints first = (half + 127) << 23;
  Ints second = (whole - half + 127) << 23;
  Floats scale;
  Floats scale_again;
  std::memcpy(&scale, &first, sizeof scale);
  std::memcpy(&scale_again, &second, sizeof scale_again);
  Floats result = p * scale * scale_again;
  return x == x ? result : x;  // for a NaN, n is no number
}

INLINE Floats relu(const Floats &x) { return x < 0.0f ? Floats{} : x; }

// x (1 + tanh(u)) / 2 = x / (1 + e^-2u), with u = sqrt(2 / pi) (x + 0.044715 x^3).
INLINE Floats gelu(const Floats &x) {
  Floats u = 0.7978845608f * (x + 0.044715f * x * x * x);
  return x / (1.0f + exponential(-2.0f * u));
}

// ------------------------------------------------------------------------------------------------- rows

INLINE void bias_gelu(bf16 *row, const bf16 *bias, int64_t count) {
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) store(row + i, gelu(load(row + i) + load(bias + i)));
  int64_t rest = count - i;
  if (rest > 0) store_some(row + i, gelu(load_some(row + i, rest, ZERO) + load_some(bias + i, rest, ZERO)), rest);
}

INLINE void bias_relu(bf16 *row, const bf16 *bias, int64_t count) {
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) store(row + i, relu(load(row + i) + load(bias + i)));
  int64_t rest = count - i;
  if (rest > 0) store_some(row + i, relu(load_some(row + i, rest, ZERO) + load_some(bias + i, rest, ZERO)), rest);
}

// Multiplies by 0 or 1, as libtorch's operators do: NaN and infinity times 0 are NaN.
INLINE Floats above(const Floats &h, const Floats &threshold) {
  return relu(h) * (h > threshold ? all(1.0f) : Floats{});
}

INLINE void bias_threshold(bf16 *row, const bf16 *bias, const bf16 *threshold, int64_t count) {
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) store(row + i, above(load(row + i) + load(bias + i), load(threshold + i)));
  int64_t rest = count - i;
  if (rest <= 0) return;
  Floats h = load_some(row + i, rest, ZERO) + load_some(bias + i, rest, ZERO);
  store_some(row + i, above(h, load_some(threshold + i, rest, ZERO)), rest);
}

// The source of numbers: a row, or the sum of a row, an update and a bias.
struct Row {
  const bf16 *row;
  __attribute__((always_inline)) Floats at(int64_t i) const { return load(row + i); }
  __attribute__((always_inline)) Floats some(int64_t i, int64_t count) const { return load_some(row + i, count, ZERO); }
};

struct Sum {
  const bf16 *row;
  const bf16 *update;
  const bf16 *bias;
  __attribute__((always_inline)) Floats at(int64_t i) const {
    return load(row + i) + (load(update + i) + load(bias + i));
  }
  __attribute__((always_inline)) Floats some(int64_t i, int64_t count) const {
    Floats added = load_some(update + i, count, ZERO) + load_some(bias + i, count, ZERO);
    return load_some(row + i, count, ZERO) + added;
  }
};

INLINE void add(bf16 *sum, const bf16 *row, const bf16 *update, const bf16 *bias, int64_t count) {
  Sum source{row, update, bias};
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) store(sum + i, source.at(i));
  int64_t rest = count - i;
  if (rest > 0) store_some(sum + i, source.some(i, rest), rest);
}

// Computes the variance from the differences to the mean, not from the squares, so that nothing cancels. The row is
// read three times, from the cache.
template <class Source>
INLINE void normalized(bf16 *out, const Source &source, float eps, int64_t count) {
  Floats sums = Floats{};
  Floats squares = Floats{};
  int64_t whole = count - count % LANES;
  int64_t rest = count - whole;
  for (int64_t i = 0; i < whole; i += LANES) sums += source.at(i);
  if (rest > 0) sums += source.some(whole, rest);
  float mean = sum_of(sums) / static_cast<float>(count);
  for (int64_t i = 0; i < whole; i += LANES) {
    Floats difference = source.at(i) - mean;
    squares += difference * difference;
  }
  float more = 0;
  for (int64_t i = 0; i < rest; i++) {
    float difference = source.some(whole + i, 1)[0] - mean;
    more += difference * difference;
  }
  float scale = 1.0f / std::sqrt((sum_of(squares) + more) / static_cast<float>(count) + eps);
  for (int64_t i = 0; i < whole; i += LANES) store(out + i, (source.at(i) - mean) * scale);
  if (rest > 0) store_some(out + whole, (source.some(whole, rest) - mean) * scale, rest);
}

INLINE void norm(bf16 *out, const bf16 *row, float eps, int64_t count) { normalized(out, Row{row}, eps, count); }

// Normalizes the sum before it is rounded: the norm has no error of that rounding.
INLINE void add_norm(bf16 *sum, bf16 *out, const bf16 *row, const bf16 *update, const bf16 *bias, float eps,
                     int64_t count) {
  normalized(out, Sum{row, update, bias}, eps, count);
  add(sum, row, update, bias, count);
}

// One pass over the row: for each block the largest logit, then the sum of exponentials; the sum so far is rescaled.
INLINE float log_prob(const bf16 *row, const bf16 *bias, int64_t target, int64_t count) {
  float largest = -std::numeric_limits<float>::infinity();
  double sum = 0;
  Floats logits[BLOCK / LANES];
  for (int64_t start = 0; start < count; start += BLOCK) {
    int64_t size = std::min(BLOCK, count - start);
    int64_t vectors = (size + LANES - 1) / LANES;
    const bf16 *from = row + start;
    const bf16 *add = bias + start;
    Floats most = all(largest);
    for (int64_t v = 0; v < vectors; v++) {
      int64_t at = v * LANES, rest = size - at;
      Floats given = rest >= LANES ? load(from + at) : load_some(from + at, rest, MINUS_INFINITY);
      Floats logit = given + (rest >= LANES ? load(add + at) : load_some(add + at, rest, ZERO));
      logits[v] = logit;
      most = logit > most ? logit : most;  // false for a NaN, which the sum shows
    }
    float now = most_of(most);
    // Before the first finite logit there is nothing to scale, and infinity minus infinity is no number.
    float shift = now == -std::numeric_limits<float>::infinity() ? 0.0f : now;
    Floats even = Floats{};
    Floats odd = Floats{};
    int64_t v = 0;
    for (; v + 2 <= vectors; v += 2) {
      even += exponential(logits[v] - shift);
      odd += exponential(logits[v + 1] - shift);
    }
    if (v < vectors) even += exponential(logits[v] - shift);
    if (sum != 0) sum *= std::exp(largest - shift);
    sum += sum_of(even + odd);
    largest = now;
  }
  float logit = load_some(row + target, 1, ZERO)[0] + load_some(bias + target, 1, ZERO)[0];
  return static_cast<float>(logit - largest - std::log(sum));
}
