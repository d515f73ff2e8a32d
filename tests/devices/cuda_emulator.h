// Runs CUDA C++ kernels on the CPU, thread by thread, to check their values.
//
// Each thread of a block is a fiber. A barrier, a shuffle or a vote makes it wait until
// all threads that must take part have come; a block in which threads wait for others
// that never come is an error, as is a barrier that some threads miss. Blocks run one
// after the other, their threads in rising or falling order by turns, so that results
// that depend on the order show.
#pragma once
#define EMULATED 1
#include <setjmp.h>
#include <string.h>
#include <ucontext.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <tuple>
#include <utility>

#define __shared__ static
#define __launch_bounds__(...)
#define __restrict__
#define __align__(n) alignas(n)

struct dim3 {
  unsigned x, y, z;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;

using std::acos; using std::acosh; using std::asin; using std::asinh; using std::atan;
using std::atan2; using std::atanh; using std::ceil; using std::copysign; using std::cos;
using std::cosh; using std::erf; using std::exp; using std::exp2; using std::expm1;
using std::fabs; using std::floor; using std::fmax; using std::fmin; using std::fmod;
using std::hypot; using std::isfinite; using std::isinf; using std::log; using std::log10;
using std::log1p; using std::log2; using std::pow; using std::rint; using std::sin;
using std::sinh; using std::sqrt; using std::tan; using std::tanh; using std::trunc;
using std::lgamma; using std::isnan; using std::erfc;
static inline float rsqrt(float v) { return 1 / std::sqrt(v); }
static inline double rsqrt(double v) { return 1 / std::sqrt(v); }
template <typename T> static inline T max(T a, T b) { return a > b ? a : b; }
template <typename T> static inline T min(T a, T b) { return a < b ? a : b; }

static inline float bits_to_float(unsigned b) { float f; memcpy(&f, &b, 4); return f; }
static inline unsigned float_to_bits(float f) { unsigned b; memcpy(&b, &f, 4); return b; }
static inline float half_to_float(unsigned short h) {
  const unsigned sign = (h & 0x8000u) << 16, rest = h & 0x7fffu;
  if (rest >= 0x7c00u) return bits_to_float(sign | 0x7f800000u | (rest & 0x3ffu) << 13);
  if (rest >= 0x400u) return bits_to_float(sign | ((rest << 13) + 0x38000000u));
  const float tiny = rest * 5.9604644775390625e-8f;
  return sign ? -tiny : tiny;
}
static inline unsigned short float_to_half(float f) {
  const unsigned bits = float_to_bits(f), sign = bits >> 16 & 0x8000u;
  const unsigned rest = bits & 0x7fffffffu;
  if (rest > 0x7f800000u) return (unsigned short)(sign | 0x7fffu);
  if (rest >= 0x477ff000u) return (unsigned short)(sign | 0x7c00u);
  if (rest < 0x38800000u) {
    const float scaled = bits_to_float(rest) * 16777216.0f;
    return (unsigned short)(sign | (unsigned)std::rint(scaled));
  }
  const unsigned odd = rest >> 13 & 1;
  return (unsigned short)(sign | (rest - 0x38000000u + 0xfffu + odd) >> 13);
}
static inline unsigned __umulhi(unsigned a, unsigned b) {
  return (unsigned)((unsigned long long)a * b >> 32);
}
static inline void __threadfence() {}
static inline void __threadfence_system() {}
template <typename T> static inline T __ldg(const T* p) { return *p; }

// Atomics: threads only change at barriers.
template <typename T> static inline T atomicAdd(T* p, T v) {
  const T old = *p; *p = old + v; return old;
}
template <typename T> static inline T atomicMax(T* p, T v) {
  const T old = *p; if (v > old) *p = v; return old;
}
template <typename T> static inline T atomicCAS(T* p, T seen, T v) {
  const T old = *p; if (old == seen) *p = v; return old;
}

namespace emulated {

static const int MOST = 1024;
static const size_t STACK = 128 << 10;
alignas(16) static unsigned char dynamic_shared[1 << 18];

struct Barrier {
  int waiting = 0;
  unsigned long round = 0;
  const void* where = nullptr;
};

static ucontext_t starting;
static jmp_buf scheduler, threads[MOST];
static bool begun[MOST], done[MOST];
static unsigned char* stacks;
static int current, count;
static long progress;
static Barrier block_barrier, warp_barrier[MOST / 32];
alignas(16) static unsigned char slots[MOST][32];
static const char* failure;
static void (*body)(void*);
static void* body_data;

static void place(int t) {
  current = t;
  threadIdx.x = t % blockDim.x;
  threadIdx.y = t / blockDim.x % blockDim.y;
  threadIdx.z = t / blockDim.x / blockDim.y;
}

static void pause() {
  const int self = current;
  if (!_setjmp(threads[self])) _longjmp(scheduler, 1);
  place(self);
}

static void wait(Barrier& b, int all, const void* where) {
  if (b.waiting == 0) b.where = where;
  else if (b.where != where) { failure = "threads wait at different barriers"; pause(); }
  progress++;
  if (++b.waiting == all) { b.waiting = 0; b.round++; return; }
  const unsigned long round = b.round;
  while (b.round == round) pause();
  progress++;
}

static int warp_size() {
  const int first = current & ~31;
  return count - first < 32 ? count - first : 32;
}

static void entry() {
  body(body_data);
  done[current] = true;
  progress++;
  _longjmp(scheduler, 1);
}

// One block; gives what went wrong, or null.
static const char* run_block(void (*function)(void*), void* data, bool falling) {
  body = function; body_data = data; failure = nullptr;
  count = blockDim.x * blockDim.y * blockDim.z;
  if (count > MOST) return "more than 1024 threads in a block";
  if (!stacks) stacks = (unsigned char*)malloc(STACK * MOST);
  for (int t = 0; t < count; t++) begun[t] = done[t] = false;
  block_barrier = Barrier();
  for (Barrier& b : warp_barrier) b = Barrier();
  volatile int left = count;
  while (left) {
    volatile long before = progress;
    for (volatile int i = 0; i < count; i++) {
      const int t = falling ? count - 1 - i : i;
      if (done[t]) continue;
      place(t);
      if (_setjmp(scheduler) == 0) {
        if (begun[t]) _longjmp(threads[t], 1);
        begun[t] = true;
        getcontext(&starting);
        starting.uc_stack.ss_sp = stacks + STACK * t;
        starting.uc_stack.ss_size = STACK;
        starting.uc_link = nullptr;
        makecontext(&starting, entry, 0);
        setcontext(&starting);
      }
      if (failure) return failure;
      if (done[current]) left = left - 1;
    }
    if (left && progress == before) return "threads wait for others that never come";
  }
  return nullptr;
}

template <typename T> static T exchange(T v, int from) {
  static_assert(sizeof(T) <= 32, "shuffled values are small");
  const int self = current, first = self & ~31;
  memcpy(slots[self], &v, sizeof(T));
  wait(warp_barrier[first / 32], warp_size(), (void*)1);
  T made = v;
  if (from >= first && from < first + warp_size()) memcpy(&made, slots[from], sizeof(T));
  wait(warp_barrier[first / 32], warp_size(), (void*)2);
  return made;
}

}  // namespace emulated

static inline void __syncthreads() {
  emulated::wait(emulated::block_barrier, emulated::count, (void*)3);
}
static inline void __syncwarp(unsigned = ~0u) {
  emulated::wait(emulated::warp_barrier[emulated::current / 32], emulated::warp_size(),
                 (void*)4);
}
template <typename T> static inline T __shfl_xor_sync(unsigned, T v, int mask) {
  return emulated::exchange(v, emulated::current ^ mask);
}
template <typename T> static inline T __shfl_down_sync(unsigned, T v, int step) {
  const int lane = emulated::current & 31;
  return emulated::exchange(v, lane + step < 32 ? emulated::current + step
                                                : emulated::current);
}
template <typename T> static inline T __shfl_sync(unsigned, T v, int lane) {
  return emulated::exchange(v, (emulated::current & ~31) + (lane & 31));
}

namespace emulated {

// Arguments come as the driver takes them: a pointer to each value.
template <typename... A> struct Call {
  void (*kernel)(A...);
  void** args;
  template <size_t... I> void apply(std::index_sequence<I...>) {
    kernel(*reinterpret_cast<std::remove_reference_t<A>*>(args[I])...);
  }
  static void run(void* self) {
    static_cast<Call*>(self)->apply(std::index_sequence_for<A...>{});
  }
};

template <typename... A>
static const char* launch(void (*kernel)(A...), const unsigned* grid,
                          const unsigned* block, void** args, const long* sizes, int n,
                          bool fibers) {
  const long wanted[] = {(long)sizeof(A)...};
  const bool pointers[] = {std::is_pointer<A>::value...};
  if (n != (int)sizeof...(A)) return "wrong number of arguments";
  for (int i = 0; i < n; i++) {
    // Structs are padded to 16 bytes on the host.
    const long need = pointers[i] ? 8 : wanted[i];
    if (pointers[i] ? sizes[i] != 8 : sizes[i] < need || sizes[i] >= need + 16)
      return "an argument has another size than the kernel's";
  }
  gridDim = dim3{grid[0], grid[1], grid[2]};
  blockDim = dim3{block[0], block[1], block[2]};
  Call<A...> call{kernel, args};
  long turn = 0;
  for (unsigned z = 0; z < grid[2]; z++)
    for (unsigned y = 0; y < grid[1]; y++)
      for (unsigned x = 0; x < grid[0]; x++, turn++) {
        blockIdx = dim3{x, y, z};
        if (!fibers) {
          count = block[0] * block[1] * block[2];
          for (int t = 0; t < count; t++) {
            place(turn & 1 ? count - 1 - t : t);
            Call<A...>::run(&call);
          }
          continue;
        }
        const char* wrong = run_block(Call<A...>::run, &call, turn & 1);
        if (wrong) return wrong;
      }
  return nullptr;
}

}  // namespace emulated

#define EMULATED_ENTRY(name, fibers)                                                  \
  extern "C" const char* entry(const unsigned* grid, const unsigned* block,           \
                               void** args, const long* sizes, int n) {               \
    return emulated::launch(name, grid, block, args, sizes, n, fibers);               \
  }
