// Attention, for rows.cpp: compiled together with rows_body.h, after it, on its vectors.

// Vectors that are processed together. Each is multiplied by TOGETHER numbers: the registers hold as many sums as that
// makes, and no sum has to wait for the one before.
constexpr int64_t VECTORS = LANES == 16 ? 4 : 2;

INLINE Floats load(const float *from) {
  Floats floats;
  std::memcpy(&floats, from, sizeof floats);
  return floats;
}

INLINE void store(float *to, const Floats &floats) { std::memcpy(to, &floats, sizeof floats); }

// Interleaves the lanes of two vectors: of their first halves, or of their second halves.
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

// Transposes LANES vectors of LANES. Each step interleaves both halves of the vectors, a perfect shuffle; after as many
// steps as a lane's number has bits, the numbers of row and lane have changed places.
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

// Loads the queries, scaled and transposed so that a vector holds LANES queries; zeros after the last one.
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

// Rounds up to a multiple of TOGETHER.
INLINE int64_t whole(int64_t count) { return (count + TOGETHER - 1) / TOGETHER * TOGETHER; }

// Loads keys or values, with zeros after the last one.
INLINE void take_positions(float *to, const bf16 *from, int64_t step, int64_t count, int64_t d_head, int64_t width) {
  for (int64_t i = 0; i < whole(count); i++) {
    for (int64_t at = 0; at < width; at += LANES) {
      Floats taken = i < count && at < d_head ? load_up_to(from + i * step + at, d_head - at) : Floats{};
      store(to + i * width + at, taken);
    }
  }
}

// Multiplies TOGETHER keys by COUNT vectors of queries.
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

// Computes the scores of `count` keys from position `start` on. Vectors whose queries all come before a key are
// skipped.
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

// Replaces scores by the exponentials of their differences to the largest score so far. Keys after the query are not
// counted.
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
      most = score > most ? score : most;  // false for a NaN, which the sum shows
    }
    for (int64_t key = seen_by_all; key < seen; key++) {
      Floats score = load(scores + key * QUERIES);
      score = lanes >= static_cast<int32_t>(start + key - head.first - i) ? score : none;
      store(scores + key * QUERIES, score);
      most = score > most ? score : most;
    }
    // Before the first finite score there is nothing to scale, and infinity minus infinity is no number.
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

// Adds what TOGETHER queries read of COUNT vectors of the values: all queries read `seen` keys, and each query reads
// one key more than the query before it.
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
    int64_t seen = head.first + query - start + 1;  // by the first of these queries
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

// Computes attention over the keys block by block, so that all data stays in the cache. The sums so far are scaled
// whenever a larger score appears.
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
    float sum = scratch.sums[query] == 0 ? 1 : scratch.sums[query];  // if all scores are -infinity, the result is 0
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
