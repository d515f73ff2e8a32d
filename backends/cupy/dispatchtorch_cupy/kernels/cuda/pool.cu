// Pooling of up to three dims, planes in one piece. Defined: T, A.

struct Window {
  i64 n;                        // results
  i64 in[3], out[3], k[3], step[3], pad[3], gap[3];
  i64 divisor;
  int padded;
};

// A result's window: the plane it lies in and its first place.
#define PLACES                                                                        \
  const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;                           \
  if (i >= w.n) return;                                                               \
  const i64 q2 = quotient(i, w.out[2]), q1 = quotient(q2, w.out[1]),                  \
            u = quotient(q1, w.out[0]);                                               \
  const i64 a2 = i - q2 * w.out[2], a1 = q2 - q1 * w.out[1], a0 = q1 - u * w.out[0];  \
  const i64 s0 = a0 * w.step[0] - w.pad[0], s1 = a1 * w.step[1] - w.pad[1],           \
            s2 = a2 * w.step[2] - w.pad[2];                                           \
  const T* plane = x + u * w.in[0] * w.in[1] * w.in[2];

#define INSIDE                                                                        \
  for (i64 b0 = 0; b0 < w.k[0]; b0++) {                                               \
    const i64 p0 = s0 + b0 * w.gap[0]; if (p0 < 0 || p0 >= w.in[0]) continue;         \
    for (i64 b1 = 0; b1 < w.k[1]; b1++) {                                             \
      const i64 p1 = s1 + b1 * w.gap[1]; if (p1 < 0 || p1 >= w.in[1]) continue;       \
      for (i64 b2 = 0; b2 < w.k[2]; b2++) {                                           \
        const i64 p2 = s2 + b2 * w.gap[2]; if (p2 < 0 || p2 >= w.in[2]) continue;     \
        const i64 at = (p0 * w.in[1] + p1) * w.in[2] + p2;

KERNEL max_pool(T* o, i64* places, const T* x, const Window w) {
  PLACES
  A best = 0;
  i64 found = -1;
  INSIDE
        const A v = wide(plane[at]);
        if (found < 0 || v > best || v != v) { best = v; found = at; }
      }
    }
  }
  o[i] = narrow<T>(best);
  places[i] = found;
}

KERNEL avg_pool(T* o, const T* x, const Window w) {
  PLACES
  A sum = 0;
  i64 count = 0;
  INSIDE
        sum += wide(plane[at]);
        count++;
      }
    }
  }
  if (w.padded) {
    const i64 e0 = s0 + w.k[0], e1 = s1 + w.k[1], e2 = s2 + w.k[2];
    const i64 m0 = w.in[0] + w.pad[0], m1 = w.in[1] + w.pad[1], m2 = w.in[2] + w.pad[2];
    count = ((e0 < m0 ? e0 : m0) - s0) * ((e1 < m1 ? e1 : m1) - s1)
        * ((e2 < m2 ? e2 : m2) - s2);
  }
  o[i] = narrow<T>(sum / (A)(w.divisor ? w.divisor : count));
}
