// Elements and rows by index. Defined: T, I (of indices), PACK; WRITE(p, v) where values
// are put: how one gets there. Wrong indices are reported and skipped.

template <typename V> struct OrTo {
  V v;
  DEVICE_MEMBER V operator()(V old) const { return (V)(old | v); }
};
template <typename V> struct TimesTo {
  V v;
  DEVICE_MEMBER V operator()(V old) const { return narrow<V>(wide(old) * wide(v)); }
};
template <typename V> struct GreaterTo {
  V v;
  DEVICE_MEMBER V operator()(V old) const {
    return wide(old) > wide(v) || wide(old) != wide(old) ? old : v;
  }
};
template <typename V> struct LessTo {
  V v;
  DEVICE_MEMBER V operator()(V old) const {
    return wide(old) < wide(v) || wide(old) != wide(old) ? old : v;
  }
};

struct Numbers {
  i64 n, size, stride, code;
};

DEVICE bool wrong(i64 at, i64 size, i64* flag, i64 code) {
  if (at >= 0 && at < size) return false;
  report(flag, (int)code, at);
  return true;
}

#ifdef GATHER
// o[i] = x[…, index[i], …]; walk: index (0), operand without the dim (1).
KERNEL gather(T* o, const T* x, const I* index, i64* flag, const Numbers g,
              const Walk w) {
  const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= g.n) return;
  const i64 at = index[place(w, 0, i)];
  if (!wrong(at, g.size, flag, g.code)) o[i] = x[place(w, 1, i) + at * g.stride];
}
#endif

#ifdef SCATTER
// x[…, index[i], …] takes in source[i]; walk: index (0), x without the dim (1), source (2).
KERNEL scatter(T* x, const T* source, const I* index, i64* flag, const Numbers g,
               const Walk w) {
  const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= g.n) return;
  const i64 at = index[place(w, 0, i)];
  if (wrong(at, g.size, flag, g.code)) return;
  const T v = source[place(w, 2, i)];
  T* to = x + place(w, 1, i) + at * g.stride;
  WRITE(to, v);
}
#endif

#ifdef ROWS
// Rows of x, each in one piece, that an index names.
struct RowNumbers {
  i64 rows, width, size, stride, code, packs, skipped;  // packs in a row
};
KERNEL take_rows(T* o, const T* x, const I* index, i64* flag, const RowNumbers g) {
  const i64 unit = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (unit >= g.rows * g.packs) return;
  const i64 row = quotient(unit, g.packs), k = (unit - row * g.packs) * PACK;
  const i64 at = index[row];
  if (wrong(at, g.size, flag, g.code)) return;
  const T* from = x + at * g.stride + k;
  if (aligned_for<T, PACK>(from)) {
    store_pack(o + row * g.width + k, load_pack<T, PACK>(from));
  } else {
    for (int j = 0; j < PACK; j++) o[row * g.width + k + j] = from[j];
  }
}

#ifdef A
// Rows of a gradient added up by index, in the arithmetic's type; ``skipped`` are not.
KERNEL add_rows(A* o, const T* grad, const I* index, const i64* counts, i64* flag,
                const RowNumbers g) {
  const i64 unit = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (unit >= g.rows * g.width) return;
  const i64 row = quotient(unit, g.width), k = unit - row * g.width;
  const i64 at = index[row];
  if (at == g.skipped || wrong(at, g.size, flag, g.code)) return;
  A v = wide(grad[unit]);
  if (counts) v /= (A)counts[at];
  atomic_add(o + at * g.width + k, v);
}

#endif

KERNEL count_rows(i64* counts, const I* index, i64* flag, const RowNumbers g) {
  const i64 row = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= g.rows) return;
  const i64 at = index[row];
  if (!wrong(at, g.size, flag, g.code)) atomic_add(counts + at, (i64)1);
}
#endif

#ifdef ADVANCED
// Several tensors of indices. Sizes of the walk are those of the result; operands: x
// without the indexed dims (0), the values (1), the indices (2: all have one shape).
struct Indices {
  i64 size[ADVANCED], stride[ADVANCED], code[ADVANCED];
  i64 walk[ADVANCED][12];
};
DEVICE bool address(const i64* const* index, const Indices& s, const Walk& w, i64 i,
                    i64* flag, i64& at, i64& value) {
  i64 from[ADVANCED];
#pragma unroll
  for (int k = 0; k < ADVANCED; k++) from[k] = 0;
  at = value = 0;
  for (int d = w.dims - 1; d >= 0; d--) {
    const i64 q = d > 0 ? quotient(i, w.size[d]) : 0, c = i - q * w.size[d];
    at += c * w.stride[0][d];
    value += c * w.stride[1][d];
#pragma unroll
    for (int k = 0; k < ADVANCED; k++) from[k] += c * s.walk[k][d];
    i = q;
  }
  bool right = true;
#pragma unroll
  for (int k = 0; k < ADVANCED; k++) {
    i64 v = index[k][from[k]];
    const i64 given = v;
    if (v < 0) v += s.size[k];
    if (v < 0 || v >= s.size[k]) {
      report(flag, (int)s.code[k], given);
      right = false;
    }
    at += v * s.stride[k];
  }
  return right;
}

struct Count {
  i64 n;
};

KERNEL index_read(T* o, const T* x, i64* flag, INDEX_PARAMETERS, const Count g,
                  const Indices s, const Walk w) {
  const i64* const index[] = {INDEX_LIST};
  const i64 i = ((i64)blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= g.n) return;
  i64 at, to;
  if (!address(index, s, w, i, flag, at, to)) return;
  if (PACK > 1 && aligned_for<T, PACK>(x + at)) {
    store_pack(o + to, load_pack<T, PACK>(x + at));
  } else {
    for (int j = 0; j < PACK; j++) o[to + j] = x[at + j];
  }
}

KERNEL index_write(T* x, const T* values, i64* flag, INDEX_PARAMETERS, const Count g,
                   const Indices s, const Walk w) {
  const i64* const index[] = {INDEX_LIST};
  const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= g.n) return;
  i64 at, from;
  if (!address(index, s, w, i, flag, at, from)) return;
  const T v = values[from];
  WRITE(x + at, v);
}
#endif
