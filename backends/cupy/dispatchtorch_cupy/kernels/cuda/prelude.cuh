// What all kernels share: types of memory, their arithmetic, packs, index arithmetic and
// sums over warps and blocks. Compiles under NVRTC without any header, and under a C++
// compiler over the emulator that the tests bring along (EMULATED).

typedef long long i64;
typedef unsigned long long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;
typedef signed char i8;

#ifndef EMULATED
#define DEVICE __device__ __forceinline__
#define DEVICE_MEMBER __device__ __forceinline__
#define KERNEL extern "C" __global__ void
#define DYNAMIC_SHARED(name) extern __shared__ __align__(16) unsigned char name[]
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif
DEVICE float bits_to_float(u32 b) { return __uint_as_float(b); }
DEVICE u32 float_to_bits(float f) { return __float_as_uint(f); }
DEVICE float half_to_float(u16 h) {
  float f; asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h)); return f;
}
DEVICE u16 float_to_half(float f) {
  u16 h; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(f)); return h;
}
#else
#define DEVICE static inline
#define DEVICE_MEMBER inline
#define KERNEL extern "C" void
#define DYNAMIC_SHARED(name) unsigned char* name = emulated::dynamic_shared
#endif

// Types of memory that aren't C's.

struct half_t { u16 bits; };
struct bf16_t { u16 bits; };

template <typename R> struct complex_t {
  R x, y;
};
typedef complex_t<float> c64;
typedef complex_t<double> c128;

template <typename R> DEVICE complex_t<R> operator+(complex_t<R> a, complex_t<R> b) {
  return complex_t<R>{a.x + b.x, a.y + b.y};
}
template <typename R> DEVICE complex_t<R> operator-(complex_t<R> a, complex_t<R> b) {
  return complex_t<R>{a.x - b.x, a.y - b.y};
}
template <typename R> DEVICE complex_t<R> operator-(complex_t<R> a) {
  return complex_t<R>{-a.x, -a.y};
}
template <typename R> DEVICE complex_t<R> operator*(R k, complex_t<R> a) {
  return complex_t<R>{k * a.x, k * a.y};
}
template <typename R> DEVICE complex_t<R> operator*(complex_t<R> a, complex_t<R> b) {
  return complex_t<R>{a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x};
}
template <typename R> DEVICE complex_t<R> operator/(complex_t<R> a, R k) {
  return complex_t<R>{a.x / k, a.y / k};
}

// The type of arithmetic of a type of memory: floats of 32 bits for halves.

template <typename T> struct Compute { typedef T type; };
template <> struct Compute<half_t> { typedef float type; };
template <> struct Compute<bf16_t> { typedef float type; };

template <typename T> DEVICE T wide(T v) { return v; }
DEVICE float wide(half_t v) { return half_to_float(v.bits); }
DEVICE float wide(bf16_t v) { return bits_to_float((u32)v.bits << 16); }

DEVICE u16 float_to_bfloat(float f) {
#if !defined(EMULATED) && __CUDA_ARCH__ >= 800
  u16 h; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(h) : "f"(f)); return h;
#else
  const u32 u = float_to_bits(f);
  if (f != f) return (u16)0x7fc0;
  return (u16)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
#endif
}

template <typename T> struct Narrow {
  template <typename V> static DEVICE_MEMBER T of(V v) { return (T)v; }
};
template <> struct Narrow<half_t> {
  static DEVICE_MEMBER half_t of(float v) { return half_t{float_to_half(v)}; }
};
template <> struct Narrow<bf16_t> {
  static DEVICE_MEMBER bf16_t of(float v) { return bf16_t{float_to_bfloat(v)}; }
};
template <typename T, typename V> DEVICE T narrow(V v) { return Narrow<T>::of(v); }

// Elements that are read and written at once, up to 16 bytes.

template <typename T, int N> struct alignas(sizeof(T) * N) Pack {
  T v[N];
};
template <typename T, int N> DEVICE Pack<T, N> load_pack(const T* p) {
  return *reinterpret_cast<const Pack<T, N>*>(p);
}
template <typename T, int N> DEVICE void store_pack(T* p, const Pack<T, N>& v) {
  *reinterpret_cast<Pack<T, N>*>(p) = v;
}
template <typename T, int N> DEVICE bool aligned_for(const T* p) {
  return ((u64)p & (sizeof(T) * N - 1)) == 0;
}

// Division by a number known on the host: a multiplication and a shift (n < 2^31).

struct Divisor { u32 by, magic, shift; };
DEVICE u32 divided(u32 n, const Divisor& d) {
  return (__umulhi(n, d.magic) + n) >> d.shift;
}

// Where the i-th element of a strided piece lies; the innermost dim comes first.
template <int N> struct Steps32 {
  Divisor size[N];
  int stride[N];
  DEVICE_MEMBER i64 at(u32 i) const {
    i64 made = 0;
#pragma unroll
    for (int d = 0; d < N - 1; d++) {
      const u32 q = divided(i, size[d]);
      made += (int)(i - q * size[d].by) * (i64)stride[d];
      i = q;
    }
    return made + i * (i64)stride[N - 1];
  }
};
template <int N> struct Steps64 {
  i64 size[N];
  i64 stride[N];
  DEVICE_MEMBER i64 at(i64 i) const {
    i64 made = 0;
#pragma unroll
    for (int d = 0; d < N - 1; d++) {
      const i64 q = i / size[d];
      made += (i - q * size[d]) * stride[d];
      i = q;
    }
    return made + i * stride[N - 1];
  }
};

