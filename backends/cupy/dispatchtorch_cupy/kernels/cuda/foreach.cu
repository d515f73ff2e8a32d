// One computation on many arrays at once. Defined: C (of the arithmetic), COLUMNS (arrays
// that belong together), NUMBERS, and what differs between computations: POINTERS (p0 …,
// of what type), ALIGNED (whether all of them begin where packs may), LOADS (packs k0 … of
// what is read), VALUES(j) and SINGLES(k) (v0 … of a pack's element, of one element),
// BODY (sets those that are written, of numbers n0 …), RESULTS (packs for what is
// written), KEEP(j) and STORE (into and out of them), PUT(k) (one element written).
// A table in memory gives the arrays' addresses and where each chunk begins.

#define CHUNK 4096

struct Args {
  i64 arrays;
  double number[NUMBERS ? NUMBERS : 1];
};

// table: addresses column by column, the arrays' sizes, then for each chunk its array and
// its number among the array's own.
KERNEL foreach(const i64* table, const Args g) {
  const i64* sizes = table + COLUMNS * g.arrays;
  const i64* chunk = sizes + g.arrays + 2 * (i64)blockIdx.x;
  const i64 array = chunk[0], start = chunk[1] * CHUNK;
  const i64 size = sizes[array];
  const i64 end = start + CHUNK < size ? start + CHUNK : size;
  POINTERS
  NUMBERED
  for (i64 i = start + threadIdx.x * 4; i < end; i += blockDim.x * 4) {
    if (i + 4 <= end && ALIGNED) {
      LOADS
      RESULTS
#pragma unroll
      for (int j = 0; j < 4; j++) {
        VALUES(j)
        BODY
        KEEP(j)
      }
      STORE
    } else {
      for (i64 k = i; k < i + 4 && k < end; k++) {
        SINGLES(k)
        BODY
        PUT(k)
      }
    }
  }
}
