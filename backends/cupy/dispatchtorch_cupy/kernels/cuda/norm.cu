// Normalisation. Defined: T (of the operand), W (of weight and bias), S (of the
// statistics), A (of the arithmetic), PACK, ITEMS.

// Mean, sum of squared distances from it, and count; joined as Chan et al. (1979) do.
struct Moments {
  A mean, squares, count;
};
struct Chan {
  static DEVICE_MEMBER Moments join(Moments a, Moments b) {
    const A n = a.count + b.count;
    if (n == 0) return a;
    const A d = b.mean - a.mean, part = b.count / n;
    return Moments{a.mean + d * part, a.squares + b.squares + d * d * a.count * part, n};
  }
};
DEVICE void count_in(Moments& m, A v) {
  m.count += 1;
  const A d = v - m.mean;
  m.mean += d / m.count;
  m.squares += d * (v - m.mean);
}

#define KEPT (ITEMS > 0 ? ITEMS : 1)

// Rows in one piece: layer normalisation, where each element of a row has a weight, and
// group normalisation, where ``plane`` elements of a row share one, and rows of a sample
// (``groups``) have different ones.
struct RowArgs {
  i64 rows, length, plane, groups;
  A eps;
  int has_weight, has_bias;
};

DEVICE i64 weight_at(const RowArgs& g, i64 row, i64 k) {
  if (g.plane == 1 && g.groups == 1) return k;
  const i64 per_row = quotient(g.length, g.plane);
  return row % g.groups * per_row + quotient(k, g.plane);
}

KERNEL norm_rows(T* o, S* means, S* roots, const T* x, const W* weight, const W* bias,
                 const RowArgs g) {
  __shared__ A held[32];
  __shared__ Moments moments[32];
  const i64 row = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool live = row < g.rows, warp = blockDim.x == 32;
  const T* from = x + (live ? row : 0) * g.length;
  const i64 packs = live ? g.length / PACK : 0;
  Pack<T, PACK> kept[KEPT];
  A mean, squares;
  if (ITEMS > 0) {
    A total = 0;
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
      const i64 k = threadIdx.x + (i64)i * blockDim.x;
      if (k < packs) {
        kept[i] = load_pack<T, PACK>(from + k * PACK);
#pragma unroll
        for (int j = 0; j < PACK; j++) total += wide(kept[i].v[j]);
      }
    }
    total = warp ? warp_reduce<Sum>(total) : block_reduce<Sum>(total, (A)0, held);
    mean = total / (A)g.length;
    A distance = 0;
#pragma unroll
    for (int i = 0; i < KEPT; i++) {
      const i64 k = threadIdx.x + (i64)i * blockDim.x;
      if (k < packs) {
#pragma unroll
        for (int j = 0; j < PACK; j++) {
          const A d = wide(kept[i].v[j]) - mean;
          distance += d * d;
        }
      }
    }
    squares = warp ? warp_reduce<Sum>(distance)
                   : block_reduce<Sum>(distance, (A)0, held);
  } else {
    Moments m = {0, 0, 0};
    for (i64 k = threadIdx.x; k < packs; k += blockDim.x) {
      const Pack<T, PACK> p = load_pack<T, PACK>(from + k * PACK);
#pragma unroll
      for (int j = 0; j < PACK; j++) count_in(m, wide(p.v[j]));
    }
    m = warp ? warp_reduce<Chan>(m) : block_reduce<Chan>(m, Moments{0, 0, 0}, moments);
    mean = m.mean;
    squares = m.squares;
  }
  const A root = (A)1 / sqrt(squares / (A)g.length + g.eps);
  if (live && threadIdx.x == 0) {
    means[row] = narrow<S>(mean);
    roots[row] = narrow<S>(root);
  }
  T* to = o + (live ? row : 0) * g.length;
#pragma unroll
  for (int i = 0; i < KEPT; i++) {
    for (i64 k = threadIdx.x + (i64)i * blockDim.x; k < packs; k += blockDim.x) {
      const Pack<T, PACK> p = ITEMS > 0 ? kept[i] : load_pack<T, PACK>(from + k * PACK);
      Pack<T, PACK> made;
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        A v = (wide(p.v[j]) - mean) * root;
        if (g.has_weight || g.has_bias) {
          const i64 w = weight_at(g, row, k * PACK + j);
          if (g.has_weight) v *= wide(weight[w]);
          if (g.has_bias) v += wide(bias[w]);
        }
        made.v[j] = narrow<T>(v);
      }
      store_pack(to + k * PACK, made);
      if (ITEMS > 0) break;
    }
  }
}

