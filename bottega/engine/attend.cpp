// Attention of one token a row over a cache in bfloat16, at the speed of memory. HD: width of a head.

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#define LANES 16
#define PARTS (HD / LANES)
#define AHEAD 32 // slots that are asked for before they are needed

typedef float floats __attribute__((vector_size(4 * LANES)));
typedef int32_t integers __attribute__((vector_size(4 * LANES)));
typedef uint32_t words __attribute__((vector_size(4 * LANES)));
typedef uint16_t halves __attribute__((vector_size(2 * LANES), aligned(2)));

static inline floats widened(const uint16_t *x) {
  return (floats)(__builtin_convertvector(*(const halves *)x, words) << 16);
}

static inline uint16_t rounded(float x) {
  uint32_t bits;
  memcpy(&bits, &x, 4);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

static inline float total(floats x) {
  float sum = 0;
  for (int i = 0; i < LANES; i++) sum += x[i];
  return sum;
}

// e^x of x <= 0: 2^n by the exponent's bits, the rest by its series.
static inline floats exponential(floats x) {
  x = x < -87.0f ? floats{} - 87.0f : x;
  integers n = __builtin_convertvector(x * 1.44269504f - 0.5f, integers);
  floats r = x - __builtin_convertvector(n, floats) * 0.693147181f;
  floats e = 1.0f + r * (1.0f + r * (0.5f + r * (1 / 6.0f + r * (1 / 24.0f + r * (1 / 120.0f + r / 720.0f)))));
  return (floats)((integers)e + (n << 23));
}

static inline void fetch(const uint16_t *slot) {
  for (int i = 0; i < HD; i += 32) __builtin_prefetch(slot + i);
}

// q [rows, heads, HD], rows q_row apart; keys, values [.., kv_heads, capacity, HD]; out [rows, heads, HD].
extern "C" void attend_one(const uint16_t *q, int64_t q_row, const uint16_t *keys, const uint16_t *values,
                const int64_t *positions, uint16_t *out, int64_t rows, int64_t kv_heads, int64_t group,
                int64_t capacity) {
  int64_t longest = 0;
  for (int64_t row = 0; row < rows; row++)
    if (positions[row] >= longest) longest = positions[row] + 1;
#pragma omp parallel
  {
    floats *weights = (floats *)aligned_alloc(64, sizeof(floats) * (longest / LANES + 1));
#pragma omp for collapse(2)
    for (int64_t row = 0; row < rows; row++)
      for (int64_t kv = 0; kv < kv_heads; kv++)
        for (int64_t head = kv * group; head < (kv + 1) * group; head++) {
          const int64_t length = positions[row] + 1, whole = length / LANES + 1, offset = (row * kv_heads + kv) * capacity * HD;
          const uint16_t *k = keys + offset, *v = values + offset;
          float *weight = (float *)weights, peak = -INFINITY;
          floats query[PARTS], sums[PARTS] = {}, mass = {};
          for (int p = 0; p < PARTS; p++) query[p] = widened(q + row * q_row + head * HD + p * LANES) / sqrtf(HD);
          for (int64_t t = 0; t < length; t++) {
            fetch(k + (t + AHEAD) * HD);
            floats products = query[0] * widened(k + t * HD);
            for (int p = 1; p < PARTS; p++) products += query[p] * widened(k + t * HD + p * LANES);
            weight[t] = total(products);
            peak = weight[t] > peak ? weight[t] : peak;
          }
          for (int64_t t = length; t < whole * LANES; t++) weight[t] = -1e30f;
          for (int64_t i = 0; i < whole; i++) mass += weights[i] = exponential(weights[i] - peak);
          for (int64_t t = 0; t < length; t++) {
            fetch(v + (t + AHEAD) * HD);
            for (int p = 0; p < PARTS; p++) sums[p] += weight[t] * widened(v + t * HD + p * LANES);
          }
          const float share = 1 / total(mass);
          for (int p = 0; p < PARTS; p++)
            for (int i = 0; i < LANES; i++)
              out[(row * kv_heads * group + head) * HD + p * LANES + i] = rounded(sums[p][i] * share);
        }
    free(weights);
  }
}
