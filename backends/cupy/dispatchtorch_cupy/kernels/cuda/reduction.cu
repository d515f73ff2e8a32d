// Reductions of any dims. Defined: T and O (types in memory of operand and result), A (of
// the arithmetic), PACK, Kept and Gone (where the operand's elements lie: by result, and
// those that a result is made of), START, JOIN(a, b), ELEMENT(v, k), RESULT(a).

#ifdef BETTER
// A value and where it was; of equal ones the first, and NaN before all.
template <typename V> DEVICE Best<V> better(Best<V> a, Best<V> b) {
  if (a.i < 0) return b;
  if (b.i < 0) return a;
  const bool an = a.v != a.v, bn = b.v != b.v;
  if (an || bn) return an && (!bn || a.i < b.i) ? a : b;
  if (a.v == b.v) return a.i < b.i ? a : b;
  return a.v BETTER b.v ? a : b;
}
#endif

struct Op {
  template <typename B> static DEVICE_MEMBER B join(B a, B b) { return JOIN(a, b); }
};

struct Args {
  i64 results, count, parts;  // count: packs of elements (rows), elements (columns)
  i64 share;                  // of each part
  Kept kept;
  Gone gone;
};

// Elements of a result lie next to each other: threads of a warp or block take one.
KERNEL reduce_rows(O* o, const T* x, const Args g) {
  __shared__ A held[32];
  const i64 row = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const i64 part = blockIdx.y;
  A total = START;
  if (row < g.results) {
    const T* from = x + g.kept.at(row);
    const i64 first = part * g.share;
    const i64 end = first + g.share < g.count ? first + g.share : g.count;
    const bool whole = PACK > 1 && aligned_for<T, PACK>(from);
    for (i64 k = first + threadIdx.x; k < end; k += blockDim.x) {
      const T* p = from + g.gone.at(k);
      if (whole) {
        const Pack<T, PACK> v = load_pack<T, PACK>(p);
#pragma unroll
        for (int j = 0; j < PACK; j++)
          total = Op::join(total, (A)ELEMENT(v.v[j], k * PACK + j));
      } else {
        for (int j = 0; j < PACK; j++)
          total = Op::join(total, (A)ELEMENT(p[j], k * PACK + j));
      }
    }
  }
  if (blockDim.x == 32) total = warp_reduce<Op>(total);
  else total = block_reduce<Op>(total, (A)START, held);
  if (threadIdx.x == 0 && row < g.results) o[row * g.parts + part] = RESULT(total);
}

// Results lie next to each other: threads in x take results, those in y share elements.
KERNEL reduce_columns(O* o, const T* x, const Args g) {
  __shared__ A held[8][32 * PACK + 1];
  const i64 unit = (i64)blockIdx.x * 32 + threadIdx.x;
  const i64 part = blockIdx.y;
  A total[PACK];
#pragma unroll
  for (int j = 0; j < PACK; j++) total[j] = START;
  if (unit * PACK < g.results) {
    const T* from = x + g.kept.at(unit);
    const i64 first = part * g.share;
    const i64 end = first + g.share < g.count ? first + g.share : g.count;
    const bool whole = PACK > 1 && aligned_for<T, PACK>(from);
    for (i64 k = first + threadIdx.y; k < end; k += 8) {
      const T* p = from + g.gone.at(k);
      if (whole) {
        const Pack<T, PACK> v = load_pack<T, PACK>(p);
#pragma unroll
        for (int j = 0; j < PACK; j++) total[j] = Op::join(total[j], (A)ELEMENT(v.v[j], k));
      } else {
#pragma unroll
        for (int j = 0; j < PACK; j++) total[j] = Op::join(total[j], (A)ELEMENT(p[j], k));
      }
    }
  }
#pragma unroll
  for (int j = 0; j < PACK; j++) held[threadIdx.y][threadIdx.x * PACK + j] = total[j];
  __syncthreads();
  if (threadIdx.y == 0 && unit * PACK < g.results) {
#pragma unroll
    for (int j = 0; j < PACK; j++) {
      A made = held[0][threadIdx.x * PACK + j];
      for (int y = 1; y < 8; y++) made = Op::join(made, held[y][threadIdx.x * PACK + j]);
      o[(unit * PACK + j) * g.parts + part] = RESULT(made);
    }
  }
}