KERNEL norm_rows_backward(T* o, const T* grad, const T* x, const S* means,
                          const S* roots, const W* weight, const RowArgs g) {
  __shared__ A held[32];
  const i64 row = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool live = row < g.rows, warp = blockDim.x == 32;
  const i64 start = (live ? row : 0) * g.length;
  const i64 packs = live ? g.length / PACK : 0;
  const A mean = live ? wide(means[row]) : (A)0, root = live ? wide(roots[row]) : (A)0;
  Pack<T, PACK> kept_x[KEPT], kept_g[KEPT];
  A total = 0, along = 0;
#pragma unroll
  for (int i = 0; i < KEPT; i++) {
    for (i64 k = threadIdx.x + (i64)i * blockDim.x; k < packs; k += blockDim.x) {
      const Pack<T, PACK> p = load_pack<T, PACK>(x + start + k * PACK);
      const Pack<T, PACK> q = load_pack<T, PACK>(grad + start + k * PACK);
      kept_x[i] = p;
      kept_g[i] = q;
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        A v = wide(q.v[j]);
        if (g.has_weight) v *= wide(weight[weight_at(g, row, k * PACK + j)]);
        total += v;
        along += v * (wide(p.v[j]) - mean) * root;
      }
      if (ITEMS > 0) break;
    }
  }
  total = warp ? warp_reduce<Sum>(total) : block_reduce<Sum>(total, (A)0, held);
  along = warp ? warp_reduce<Sum>(along) : block_reduce<Sum>(along, (A)0, held);
  total /= (A)g.length;
  along /= (A)g.length;
#pragma unroll
  for (int i = 0; i < KEPT; i++) {
    for (i64 k = threadIdx.x + (i64)i * blockDim.x; k < packs; k += blockDim.x) {
      const Pack<T, PACK> p =
          ITEMS > 0 ? kept_x[i] : load_pack<T, PACK>(x + start + k * PACK);
      const Pack<T, PACK> q =
          ITEMS > 0 ? kept_g[i] : load_pack<T, PACK>(grad + start + k * PACK);
      Pack<T, PACK> made;
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        A v = wide(q.v[j]);
        if (g.has_weight) v *= wide(weight[weight_at(g, row, k * PACK + j)]);
        const A normal = (wide(p.v[j]) - mean) * root;
        made.v[j] = narrow<T>((v - total - normal * along) * root);
      }
      store_pack(o + start + k * PACK, made);
      if (ITEMS > 0) break;
    }
  }
}

// Gradients of a layer normalisation's weight and bias: sums over rows, by parts.
// Threads in x take neighbouring columns.
KERNEL weight_gradients(A* by_weight, A* by_bias, const T* grad, const T* x,
                        const S* means, const S* roots, const RowArgs g) {
  __shared__ A held[2][8][33];
  const i64 column = (i64)blockIdx.x * 32 + threadIdx.x;
  const i64 share = (g.rows + gridDim.y - 1) / gridDim.y;
  const i64 first = blockIdx.y * share;
  const i64 end = first + share < g.rows ? first + share : g.rows;
  A w = 0, b = 0;
  if (column < g.length) {
    for (i64 row = first + threadIdx.y; row < end; row += 8) {
      const A v = wide(grad[row * g.length + column]);
      b += v;
      w += v * (wide(x[row * g.length + column]) - wide(means[row])) * wide(roots[row]);
    }
  }
  held[0][threadIdx.y][threadIdx.x] = w;
  held[1][threadIdx.y][threadIdx.x] = b;
  __syncthreads();
  if (threadIdx.y == 0 && column < g.length) {
    for (int y = 1; y < 8; y++) {
      w += held[0][y][threadIdx.x];
      b += held[1][y][threadIdx.x];
    }
    by_weight[blockIdx.y * g.length + column] = w;
    by_bias[blockIdx.y * g.length + column] = b;
  }
}

