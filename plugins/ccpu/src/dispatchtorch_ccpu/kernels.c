/* The kernels: loops over strided memory, one for each row of the tables below.

   All take the same arguments: a type code, `n` dims with their sizes, a pointer for each
   operand (the result's first), and the steps of all operands in bytes, dim by dim. They
   return 0, or say why not: 1 the type has no such kernel, 2 division by zero, 3 and more
   a bad index. An operand that is broadcast has steps of 0; so has the result of a reduction. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <tgmath.h>

typedef int64_t i64;
#define ARGUMENTS int type, int n, const i64 *shape, char **p, const i64 *steps
#define STEP(j) steps[(j) * n + n - 1]

/* Moves `k` pointers to the next run along the last dim; 0 after the last run. */
static int next(int n, const i64 *shape, char **p, const i64 *steps, int k, i64 *at) {
    for (int d = n - 2; d >= 0; d--) {
        for (int j = 0; j < k; j++) p[j] += steps[j * n + d];
        if (++at[d] < shape[d]) return 1;
        for (int j = 0; j < k; j++) p[j] -= steps[j * n + d] * shape[d];
        at[d] = 0;
    }
    return 0;
}
#define RUNS(k, ...) do { __VA_ARGS__ } while (next(n, shape, p, steps, k, at));

/* Types: a code for each, as in device.py. */
#define INTS(X, ...) X(1, uint8_t, __VA_ARGS__) X(2, int32_t, __VA_ARGS__) X(3, i64, __VA_ARGS__)
#define FLOATS(X, ...) X(4, float, __VA_ARGS__) X(5, double, __VA_ARGS__)
#define BITS(X, ...) X(0, _Bool, __VA_ARGS__) INTS(X, __VA_ARGS__)
#define NUMBERS(X, ...) INTS(X, __VA_ARGS__) FLOATS(X, __VA_ARGS__)
#define ALL(X, ...) X(0, _Bool, __VA_ARGS__) NUMBERS(X, __VA_ARGS__)

/* Pointwise kernels. The compiler makes vectors of the loops with constant steps. */
#define LOOP(SX, SY, SO, R, EXPR) for (i64 i = 0; i < len; i++) { \
        T a = *(T *)(x + i * (SX)), b = *(T *)(y + i * (SY)); \
        *(R *)(o + i * (SO)) = (R)(EXPR); (void)a; (void)b; }
#define CASE(code, type_, R, EXPR) case code: { \
        typedef type_ T; const i64 s = sizeof(T), r = sizeof(R); \
        if (so == r && sx == s && sy == s) LOOP(s, s, r, R, EXPR) \
        else if (so == r && sx == s && !sy) LOOP(s, 0, r, R, EXPR) \
        else LOOP(sx, sy, so, R, EXPR) break; }
#define KERNEL(name, TYPES, R, EXPR) int name(ARGUMENTS) { \
    i64 at[64] = {0}, len = shape[n - 1], so = STEP(0), sx = STEP(1), sy = STEP(2); \
    int bad = 0; \
    RUNS(3, char *o = p[0], *x = p[1], *y = p[2]; \
         switch (type) { TYPES(CASE, R, EXPR) default: return 1; }) \
    return bad; }

KERNEL(k_add, ALL, T, a + b)
KERNEL(k_sub, NUMBERS, T, a - b)
KERNEL(k_mul, ALL, T, a * b)
KERNEL(k_div, FLOATS, T, a / b)
KERNEL(k_floor_divide, INTS, T, b == 0 ? (bad = 2, 0) : b == (T)-1 && (T)-1 < 0 ? 0 - a
       : a / b - (a % b != 0 && (a % b < 0) != (b < 0)))
KERNEL(k_remainder, INTS, T, b == 0 ? (bad = 2, 0) : b == (T)-1 && (T)-1 < 0 ? 0
       : a % b + (a % b != 0 && (a % b < 0) != (b < 0) ? b : 0))
