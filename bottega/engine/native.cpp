// What stands between the matrix products of one token's pass, on a CPU in bfloat16: few calls, each at the
// speed of memory. Numbers are rounded where the decoder rounds them. HD: width of a head.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#define LANES 16
#define PARTS (HD / LANES)
#define HALF (HD / 2)
#define AHEAD 48 // slots that are asked for before they are needed
#define FEW 4    // rows that are not worth two threads

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t integers __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES), aligned(2)));
typedef uint16_t bf16;

static inline floats widened(const bf16 *x) {
  return (floats)(__builtin_convertvector(*(const halves *)x, words) << 16);
}

static inline float wide(bf16 x) {
  const uint32_t bits = (uint32_t)x << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

static inline bf16 rounded(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

static inline halves rounded(floats x) {
  const words bits = (words)x;
  return __builtin_convertvector((bits + 0x7fff + ((bits >> 16) & 1)) >> 16, halves);
}

static inline void store(bf16 *to, halves x) { *(halves *)to = x; }

static inline floats as_rounded(floats x) {
  const halves narrow = rounded(x);
  return widened((const bf16 *)&narrow);
}

static inline float total(floats x) {
  float sum = 0;
  for (int i = 0; i < LANES; i++) sum += x[i];
  return sum;
}

// e^x of x <= 0: 2^n by the exponent's bits, the rest by its series.
static inline floats exponential(floats x) {
  x = x < -87.0f ? floats{} - 87.0f : x;
  const integers n = __builtin_convertvector(x * 1.44269504f - 0.5f, integers);
  const floats r = x - __builtin_convertvector(n, floats) * 0.693147181f;
  const floats e = 1 + r * (1 + r * (1 / 2.f + r * (1 / 6.f + r * (1 / 24.f + r * (1 / 120.f + r * (1 / 720.f))))));
  return (floats)((integers)e + (n << 23));
}

// x += delta, where there is one; out = x / rms(x) * weight. x, delta, out [rows, width].
extern "C" void add_norm(bf16 *x, const bf16 *delta, const float *weight, bf16 *out, int64_t rows, int64_t width,
                         float eps) {
#pragma omp parallel for if (rows > FEW)
  for (int64_t row = 0; row < rows; row++) {
    bf16 *mine = x + row * width;
    float squares = 0;
    if (delta)
      for (int64_t i = 0; i < width; i++) mine[i] = rounded(wide(mine[i]) + wide(delta[row * width + i]));
    for (int64_t i = 0; i < width; i++) squares += wide(mine[i]) * wide(mine[i]);
    const float scale = 1 / sqrtf(squares / width + eps);
    for (int64_t i = 0; i < width; i++) out[row * width + i] = rounded(weight[i] * (wide(mine[i]) * scale));
  }
}

// silu(gate) * up of gate_up [rows, 2 width], whose width is a multiple of LANES: out [rows, width].
extern "C" void gate(const bf16 *gate_up, bf16 *out, int64_t rows, int64_t width) {
#pragma omp parallel for if (rows > FEW)
  for (int64_t row = 0; row < rows; row++)
    for (int64_t i = 0; i < width; i += LANES) {
      const bf16 *from = gate_up + row * 2 * width + i;
      const floats x = widened(from), size = x < 0.0f ? x : -x, power = exponential(size);
      const floats silu = x * (x < 0.0f ? power : floats{} + 1.0f) / (1.0f + power);
      store(out + row * width + i, rounded(as_rounded(silu) * widened(from + width)));
    }
}

// The first of the largest of each row of logits [rows, width].
extern "C" void likeliest(const bf16 *logits, int64_t *out, int64_t rows, int64_t width) {
#pragma omp parallel for if (rows > FEW)
  for (int64_t row = 0; row < rows; row++) {
    const bf16 *mine = logits + row * width;
    const int64_t whole = width / LANES * LANES;
    floats peaks = floats{} - INFINITY;
    for (int64_t i = 0; i < whole; i += LANES) {
      const floats x = widened(mine + i);
      peaks = x > peaks ? x : peaks;
    }
    float peak = peaks[0];
    for (int i = 1; i < LANES; i++) peak = peaks[i] > peak ? peaks[i] : peak;
    for (int64_t i = whole; i < width; i++) peak = wide(mine[i]) > peak ? wide(mine[i]) : peak;
    const bf16 *found = mine;
    while (found < mine + width - 1 && wide(*found) != peak) found++;
    out[row] = found - mine;
  }
}

// One head, normalised by weight where there is one, turned by the angles of its position.
static inline void turn(const bf16 *from, bf16 *to, const float *cos, const float *sin, const float *weight, float eps) {
  float x[HD], squares = 0;
  for (int i = 0; i < HD; i++) x[i] = wide(from[i]);
  if (weight) {
    for (int i = 0; i < HD; i++) squares += x[i] * x[i];
    const float scale = 1 / sqrtf(squares / HD + eps);
    for (int i = 0; i < HD; i++) x[i] = wide(rounded(x[i] * scale * weight[i]));
  }
  for (int i = 0; i < HALF; i++) {
    to[i] = rounded(x[i] * cos[i] - x[i + HALF] * sin[i]);
    to[i + HALF] = rounded(x[i + HALF] * cos[i] + x[i] * sin[i]);
  }
}

// Turn queries and keys of qkv [rows, steps, heads + 2 kv_heads, HD] and store keys and values [rows, kv_heads,
// capacity, HD] at positions [rows, steps]: q [rows, heads, steps, HD]. cos, sin [capacity, HALF]; qk_norm
// [heads + kv_heads, HD] or null.
extern "C" void place(const bf16 *qkv, bf16 *q, bf16 *keys, bf16 *values, const int64_t *positions, const float *cos,
                      const float *sin, const float *qk_norm, int64_t rows, int64_t steps, int64_t kv_heads,
                      int64_t group, int64_t capacity, float eps) {
  const int64_t heads = kv_heads * group, all = heads + 2 * kv_heads;
#pragma omp parallel for if (rows * steps > FEW)
  for (int64_t n = 0; n < rows * steps; n++) {
    const int64_t row = n / steps, here = positions[n];
    for (int64_t head = 0; head < all; head++) {
      const bf16 *from = qkv + (n * all + head) * HD;
      const int64_t kv = row * kv_heads + (head - heads) % kv_heads;
      if (head >= heads + kv_heads) {
        memcpy(values + (kv * capacity + here) * HD, from, sizeof(bf16) * HD);
        continue;
      }
      bf16 *to = head < heads ? q + ((row * heads + head) * steps + n % steps) * HD : keys + (kv * capacity + here) * HD;
      turn(from, to, cos + here * HALF, sin + here * HALF, qk_norm ? qk_norm + head * HD : nullptr, eps);
    }
  }
}

// How many slots a row sees: one at the last, which is scratch, stands idle and reads but one.
static inline int64_t seen(int64_t position, int64_t capacity) {
  return position == capacity - 1 ? 1 : position + 1;
}

static inline void fetch(const bf16 *slot) {
  for (int i = 0; i < HD; i += 32) __builtin_prefetch(slot + i);
}

// Attention of q [rows, heads, HD] over the slots of keys and values [rows, kv_heads, capacity, HD] up to positions
// [rows]: out [rows, heads, HD].
extern "C" void attend(const bf16 *q, const bf16 *keys, const bf16 *values, const int64_t *positions, bf16 *out,
                       int64_t rows, int64_t kv_heads, int64_t group, int64_t capacity) {
  int64_t longest = 1;
  for (int64_t row = 0; row < rows; row++) {
    const int64_t length = seen(positions[row], capacity);
    longest = length > longest ? length : longest;
  }
#pragma omp parallel
  {
    floats *weights = (floats *)aligned_alloc(64, sizeof(floats) * (longest / LANES + 1));
    float *weight = (float *)weights;
#pragma omp for collapse(2)
    for (int64_t row = 0; row < rows; row++)
      for (int64_t kv = 0; kv < kv_heads; kv++) {
        const int64_t length = seen(positions[row], capacity), whole = length / LANES + 1;
        const bf16 *k = keys + (row * kv_heads + kv) * capacity * HD, *v = values + (k - keys);
        for (int64_t n = 0; n < group; n++) {
          const int64_t head = ((row * kv_heads + kv) * group + n) * HD;
          floats query[PARTS], sums[PARTS] = {}, mass = {};
          float peak = -INFINITY;
          for (int p = 0; p < PARTS; p++) query[p] = widened(q + head + p * LANES) / sqrtf(HD);
          for (int64_t t = 0; t < length; t++) {
            const int64_t next = t + AHEAD;
            fetch(next < length ? k + next * HD : v + (next - length) * HD);
            floats products = query[0] * widened(k + t * HD);
            for (int p = 1; p < PARTS; p++) products += query[p] * widened(k + t * HD + p * LANES);
            weight[t] = total(products);
            peak = weight[t] > peak ? weight[t] : peak;
          }
          for (int64_t t = length; t < whole * LANES; t++) weight[t] = -1e30f;
          for (int64_t i = 0; i < whole; i++) mass += weights[i] = exponential(weights[i] - peak);
          for (int64_t t = 0; t < length; t++) {
            const int64_t next = t + AHEAD; // beyond the last, the keys of the head that follows in memory
            fetch(next < length ? v + next * HD : k + (capacity + next - length) * HD);
            for (int p = 0; p < PARTS; p++) sums[p] += weight[t] * widened(v + t * HD + p * LANES);
          }
          const float share = 1 / total(mass);
          for (int p = 0; p < PARTS; p++) store(out + head + p * LANES, rounded(sums[p] * share));
        }
      }
    free(weights);
  }
}