// Channels in the middle: (samples, channels, plane).
struct ChannelArgs {
  i64 samples, channels, plane, groups;  // groups: 0, or of a sample's statistics
  i64 parts, share;                      // of each channel's samples * plane elements
  A eps, momentum;
  int has_weight, has_bias, has_mean, has_var;
};

// Each block: the moments of a part of a channel.
KERNEL channel_moments(A* partial, const T* x, const ChannelArgs g) {
  __shared__ Moments held[32];
  const i64 channel = blockIdx.x, count = g.samples * g.plane;
  const i64 first = blockIdx.y * g.share;
  const i64 end = first + g.share < count ? first + g.share : count;
  Moments m = {0, 0, 0};
  for (i64 i = first + threadIdx.x * PACK; i < end; i += (i64)blockDim.x * PACK) {
    const i64 n = quotient(i, g.plane), k = i - n * g.plane;
    const T* from = x + (n * g.channels + channel) * g.plane + k;
    if (PACK > 1 && aligned_for<T, PACK>(from)) {
      const Pack<T, PACK> p = load_pack<T, PACK>(from);
#pragma unroll
      for (int j = 0; j < PACK; j++) count_in(m, wide(p.v[j]));
    } else {
      for (int j = 0; j < PACK; j++) count_in(m, wide(from[j]));
    }
  }
  m = block_reduce<Chan>(m, Moments{0, 0, 0}, held);
  if (threadIdx.x == 0) {
    A* to = partial + (channel * g.parts + blockIdx.y) * 3;
    to[0] = m.mean; to[1] = m.squares; to[2] = m.count;
  }
}

// Parts joined; what is saved, and the running statistics moved along. M and V: theirs.
KERNEL channel_statistics(A* exact, S* means, S* roots, R* running_mean, R* running_var,
                          const A* partial, const ChannelArgs g) {
  const i64 channel = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (channel >= g.channels) return;
  Moments m = {0, 0, 0};
  for (i64 i = 0; i < g.parts; i++) {
    const A* p = partial + (channel * g.parts + i) * 3;
    m = Chan::join(m, Moments{p[0], p[1], p[2]});
  }
  const A variance = m.squares / m.count, root = (A)1 / sqrt(variance + g.eps);
  exact[channel] = m.mean;
  exact[g.channels + channel] = root;
  means[channel] = narrow<S>(m.mean);
  roots[channel] = narrow<S>(root);
  const A rest = (A)1 - g.momentum;
  if (g.has_mean)
    running_mean[channel] =
        narrow<R>(wide(running_mean[channel]) * rest + m.mean * g.momentum);
  if (g.has_var) {
    const A unbiased = variance * (m.count / (m.count > 1 ? m.count - 1 : (A)1));
    running_var[channel] =
        narrow<R>(wide(running_var[channel]) * rest + unbiased * g.momentum);
  }
}

// (x - mean) * root * weight + bias. In evaluation the root is made of a variance.
KERNEL channel_apply(T* o, const T* x, const Q* means, const Q* roots, const W* weight,
                     const W* bias, const ChannelArgs g) {
  const i64 unit = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  const i64 i = unit * PACK;
  if (i >= g.samples * g.channels * g.plane) return;
  const i64 line = quotient(i, g.plane);
  const i64 channel = line - quotient(line, g.channels) * g.channels;
  A scale = wide(roots[channel]);
  if (FROM_VARIANCE) scale = (A)1 / sqrt(scale + g.eps);
  const A mean = wide(means[channel]);
  if (g.has_weight) scale *= wide(weight[channel]);
  const A shift = g.has_bias ? (A)wide(bias[channel]) : (A)0;
  Pack<T, PACK> p, made;
  const bool whole = PACK > 1 && aligned_for<T, PACK>(x);
  if (whole) p = load_pack<T, PACK>(x + i);
  else for (int j = 0; j < PACK; j++) p.v[j] = x[i + j];
#pragma unroll
  for (int j = 0; j < PACK; j++)
    made.v[j] = narrow<T>((wide(p.v[j]) - mean) * scale + shift);
  store_pack(o + i, made);
}