KERNEL(k_maximum, ALL, T, a != a || a > b ? a : b)
KERNEL(k_minimum, ALL, T, a != a || a < b ? a : b)
KERNEL(k_eq, ALL, _Bool, a == b)
KERNEL(k_lt, ALL, _Bool, a < b)
KERNEL(k_le, ALL, _Bool, a <= b)
KERNEL(k_bitwise_or, BITS, T, a | b)
KERNEL(k_bitwise_not, BITS, T, a ^ (T)-1)
KERNEL(k_neg, NUMBERS, T, -a)
KERNEL(k_exp, FLOATS, T, exp(a))
KERNEL(k_log, FLOATS, T, log(a))
KERNEL(k_sqrt, FLOATS, T, sqrt(a))
KERNEL(k_erf, FLOATS, T, erf(a))

/* Casts, by the code of the type that is made. */
KERNEL(k_to0, ALL, _Bool, a)
KERNEL(k_to1, ALL, uint8_t, (i64)a)
KERNEL(k_to2, ALL, int32_t, (i64)a)
KERNEL(k_to3, ALL, i64, a)
KERNEL(k_to4, ALL, float, a)
KERNEL(k_to5, ALL, double, a)

/* result, condition, x, y */
#define CHOOSE(code, T, ...) case code: for (i64 i = 0; i < len; i++) \
    *(T *)(p[0] + i * STEP(0)) = *(_Bool *)(p[1] + i * STEP(1)) \
        ? *(T *)(p[2] + i * STEP(2)) : *(T *)(p[3] + i * STEP(3)); break;
int k_where(ARGUMENTS) {
    i64 at[64] = {0}, len = shape[n - 1];
    RUNS(4, switch (type) { ALL(CHOOSE) default: return 1; })
    return 0;
}

/* result (of int64), x: places of the largest of `count` values that lie `gap` apart */
#define LARGEST(code, T, ...) case code: for (i64 i = 0; i < len; i++) { \
    char *x = p[1] + i * STEP(1); T best = *(T *)x; i64 place = 0; \
    for (i64 j = 1; j < count && best == best; j++) { \
        T v = *(T *)(x + j * gap); if (v > best || v != v) { best = v; place = j; } } \
    *(i64 *)(p[0] + i * STEP(0)) = place; } break;
int k_argmax(ARGUMENTS, i64 count, i64 gap) {
    i64 at[64] = {0}, len = shape[n - 1];
    RUNS(2, switch (type) { ALL(LARGEST) default: return 1; })
    return 0;
}

/* memory, values, then `k` indices: moves elements to values (how 0), to memory (1), or
   adds them up there (2). Index j counts steps of `jumps[j]` bytes, up to `sizes[j]`; a bad
   one is left there, and 3 + j returned. */
#define MOVE(code, T, ...) case code: { T *m = (T *)q, *v = (T *)(p[1] + i * STEP(1)); \
    if (how == 0) *v = *m; else if (how == 1) *m = *v; else *m = (T)(*m + *v); } break;
int k_indexed(ARGUMENTS, int k, i64 *sizes, const i64 *jumps, int how) {
    i64 at[64] = {0}, len = shape[n - 1];
    RUNS(k + 2, for (i64 i = 0; i < len; i++) {
        char *q = p[0] + i * STEP(0);
        for (int j = 0; j < k; j++) {
            i64 place = *(i64 *)(p[2 + j] + i * STEP(2 + j));
            if (place < -sizes[j] || place >= sizes[j]) { sizes[j] = place; return 3 + j; }
            q += (place < 0 ? place + sizes[j] : place) * jumps[j];
        }
        switch (type) { ALL(MOVE) default: return 1; } })
    return 0;
}

/* o[b, i, k] = sum over j of x[b, i, j] * y[b, j, k]; all three contiguous */
#define PRODUCT(code, T, ...) case code: { T *o = (T *)p[0], *x = (T *)p[1], *y = (T *)p[2]; \
    memset(o, 0, sizeof(T) * B * M * K); \
    for (i64 b = 0; b < B; b++, o += M * K, x += M * J, y += J * K) \
        for (i64 i = 0; i < M; i++) for (i64 j = 0; j < J; j++) { \
            T f = x[i * J + j]; T *restrict to = o + i * K; const T *from = y + j * K; \
            for (i64 k = 0; k < K; k++) to[k] += f * from[k]; } } break;
int k_bmm(int type, char **p, i64 B, i64 M, i64 J, i64 K) {
    switch (type) { NUMBERS(PRODUCT) default: return 1; }
    return 0;
}
