// What rows.cpp compiles once for each width of a processor's vectors: it includes this in a namespace that has LANES,
// the floats in a vector. Everything is inlined into the functions there, and so compiled for their processor.

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef bf16 Halves __attribute__((vector_size(2 * LANES)));

// What stands in lanes behind the end of a row.
constexpr bf16 ZERO = 0;
constexpr bf16 MINUS_INFINITY = 0xff80;
// Logits that are looked at together: they stay in the nearest cache.
constexpr int64_t BLOCK = 4096;
// Vectors that are worked on together, times TOGETHER of what is multiplied by them: as many sums as there are
// registers for, and enough that none waits for the one before.
constexpr int64_t VECTORS = LANES == 16 ? 4 : 2;

// ------------------------------------------------------------------------------------------------- vectors

INLINE Floats all(float value) { return Floats{} + value; }

INLINE Floats widened(const Halves &halves) {
  Bits bits = __builtin_convertvector(halves, Bits) << 16;
  Floats floats;
  std::memcpy(&floats, &bits, sizeof floats);
  return floats;
}

// To the nearest, ties to even; NaN stays NaN.
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

// The first `count` elements, and `rest` in the other lanes.
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

// e^x to about float32's precision: 2^n e^r with |r| <= ln(2) / 2, and e^r by its polynomial (Cephes). 0 and infinity
// where float32 has no number; NaN for NaN.
INLINE Floats exponential(const Floats &given) {
  Floats x = given > 100.0f ? all(100.0f) : given;
  x = x < -110.0f ? all(-110.0f) : x;
  constexpr float TO_INTEGER = 12582912.0f;  // 1.5 * 2^23: adding it leaves no room for a fraction
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
  // In two factors: 2^n alone may have no float32 where the result has one, and infinity and 0 come by themselves.
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
  return x == x ? result : x;  // the bits of a NaN's n are none of a number
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

// A product with 0 or 1, as libtorch's operators make it: NaN and infinity times 0 are NaN.
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

// Where numbers come from: a row, or one with an update and a bias added to it.
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

// The variance of the differences to the mean, not that of the squares: nothing cancels. The row is read three times,
// out of the cache.
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

// Of the sum before it is rounded: what reads the norm is spared that rounding.
INLINE void add_norm(bf16 *sum, bf16 *out, const bf16 *row, const bf16 *update, const bf16 *bias, float eps,
                     int64_t count) {
  normalized(out, Sum{row, update, bias}, eps, count);
  add(sum, row, update, bias, count);
}

// In one pass over the row: a block's largest logit, then its sum of exponentials, to which the sum so far is scaled.
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
      most = logit > most ? logit : most;  // a NaN is not: it comes back in the sum
    }
    float now = most_of(most);
    // Before the first finite logit there is nothing to scale, and infinity has no difference to itself.
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

// ------------------------------------------------------------------------------------------------- attention

INLINE Floats load(const float *from) {
  Floats floats;
  std::memcpy(&floats, from, sizeof floats);
  return floats;
}

INLINE void store(float *to, const Floats &floats) { std::memcpy(to, &floats, sizeof floats); }

// The lanes of both in turn: of their first halves, or of their second.
INLINE Floats in_turn(const Floats &even, const Floats &odd, int32_t half) {
#ifdef __clang__
  Floats result;
  UNROLL for (int32_t i = 0; i < LANES; i++) result[i] = (i % 2 == 0 ? even : odd)[half * LANES / 2 + i / 2];
  return result;
#else
  Ints lanes;
  for (int32_t i = 0; i < LANES; i++) lanes[i] = i % 2 * LANES + half * LANES / 2 + i / 2;
  return __builtin_shuffle(even, odd, lanes);
#endif
}

// LANES vectors of LANES: rows become columns. Each step takes them in turn from both halves, as a perfect shuffle of
// cards; after as many as a lane's number has bits, the numbers of row and lane have changed places.
INLINE void transpose(Floats *rows) {
  Floats next[LANES];
  for (int64_t bit = 1; bit < LANES; bit *= 2) {
    for (int64_t i = 0; i < LANES / 2; i++) {
      next[2 * i] = in_turn(rows[i], rows[i + LANES / 2], 0);
      next[2 * i + 1] = in_turn(rows[i], rows[i + LANES / 2], 1);
    }
    std::memcpy(rows, next, sizeof next);
  }
}

INLINE Floats load_up_to(const bf16 *from, int64_t count) {
  return count >= LANES ? load(from) : load_some(from, count, ZERO);
}

