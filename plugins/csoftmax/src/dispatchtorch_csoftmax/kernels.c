/* Rows of floats in three passes that stay in the cache: maximum, exponentials, scale.

   The exponential is our own, so that the compiler makes vectors of the loops: 2^n times a
   polynomial of degree 6 on [-ln 2 / 2, ln 2 / 2], off by less than 2 units in the last
   place. NaN passes through. */
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float exponential(float x) {
    x = x < -87.3f ? -87.3f : x;
    x = x > 88.7f ? 88.7f : x;
    float n = x * 1.44269504f;
    n = (n + 12582912.0f) - 12582912.0f; /* to the nearest integer */
    float r = x - n * 0.693145752f - n * 1.42860677e-6f;
    float p = 1.3981999e-3f;
    p = p * r + 8.3334519e-3f;
    p = p * r + 4.1665796e-2f;
    p = p * r + 1.6666666e-1f;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    int32_t bits = ((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, 4);
    return p * scale;
}

static float largest(const float *x, int64_t n) {
    float most[16];
    for (int k = 0; k < 16; k++) most[k] = -INFINITY;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int k = 0; k < 16; k++) most[k] = x[i + k] > most[k] ? x[i + k] : most[k];
    for (; i < n; i++) most[0] = x[i] > most[0] ? x[i] : most[0];
    for (int k = 1; k < 16; k++) most[0] = most[k] > most[0] ? most[k] : most[0];
    return most[0];
}

/* The sum of exp(x - most), into o[i] where `keep` says so. */
static float exponentials(const float *x, float *o, int64_t n, float most, int keep) {
    float sums[16] = {0}, total = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        float e[16];
        for (int k = 0; k < 16; k++) e[k] = exponential(x[i + k] - most);
        for (int k = 0; k < 16; k++) sums[k] += e[k];
        if (keep) memcpy(o + i, e, sizeof e);
    }
    for (; i < n; i++) {
        float e = exponential(x[i] - most);
        total += e;
        if (keep) o[i] = e;
    }
    for (int k = 0; k < 16; k++) total += sums[k];
    return total;
}

void softmax(const float *x, float *o, int64_t rows, int64_t n) {
    for (; rows--; x += n, o += n) {
        float most = largest(x, n);
        float scale = 1.0f / exponentials(x, o, n, most, 1);
        /* What is far below is 0, and not the smallest value of exponential(). */
        for (int64_t i = 0; i < n; i++)
            o[i] = (x[i] - most < -87.3f ? 0.0f : o[i]) * scale;
    }
}

void log_softmax(const float *x, float *o, int64_t rows, int64_t n) {
    for (; rows--; x += n, o += n) {
        float most = largest(x, n);
        float level = logf(exponentials(x, o, n, most, 0));
        for (int64_t i = 0; i < n; i++) o[i] = x[i] - most - level;
    }
}

void silu(const float *x, float *o, int64_t rows, int64_t n) {
    for (int64_t i = 0; i < rows * n; i++)
        o[i] = x[i] / (-x[i] > 88.7f ? INFINITY : 1.0f + exponential(-x[i]));
}