// Sums of the gradient and of its product with the normalised operand, by parts.
KERNEL channel_sums(A* partial, const T* grad, const T* x, const Q* means,
                    const Q* roots, const ChannelArgs g) {
  __shared__ A held[32];
  const i64 channel = blockIdx.x, count = g.samples * g.plane;
  const i64 first = blockIdx.y * g.share;
  const i64 end = first + g.share < count ? first + g.share : count;
  A total = 0, along = 0;
  for (i64 i = first + threadIdx.x * PACK; i < end; i += (i64)blockDim.x * PACK) {
    const i64 n = quotient(i, g.plane), k = i - n * g.plane;
    const i64 at = (n * g.channels + channel) * g.plane + k;
    const i64 s = g.groups ? n * g.groups + channel / (g.channels / g.groups) : channel;
    const A mean = wide(means[s]);
    A root = wide(roots[s]);
    if (FROM_VARIANCE) root = (A)1 / sqrt(root + g.eps);
    if (PACK > 1 && aligned_for<T, PACK>(x + at) && aligned_for<T, PACK>(grad + at)) {
      const Pack<T, PACK> p = load_pack<T, PACK>(x + at);
      const Pack<T, PACK> q = load_pack<T, PACK>(grad + at);
#pragma unroll
      for (int j = 0; j < PACK; j++) {
        const A v = wide(q.v[j]);
        total += v;
        along += v * (wide(p.v[j]) - mean) * root;
      }
    } else {
      for (int j = 0; j < PACK; j++) {
        const A v = wide(grad[at + j]);
        total += v;
        along += v * (wide(x[at + j]) - mean) * root;
      }
    }
  }
  total = block_reduce<Sum>(total, (A)0, held);
  along = block_reduce<Sum>(along, (A)0, held);
  if (threadIdx.x == 0) {
    partial[(channel * g.parts + blockIdx.y) * 2] = total;
    partial[(channel * g.parts + blockIdx.y) * 2 + 1] = along;
  }
}

KERNEL channel_gradients(A* exact, W* by_weight, W* by_bias, const A* partial,
                         const ChannelArgs g) {
  const i64 channel = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  if (channel >= g.channels) return;
  A total = 0, along = 0;
  for (i64 i = 0; i < g.parts; i++) {
    total += partial[(channel * g.parts + i) * 2];
    along += partial[(channel * g.parts + i) * 2 + 1];
  }
  exact[channel] = total;
  exact[g.channels + channel] = along;
  if (g.has_weight) by_weight[channel] = narrow<W>(along);
  if (g.has_bias) by_bias[channel] = narrow<W>(total);
}

// The operand's gradient; in evaluation the statistics are constants.
KERNEL channel_backward(T* o, const T* grad, const T* x, const Q* means, const Q* roots,
                        const W* weight, const A* sums, const ChannelArgs g) {
  const i64 unit = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  const i64 i = unit * PACK;
  if (i >= g.samples * g.channels * g.plane) return;
  const i64 line = quotient(i, g.plane);
  const i64 channel = line - quotient(line, g.channels) * g.channels;
  A root = wide(roots[channel]);
  if (FROM_VARIANCE) root = (A)1 / sqrt(root + g.eps);
  const A mean = wide(means[channel]);
  const A scale = g.has_weight ? root * wide(weight[channel]) : root;
  const A count = (A)(g.samples * g.plane);
  const A even = FROM_VARIANCE ? (A)0 : sums[channel] / count;
  const A slope = FROM_VARIANCE ? (A)0 : sums[g.channels + channel] / count * root;
  Pack<T, PACK> p, q, made;
  const bool whole = PACK > 1 && aligned_for<T, PACK>(x) && aligned_for<T, PACK>(grad);
  if (whole) {
    p = load_pack<T, PACK>(x + i);
    q = load_pack<T, PACK>(grad + i);
  } else {
    for (int j = 0; j < PACK; j++) { p.v[j] = x[i + j]; q.v[j] = grad[i + j]; }
  }
#pragma unroll
  for (int j = 0; j < PACK; j++)
    made.v[j] = narrow<T>((wide(q.v[j]) - even - (wide(p.v[j]) - mean) * slope) * scale);
  store_pack(o + i, made);
}
