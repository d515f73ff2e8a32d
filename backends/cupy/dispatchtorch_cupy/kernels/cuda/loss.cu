// Negative log likelihood of labels. Defined: T, A.
// The operand is (samples, classes, plane); a label for each sample and place of a plane.

struct Args {
  i64 samples, classes, plane, ignored;
  i64 code;  // under which a label out of range is reported
  int mean, has_weight, blocks, each;
};

DEVICE bool label_of(const i64* labels, const Args& g, i64 i, i64* flag, i64& label) {
  label = labels[i];
  if (label == g.ignored) return false;
  if (label < 0 || label >= g.classes) { report(flag, (int)g.code, label); return false; }
  return true;
}

// each: losses one by one; else parts of the sums of losses and of weights.
KERNEL nll_parts(T* o, A* partial, const T* x, const i64* labels, const T* weight,
                 i64* flag, const Args g) {
  __shared__ A held[32];
  const i64 count = g.samples * g.plane;
  A total = 0, weights = 0;
  for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < count;
       i += (i64)gridDim.x * blockDim.x) {
    i64 label;
    A loss = 0;
    if (label_of(labels, g, i, flag, label)) {
      const i64 n = i / g.plane, k = i - n * g.plane;
      const A w = g.has_weight ? (A)wide(weight[label]) : (A)1;
      loss = -(A)wide(x[(n * g.classes + label) * g.plane + k]) * w;
      weights += w;
    }
    if (g.each) o[i] = narrow<T>(loss);
    total += loss;
  }
  if (g.each) return;
  total = block_reduce<Sum>(total, (A)0, held);
  weights = block_reduce<Sum>(weights, (A)0, held);
  if (threadIdx.x == 0) {
    partial[2 * blockIdx.x] = total;
    partial[2 * blockIdx.x + 1] = weights;
  }
}

KERNEL nll_total(T* o, T* total_weight, const A* partial, const Args g) {
  __shared__ A held[32];
  A total = 0, weights = 0;
  for (int i = threadIdx.x; i < g.blocks; i += blockDim.x) {
    total += partial[2 * i];
    weights += partial[2 * i + 1];
  }
  total = block_reduce<Sum>(total, (A)0, held);
  weights = block_reduce<Sum>(weights, (A)0, held);
  if (threadIdx.x == 0) {
    o[0] = narrow<T>(g.mean ? total / weights : total);
    total_weight[0] = narrow<T>(weights);
  }
}

// The gradient of the labels' scores; all others are zeros before.
KERNEL nll_gradient(T* o, const T* grad, const i64* labels, const T* weight,
                    const T* total_weight, i64* flag, const Args g) {
  const i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  i64 label;
  if (i >= g.samples * g.plane || !label_of(labels, g, i, flag, label)) return;
  const i64 n = i / g.plane, k = i - n * g.plane;
  A made = -(A)wide(grad[g.each ? i : 0]);
  if (g.mean) made /= (A)wide(total_weight[0]);
  if (g.has_weight) made *= (A)wide(weight[label]);
  o[(n * g.classes + label) * g.plane + k] = narrow<T>(made);
}
