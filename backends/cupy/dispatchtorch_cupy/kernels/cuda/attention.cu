// Weights of attention between two products. Defined: T (of queries), A (of scores), M (of
// the mask: u8 hides where it is 0, else it is added).
// A block takes the scores of one query. ``hidden``: keys behind the query's own place.

struct Args {
  i64 rows, keys, queries, heads, width;
  i64 mask[4];  // strides by sample, head, query, key
  A scale;
  int causal, has_mask;
};

DEVICE A masked(A score, const M* mask, const Args& g, i64 from, i64 query, i64 k) {
  if (g.causal && k > query) return -INFINITY;
  if (!g.has_mask) return score;
#if MASK_HIDES
  return mask[from + k * g.mask[3]] ? score : (A)-INFINITY;
#else
  return score + (A)wide(mask[from + k * g.mask[3]]);
#endif
}

DEVICE i64 mask_start(const Args& g, i64 row, i64 query) {
  const i64 head = row / g.queries;
  return head / g.heads * g.mask[0] + head % g.heads * g.mask[1] + query * g.mask[2];
}

KERNEL attention_weights(T* weights, A* sums, const A* scores, const M* mask,
                         const Args g) {
  __shared__ A held[32];
  const i64 row = blockIdx.x, query = row - quotient(row, g.queries) * g.queries;
  const i64 from = g.has_mask ? mask_start(g, row, query) : 0;
  const A* s = scores + row * g.keys;
  A top = -INFINITY;
  for (i64 k = threadIdx.x; k < g.keys; k += blockDim.x)
    top = Greater::join(top, masked(s[k], mask, g, from, query, k));
  top = block_reduce<Greater>(top, (A)-INFINITY, held);
  if (top == -INFINITY) top = 0;
  A total = 0;
  for (i64 k = threadIdx.x; k < g.keys; k += blockDim.x)
    total += exp(masked(s[k], mask, g, from, query, k) - top);
  total = block_reduce<Sum>(total, (A)0, held);
  const A scale = total == 0 ? (A)1 : (A)1 / total;
  for (i64 k = threadIdx.x; k < g.keys; k += blockDim.x) {
    const A v = exp(masked(s[k], mask, g, from, query, k) - top) * scale;
    weights[row * g.keys + k] = narrow<T>(v);
  }
  if (threadIdx.x == 0) sums[row] = top + log(total);
}

// The weights anew, and the gradients of the scores.
KERNEL attention_slopes(T* weights, T* slopes, const A* scores, const A* by_weights,
                        const T* grad, const T* output, const A* sums, const M* mask,
                        const Args g) {
  __shared__ A held[32];
  const i64 row = blockIdx.x, query = row - quotient(row, g.queries) * g.queries;
  const i64 from = g.has_mask ? mask_start(g, row, query) : 0;
  A through = 0;
  for (i64 k = threadIdx.x; k < g.width; k += blockDim.x)
    through += (A)wide(grad[row * g.width + k]) * (A)wide(output[row * g.width + k]);
  through = block_reduce<Sum>(through, (A)0, held);
  A sum = sums[row];
  if (sum == -INFINITY) sum = 0;
  for (i64 k = threadIdx.x; k < g.keys; k += blockDim.x) {
    const i64 at = row * g.keys + k;
    const A w = exp(masked(scores[at], mask, g, from, query, k) - sum);
    weights[at] = narrow<T>(w);
    slopes[at] = narrow<T>(w * (by_weights[at] - through) * g.scale);
  }
}
