// Softmax, log_softmax and their gradients along one dim. Defined: T, A, PACK, ITEMS
// (packs of a row that a thread keeps in registers; 0: rows are read again each time),
// TERM(v, y) (what is summed), VALUE(v, y, m, t), FINISH(t), BACKWARD.
// ``v`` is the operand's element (the gradient), ``y`` the output's, ``m`` the greatest.

struct Args {
  i64 rows, length, inner;  // inner: elements between neighbours of a row
};

#define KEPT (ITEMS > 0 ? ITEMS : 1)

// A row lies in one piece. Threads in x share a row.
KERNEL softmax_rows(T* o, const T* x, const T* z, const Args g) {
  __shared__ A held[32];
  const i64 row = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool live = row < g.rows;
  const T* from = x + (live ? row : 0) * g.length;
  const T* output = z + (live ? row : 0) * g.length;
  T* to = o + (live ? row : 0) * g.length;
  const i64 packs = live ? g.length / PACK : 0;
  const bool narrow_block = blockDim.x == 32;
  Pack<T, PACK> kept[KEPT], kept_y[KEPT];
  A m = 0, t = 0;
  if (!BACKWARD) {
    m = -INFINITY;
    if (ITEMS > 0) {
#pragma unroll
      for (int i = 0; i < KEPT; i++) {
        const i64 k = threadIdx.x + (i64)i * blockDim.x;
        if (k < packs) {
          kept[i] = load_pack<T, PACK>(from + k * PACK);
#pragma unroll
          for (int j = 0; j < PACK; j++) m = Greater::join(m, (A)wide(kept[i].v[j]));
        }
      }
    } else {
      for (i64 k = threadIdx.x; k < packs; k += blockDim.x) {
        const Pack<T, PACK> p = load_pack<T, PACK>(from + k * PACK);
#pragma unroll
        for (int j = 0; j < PACK; j++) m = Greater::join(m, (A)wide(p.v[j]));
      }
    }
    m = narrow_block ? warp_reduce<Greater>(m)
                     : block_reduce<Greater>(m, (A)-INFINITY, held);
  }
  if (ITEMS > 0) {
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
      const i64 k = threadIdx.x + (i64)i * blockDim.x;
      if (k < packs) {
        if (BACKWARD) {
          kept[i] = load_pack<T, PACK>(from + k * PACK);
          kept_y[i] = load_pack<T, PACK>(output + k * PACK);
        }
#pragma unroll
        for (int j = 0; j < PACK; j++) {
          const A v = wide(kept[i].v[j]), y = BACKWARD ? (A)wide(kept_y[i].v[j]) : (A)0;
          t += TERM(v, y);
        }
      }
    }
  } else {
    for (i64 k = threadIdx.x; k < packs; k += blockDim.x) {
      const Pack<T, PACK> p = load_pack<T, PACK>(from + k * PACK);
      const Pack<T, PACK> q = BACKWARD ? load_pack<T, PACK>(output + k * PACK) : p;
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        const A v = wide(p.v[j]), y = wide(q.v[j]);
        t += TERM(v, y);
      }
    }
  }
  t = narrow_block ? warp_reduce<Sum>(t) : block_reduce<Sum>(t, (A)0, held);
  t = FINISH(t);
  if (ITEMS > 0) {
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
      const i64 k = threadIdx.x + (i64)i * blockDim.x;
      if (k < packs) {
        Pack<T, PACK> made;
#pragma unroll
        for (int j = 0; j < PACK; j++) {
          const A v = wide(kept[i].v[j]), y = BACKWARD ? (A)wide(kept_y[i].v[j]) : (A)0;
          made.v[j] = narrow<T>(VALUE(v, y, m, t));
        }
        store_pack(to + k * PACK, made);
      }
    }
  } else {
    for (i64 k = threadIdx.x; k < packs; k += blockDim.x) {
      const Pack<T, PACK> p = load_pack<T, PACK>(from + k * PACK);
      const Pack<T, PACK> q = BACKWARD ? load_pack<T, PACK>(output + k * PACK) : p;
      Pack<T, PACK> made;
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        const A v = wide(p.v[j]), y = wide(q.v[j]);
        made.v[j] = narrow<T>(VALUE(v, y, m, t));
      }
      store_pack(to + k * PACK, made);
    }
  }
}

// Rows lie across memory: threads in x take neighbouring rows, those in y share one.
KERNEL softmax_columns(T* o, const T* x, const T* z, const Args g) {
  __shared__ A held[8][33];
  const i64 row = (i64)blockIdx.x * 32 + threadIdx.x;
  const bool live = row < g.rows;
  const i64 at = live ? row / g.inner * g.length * g.inner + row % g.inner : 0;
  const i64 length = live ? g.length : 0;
  A m = 0, t = 0;
  if (!BACKWARD) {
    m = -INFINITY;
    for (i64 k = threadIdx.y; k < length; k += 8)
      m = Greater::join(m, (A)wide(x[at + k * g.inner]));
    held[threadIdx.y][threadIdx.x] = m;
    __syncthreads();
    for (int y = 0; y < 8; y++) m = Greater::join(m, held[y][threadIdx.x]);
    __syncthreads();
  }
  for (i64 k = threadIdx.y; k < length; k += 8) {
    const A v = wide(x[at + k * g.inner]);
    const A y = BACKWARD ? (A)wide(z[at + k * g.inner]) : (A)0;
    t += TERM(v, y);
  }
  held[threadIdx.y][threadIdx.x] = t;
  __syncthreads();
  t = 0;
  for (int y = 0; y < 8; y++) t += held[y][threadIdx.x];
  t = FINISH(t);
  for (i64 k = threadIdx.y; k < length; k += 8) {
    const A v = wide(x[at + k * g.inner]);
    const A y = BACKWARD ? (A)wide(z[at + k * g.inner]) : (A)0;
    o[at + k * g.inner] = narrow<T>(VALUE(v, y, m, t));
  }
}