// Quotients of what isn't negative; those of 32 bits cost a tenth of those of 64.
DEVICE i64 quotient(i64 n, i64 by) {
  if (((n | by) >> 32) == 0) return (u32)n / (u32)by;
  return n / by;
}

// The element of a strided array that is the i-th in row-major order of given sizes.
struct Walk {
  int dims;
  int padding;
  i64 size[12];
  i64 stride[4][12];
};
DEVICE i64 place(const Walk& w, int operand, i64 i) {
  i64 at = 0;
  for (int d = w.dims - 1; d > 0; d--) {
    const i64 q = quotient(i, w.size[d]);
    at += (i - q * w.size[d]) * w.stride[operand][d];
    i = q;
  }
  return at + i * w.stride[operand][0];
}

template <typename V> struct Best {
  V v;
  i64 i;
};

// Sums and maxima over a warp, over a block. All threads take part.

struct Sum {
  template <typename A> static DEVICE_MEMBER A join(A a, A b) { return a + b; }
};
struct Greater {
  template <typename A> static DEVICE_MEMBER A join(A a, A b) { return a > b || a != a ? a : b; }
};

// Values of any type go from lane to lane in words.
template <typename A> DEVICE A shuffled(A v, int mask) {
  union { A whole; u32 words[(sizeof(A) + 3) / 4]; } from, to;
  from.whole = v;
#pragma unroll
  for (int i = 0; i < (int)((sizeof(A) + 3) / 4); i++)
    to.words[i] = __shfl_xor_sync(0xffffffffu, from.words[i], mask);
  return to.whole;
}
template <typename Op, typename A> DEVICE A warp_reduce(A v) {
#pragma unroll
  for (int step = 16; step > 0; step >>= 1) v = Op::join(v, shuffled(v, step));
  return v;
}

// Blocks of up to 1024 threads, a multiple of 32. Every thread gets the result.
template <typename Op, typename A> DEVICE A block_reduce(A v, A start, A* held) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  v = warp_reduce<Op>(v);
  const int warps = (blockDim.x + 31) >> 5;
  if (warps == 1) return v;
  __syncthreads();
  if (lane == 0) held[warp] = v;
  __syncthreads();
  v = lane < warps ? held[lane] : start;
  return warp_reduce<Op>(v);
}

// An index out of range: the first one is kept for the host, which raises it later.
DEVICE void report(i64* flag, int code, i64 index) {
  if (flag && atomicCAS((u64*)flag, 0ull, (u64)code) == 0ull) {
    ((volatile i64*)flag)[1] = index;
    __threadfence_system();
  }
}

// Sums in memory by several threads at once.

DEVICE void atomic_add(float* p, float v) { atomicAdd(p, v); }
DEVICE void atomic_add(double* p, double v) { atomicAdd(p, v); }
DEVICE void atomic_add(int* p, int v) { atomicAdd(p, v); }
DEVICE void atomic_add(u32* p, u32 v) { atomicAdd(p, v); }
DEVICE void atomic_add(i64* p, i64 v) { atomicAdd((u64*)p, (u64)v); }
DEVICE void atomic_add(u64* p, u64 v) { atomicAdd(p, v); }
DEVICE void atomic_add(c64* p, c64 v) { atomicAdd(&p->x, v.x); atomicAdd(&p->y, v.y); }
DEVICE void atomic_add(c128* p, c128 v) { atomicAdd(&p->x, v.x); atomicAdd(&p->y, v.y); }

// Types that the device has no atomics for: by comparing and swapping a word.
template <typename T, typename F> DEVICE void atomic_update(T* p, F combine) {
  const u64 address = (u64)p;
  if (sizeof(T) == 8) {
    u64* word = (u64*)p;
    u64 seen = *(volatile u64*)word, before;
    do {
      before = seen;
      u64 next = before;
      T old; memcpy(&old, &before, sizeof(T) < 8 ? sizeof(T) : 8);
      const T made = combine(old); memcpy(&next, &made, sizeof(T) < 8 ? sizeof(T) : 8);
      if (next == before) return;
      seen = atomicCAS(word, before, next);
    } while (seen != before);
    return;
  }
  u32* word = (u32*)(address & ~(u64)3);
  const u32 shift = (u32)(address & 3) * 8;
  const u32 mask = sizeof(T) >= 4 ? 0xffffffffu : ((1u << (8 * (sizeof(T) & 3))) - 1u);
  u32 seen = *(volatile u32*)word, before;
  do {
    before = seen;
    const u32 part = (before >> shift) & mask;
    T old; memcpy(&old, &part, sizeof(T) < 4 ? sizeof(T) : 4);
    const T made = combine(old);
    u32 bits = 0; memcpy(&bits, &made, sizeof(T) < 4 ? sizeof(T) : 4);
    const u32 next = (before & ~(mask << shift)) | (bits << shift);
    if (next == before) return;
    seen = atomicCAS(word, before, next);
  } while (seen != before);
}
template <typename T> struct AddTo {
  T v;
  DEVICE_MEMBER T operator()(T old) const { return narrow<T>(wide(old) + wide(v)); }
};
template <typename T> DEVICE void atomic_add(T* p, T v) {
  atomic_update(p, AddTo<T>{v});
}
// END OF PRELUDE