// Scaled, and a vector for LANES queries; zeros behind the last one.
INLINE void take_queries(const psc::HeadQueries &head, const Scratch &scratch) {
  for (int64_t i = 0; i < head.count; i += LANES) {
    for (int64_t at = 0; at < head.d_head; at += LANES) {
      Floats tile[LANES];
      for (int64_t row = 0; row < LANES; row++) {
        const bf16 *from = head.q + (head.first + i + row) * head.q_step + at;
        tile[row] = i + row < head.count ? load_up_to(from, head.d_head - at) * head.scale : Floats{};
      }
      transpose(tile);
      for (int64_t column = 0; column < LANES; column++) {
        store(scratch.queries + (at + column) * QUERIES + i, tile[column]);
      }
    }
  }
}

// With what is missing to a multiple of TOGETHER.
INLINE int64_t whole(int64_t count) { return (count + TOGETHER - 1) / TOGETHER * TOGETHER; }

// Keys or values, and zeros behind the last one.
INLINE void take_positions(float *to, const bf16 *from, int64_t step, int64_t count, int64_t d_head, int64_t width) {
  for (int64_t i = 0; i < whole(count); i++) {
    for (int64_t at = 0; at < width; at += LANES) {
      Floats taken = i < count && at < d_head ? load_up_to(from + i * step + at, d_head - at) : Floats{};
      store(to + i * width + at, taken);
    }
  }
}

// TOGETHER keys times COUNT vectors of queries.
template <int64_t COUNT>
INLINE void score(float *scores, const float *keys, const float *queries, int64_t d_head, int64_t width) {
  Floats sums[TOGETHER][COUNT];
  UNROLL for (int64_t key = 0; key < TOGETHER; key++) {
    UNROLL for (int64_t v = 0; v < COUNT; v++) sums[key][v] = Floats{};
  }
  for (int64_t i = 0; i < d_head; i++) {
    Floats query[COUNT];
    UNROLL for (int64_t v = 0; v < COUNT; v++) query[v] = load(queries + i * QUERIES + v * LANES);
    UNROLL for (int64_t key = 0; key < TOGETHER; key++) {
      UNROLL for (int64_t v = 0; v < COUNT; v++) sums[key][v] += query[v] * keys[key * width + i];
    }
  }
  UNROLL for (int64_t key = 0; key < TOGETHER; key++) {
    UNROLL for (int64_t v = 0; v < COUNT; v++) store(scores + key * QUERIES + v * LANES, sums[key][v]);
  }
}

// `start` is the first key's position, `count` how many there are. Vectors whose queries all come before a key are left
// out.
INLINE void score_keys(const psc::HeadQueries &head, const Scratch &scratch, int64_t start, int64_t count) {
  for (int64_t key = 0; key < count; key += TOGETHER) {
    int64_t before = std::max<int64_t>(0, start + key - head.first) / LANES;
    const float *keys = scratch.keys + key * scratch.width;
    for (int64_t i = before * LANES; i < head.count; i += VECTORS * LANES) {
      float *scores = scratch.scores + key * QUERIES + i;
      const float *queries = scratch.queries + i;
      int64_t vectors = (head.count - i + LANES - 1) / LANES;
      if (vectors == 1) {
        score<1>(scores, keys, queries, head.d_head, scratch.width);
      } else if (vectors == 2 || VECTORS == 2) {
        score<2>(scores, keys, queries, head.d_head, scratch.width);
      } else if (vectors == 3) {
        score<3>(scores, keys, queries, head.d_head, scratch.width);
      } else {
        score<4>(scores, keys, queries, head.d_head, scratch.width);
      }
    }
  }
}

// Scores become exponentials of what they are above the largest so far; those of keys behind the query are not counted.
INLINE void weigh_keys(const psc::HeadQueries &head, const Scratch &scratch, int64_t start, int64_t count) {
  Ints lanes;
  for (int32_t i = 0; i < LANES; i++) lanes[i] = i;
  const Floats none = all(-std::numeric_limits<float>::infinity());
  for (int64_t i = 0; i < head.count; i += LANES) {
    int64_t seen_by_all = std::clamp<int64_t>(head.first + i - start + 1, 0, count);
    int64_t seen = std::clamp<int64_t>(head.first + i - start + LANES, 0, count);
    float *scores = scratch.scores + i;
    Floats before = load(scratch.most + i);
    Floats most = before;
    for (int64_t key = 0; key < seen_by_all; key++) {
      Floats score = load(scores + key * QUERIES);
      most = score > most ? score : most;  // a NaN is not: it comes back in the sum
    }
    for (int64_t key = seen_by_all; key < seen; key++) {
      Floats score = load(scores + key * QUERIES);
      score = lanes >= static_cast<int32_t>(start + key - head.first - i) ? score : none;
      store(scores + key * QUERIES, score);
      most = score > most ? score : most;
    }
    // Before the first finite score there is nothing to scale, and infinity has no difference to itself.
    Floats shift = most == none ? Floats{} : most;
    Floats shrink = exponential(before - shift);
    Floats sums = load(scratch.sums + i) * shrink;
    for (int64_t key = 0; key < seen; key++) {
      Floats weight = exponential(load(scores + key * QUERIES) - shift);
      store(scores + key * QUERIES, weight);
      sums += weight;
    }
    store(scratch.most + i, most);
    store(scratch.sums + i, sums);
    store(scratch.shrink + i, shrink);
  }
}

