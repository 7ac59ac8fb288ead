#include "tflm_kernels/audio/spectrum_features.h"

#include <cmath>

#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {
namespace {

constexpr float kFullScale = 32768.0f;

void Swap(float* x, int32_t a, int32_t b) {
  for (int32_t part = 0; part < 2; ++part) {
    const float kept = x[2 * a + part];
    x[2 * a + part] = x[2 * b + part];
    x[2 * b + part] = kept;
  }
}

// In place; twiddles of twice the size.
void ComplexFft(float* x, int32_t size, const float* twiddles) {
  for (int32_t i = 1, reversed = 0; i < size; ++i) {
    int32_t bit = size >> 1;
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    reversed ^= bit;
    if (i < reversed) Swap(x, i, reversed);
  }
  for (int32_t part = 1; part < size; part *= 2) {
    for (int32_t i = 0; i < part; ++i) {
      const float* turn = twiddles + 2 * (i * (size / part));
      for (int32_t start = i; start < size; start += 2 * part) {
        float *one = x + 2 * start, *other = x + 2 * (start + part);
        const float real = other[0] * turn[0] - other[1] * turn[1];
        const float imag = other[0] * turn[1] + other[1] * turn[0];
        other[0] = one[0] - real;
        other[1] = one[1] - imag;
        one[0] += real;
        one[1] += imag;
      }
    }
  }
}

// Even and odd samples were transformed as one: their spectra are taken apart again, in place.
void TakeApart(float* x, int32_t half, const float* twiddles) {
  const float first = x[0], second = x[1];
  for (int32_t low = 1; low <= half / 2; ++low) {
    float *a = x + 2 * low, *b = x + 2 * (half - low);
    const float even[2] = {0.5f * (a[0] + b[0]), 0.5f * (a[1] - b[1])};
    const float odd[2] = {0.5f * (a[1] + b[1]), 0.5f * (b[0] - a[0])};
    const float* turn = twiddles + 2 * low;
    const float turned[2] = {odd[0] * turn[0] - odd[1] * turn[1],
                             odd[0] * turn[1] + odd[1] * turn[0]};
    a[0] = even[0] + turned[0];
    a[1] = even[1] + turned[1];
    if (a != b) {
      b[0] = even[0] - turned[0];
      b[1] = turned[1] - even[1];
    }
  }
  x[0] = first + second;
  x[1] = 0.0f;
  x[2 * half] = first - second;
  x[2 * half + 1] = 0.0f;
}

// The frame: windowed, with zeros behind it.
void Windowed(const SpectrumTables& tables, const int16_t* samples, int16_t before, float factor,
              float* work) {
  float previous = static_cast<float>(before) * factor;
  for (int32_t i = 0; i < tables.fft_size; ++i) {
    work[i] = 0.0f;
    if (i >= tables.window_size) continue;
    const float x = static_cast<float>(samples[i]) * factor;
    work[i] = (x - tables.preemphasis * previous) * tables.window[i];
    previous = x;
  }
}

float Dot(const float* a, const float* b, int32_t size) {
  float sum = 0.0f;
  for (int32_t i = 0; i < size; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

float ClipFactor(ClipScale scale, const int16_t* clip, int32_t size) {
  int32_t largest = 0;
  for (int32_t i = 0; scale != ClipScale::kFull && i < size; ++i) {
    const int32_t x = scale == ClipScale::kPeak && clip[i] < 0 ? -clip[i] : clip[i];
    if (x > largest) largest = x;
  }
  return 1.0f / (largest > 0 ? static_cast<float>(largest) : kFullScale);
}

void SpectrumFeatures(const SpectrumTables& tables, const int16_t* samples, int16_t before,
                      float factor, float* work, float* features) {
  const int32_t half = tables.fft_size / 2, bins = half + 1;
  Windowed(tables, samples, before, factor, work);
  ComplexFft(work, half, tables.twiddles);
  TakeApart(work, half, tables.twiddles);
  for (int32_t k = 0; k < bins; ++k) {  // Where it is written, all has been read.
    const float power = work[2 * k] * work[2 * k] + work[2 * k + 1] * work[2 * k + 1];
    work[k] = tables.is_squared ? power : std::sqrt(power);
  }
  float* values = work;
  int32_t count = bins;
  if (tables.mel_bins > 0) {
    values = work + bins;
    count = tables.mel_bins;
    const float* weights = tables.mel_weights;
    for (int32_t i = 0; i < count; ++i) {
      const MelBand band = tables.mel[i];
      values[i] = Dot(work + band.start, weights, band.count);
      weights += band.count;
    }
  }
  for (int32_t i = 0; tables.is_logarithmic && i < count; ++i) {
    values[i] = Log(values[i] + tables.log_offset);
  }
  const int32_t made = tables.coefficients > 0 ? tables.coefficients : count;
  for (int32_t i = 0; i < made; ++i) {
    float x = values[i];
    if (tables.coefficients > 0) x = Dot(values, tables.dct + i * count, count);
    x = tables.scale * x + tables.offset;
    if (x < tables.low) x = tables.low;
    if (x > tables.high) x = tables.high;
    features[i] = x;
  }
}

}  // namespace tflm_train