// What TOGETHER queries read of COUNT vectors of the values: of `seen` keys all, and then each of one more than the one
// before.
template <int64_t COUNT>
INLINE void read_values(const Scratch &scratch, int64_t query, int64_t at, int64_t seen, int64_t more) {
  const float *weights = scratch.scores + query;
  const float *values = scratch.values + at;
  float *out = scratch.out + query * scratch.width + at;
  Floats sums[TOGETHER][COUNT];
  UNROLL for (int64_t i = 0; i < TOGETHER; i++) {
    float shrink = scratch.shrink[query + i];
    UNROLL for (int64_t v = 0; v < COUNT; v++) sums[i][v] = load(out + i * scratch.width + v * LANES) * shrink;
  }
  for (int64_t key = 0; key < seen; key++) {
    Floats value[COUNT];
    UNROLL for (int64_t v = 0; v < COUNT; v++) value[v] = load(values + key * scratch.width + v * LANES);
    UNROLL for (int64_t i = 0; i < TOGETHER; i++) {
      UNROLL for (int64_t v = 0; v < COUNT; v++) sums[i][v] += value[v] * weights[key * QUERIES + i];
    }
  }
  UNROLL for (int64_t next = 0; next < TOGETHER - 1; next++) {
    if (next >= more) break;
    int64_t key = seen + next;
    UNROLL for (int64_t i = next + 1; i < TOGETHER; i++) {
      UNROLL for (int64_t v = 0; v < COUNT; v++) {
        sums[i][v] += load(values + key * scratch.width + v * LANES) * weights[key * QUERIES + i];
      }
    }
  }
  UNROLL for (int64_t i = 0; i < TOGETHER; i++) {
    UNROLL for (int64_t v = 0; v < COUNT; v++) store(out + i * scratch.width + v * LANES, sums[i][v]);
  }
}

INLINE void read_keys(const psc::HeadQueries &head, const Scratch &scratch, int64_t start, int64_t count) {
  for (int64_t query = 0; query < head.count; query += TOGETHER) {
    int64_t seen = head.first + query - start + 1;  // by the first of them
    if (seen <= 1 - TOGETHER) continue;
    int64_t more = std::clamp<int64_t>(count - seen, 0, TOGETHER - 1);
    seen = std::min(seen, count);
    for (int64_t at = 0; at < head.d_head; at += VECTORS * LANES) {
      int64_t vectors = (head.d_head - at + LANES - 1) / LANES;
      if (vectors == 1) {
        read_values<1>(scratch, query, at, seen, more);
      } else if (vectors == 2 || VECTORS == 2) {
        read_values<2>(scratch, query, at, seen, more);
      } else if (vectors == 3) {
        read_values<3>(scratch, query, at, seen, more);
      } else {
        read_values<4>(scratch, query, at, seen, more);
      }
    }
  }
}

// The keys a block after the other, so that all of it stays in the cache: what has been read so far is scaled whenever
// a larger score comes.
INLINE void attention(const psc::HeadQueries &head, float *memory) {
  Scratch scratch(memory, head.d_head);
  std::fill_n(scratch.out, whole(head.count) * scratch.width, 0.0f);
  std::fill(scratch.most, scratch.sums, -std::numeric_limits<float>::infinity());
  std::fill(scratch.sums, scratch.shrink, 0.0f);
  take_queries(head, scratch);
  int64_t end = head.first + head.count;
  for (int64_t start = 0; start < end; start += KEYS) {
    int64_t count = std::min(KEYS, end - start);
    take_positions(scratch.keys, head.k + start * head.k_step, head.k_step, count, head.d_head, scratch.width);
    take_positions(scratch.values, head.v + start * head.v_step, head.v_step, count, head.d_head, scratch.width);
    score_keys(head, scratch, start, count);
    weigh_keys(head, scratch, start, count);
    read_keys(head, scratch, start, count);
  }
  for (int64_t query = 0; query < head.count; query++) {
    bf16 *to = head.out + (head.first + query) * head.out_step;
    const float *from = scratch.out + query * scratch.width;
    float sum = scratch.sums[query] == 0 ? 1 : scratch.sums[query];  // with all scores -infinity nothing is read
    for (int64_t at = 0; at < head.d_head; at += LANES) {
      Floats read = load(from + at) / sum;
      if (head.d_head - at >= LANES) {
        store(to + at, read);
      } else {
        store_some(to + at, read, head.d_head - at);
      }
    }
  }
}
