#include "tflm_kernels/audio/micro_features.h"

namespace tflm_train {
namespace {

constexpr int32_t kOne = 32767;  // of the unit circle
constexpr int kNoiseBits = 14;
constexpr int kSnrBits = 12;
constexpr int kSnrOutputBits = 6;
constexpr int kLogBits = 16;
constexpr int kLogSegmentBits = 9;  // of a fraction within a segment
constexpr int64_t kLn2 = 45426;     // in 16 fractional bits

struct Complex {
  int32_t real;
  int32_t imag;
};

// What 16 bits hold of it.
int32_t Wrapped(int32_t x) { return static_cast<int16_t>(x); }

int32_t RoundedProduct(int32_t x) { return Wrapped((x + (1 << 14)) >> 15); }

// Before a step that adds so many parts, so that no sum overflows.
Complex Divided(const int16_t* x, int32_t parts) {
  const int32_t factor = kOne / parts;
  return {RoundedProduct(x[0] * factor), RoundedProduct(x[1] * factor)};
}

Complex Product(Complex a, const int16_t* b) {
  return {RoundedProduct(a.real * b[0] - a.imag * b[1]),
          RoundedProduct(a.real * b[1] + a.imag * b[0])};
}

Complex Sum(Complex a, Complex b) { return {Wrapped(a.real + b.real), Wrapped(a.imag + b.imag)}; }

Complex Difference(Complex a, Complex b) {
  return {Wrapped(a.real - b.real), Wrapped(a.imag - b.imag)};
}

void Store(Complex x, int16_t* to) {
  to[0] = static_cast<int16_t>(x.real);
  to[1] = static_cast<int16_t>(x.imag);
}

// The last step of a transform of radix * part points, of the transforms of its parts, in place.
void Butterflies(int16_t* x, int32_t part, int32_t radix, int32_t stride, const int16_t* twiddles) {
  for (int32_t i = 0; i < part; ++i) {
    Complex turned[4];
    for (int32_t k = 0; k < radix; ++k) {
      turned[k] = Divided(x + 2 * (k * part + i), radix);
      if (k > 0) turned[k] = Product(turned[k], twiddles + 2 * stride * i * k);
    }
    if (radix == 2) {
      Store(Sum(turned[0], turned[1]), x + 2 * i);
      Store(Difference(turned[0], turned[1]), x + 2 * (part + i));
      continue;
    }
    const Complex above = Sum(turned[0], turned[2]), below = Difference(turned[0], turned[2]);
    const Complex odd = Sum(turned[1], turned[3]), across = Difference(turned[1], turned[3]);
    const Complex back = {across.imag, -across.real};
    Store(Sum(above, odd), x + 2 * i);
    Store(Sum(below, back), x + 2 * (part + i));
    Store(Difference(above, odd), x + 2 * (2 * part + i));
    Store(Difference(below, back), x + 2 * (3 * part + i));
  }
}

// Where a point of the input goes before the first step: its digits in reverse order.
int32_t Place(int32_t index, int32_t size) {
  int32_t place = 0;
  while (size > 1) {
    const int32_t radix = size % 4 == 0 ? 4 : 2;
    size /= radix;
    place += index % radix * size;
    index /= radix;
  }
  return place;
}

void ComplexFft(const int16_t* from, int32_t size, const int16_t* twiddles, int16_t* to) {
  for (int32_t i = 0; i < size; ++i) {
    const int32_t place = Place(i, size);
    to[2 * place] = from[2 * i];
    to[2 * place + 1] = from[2 * i + 1];
  }
  // The odd factor of 2, where there is one, is the innermost.
  int32_t part = 1;
  while (part < size) {
    const int32_t radix = part == 1 && (size & 0x55555555) == 0 ? 2 : 4;
    const int32_t whole = part * radix;
    for (int32_t start = 0; start < size; start += whole) {
      Butterflies(to + 2 * start, part, radix, size / whole, twiddles);
    }
    part = whole;
  }
}

// Even and odd samples were transformed as one: their spectra are taken apart again, in place.
void TakeApart(int16_t* x, int32_t half, const int16_t* half_twiddles) {
  const Complex first = Divided(x, 2);
  for (int32_t low = 1; low <= half / 2; ++low) {
    const int32_t high = half - low;
    const int16_t mirrored[2] = {x[2 * high], static_cast<int16_t>(-x[2 * high + 1])};
    const Complex one = Divided(x + 2 * low, 2), other = Divided(mirrored, 2);
    const Complex even = Sum(one, other);
    const Complex turned = Product(Difference(one, other), half_twiddles + 2 * (low - 1));
    Store({(even.real + turned.real) >> 1, (even.imag + turned.imag) >> 1}, x + 2 * low);
    Store({(even.real - turned.real) >> 1, (turned.imag - even.imag) >> 1}, x + 2 * high);
  }
  Store({Wrapped(first.real + first.imag), 0}, x);
  Store({Wrapped(first.real - first.imag), 0}, x + 2 * half);
}

int BitLength(uint32_t x) {
  int bits = 0;
  for (; x != 0; x >>= 1) ++bits;
  return bits;
}

// The windowed frame, shifted up by as many bits as are free; returns how many.
int Windowed(const MicroTables& tables, const int16_t* samples, int16_t* scaled) {
  int32_t largest = 0;
  for (int32_t i = 0; i < tables.window_size; ++i) {
    const int32_t x = Wrapped((samples[i] * tables.window[i]) >> 12);
    scaled[i] = static_cast<int16_t>(x);
    const int32_t size = Wrapped(x < 0 ? -x : x);  // -32768 stays what it is
    if (size > largest) largest = size;
  }
  const int shift = 15 - BitLength(static_cast<uint32_t>(largest));
  for (int32_t i = 0; i < tables.fft_size; ++i) {
    scaled[i] = i < tables.window_size ? static_cast<int16_t>(scaled[i] * (1 << shift))
                                       : static_cast<int16_t>(0);
  }
  return shift;
}

// The square root, rounded to nearest; but not up to 2^16 where x has 32 bits.
uint32_t Root(uint64_t x) {
  uint64_t rest = x, root = 0;
  for (uint64_t bit = uint64_t{1} << 62; bit != 0; bit >>= 2) {
    const bool fits = rest >= root + bit;
    if (fits) rest -= root + bit;
    root = (root >> 1) + (fits ? bit : 0);
  }
  const bool is_full = (x >> 32) == 0 && root == 0xFFFF;
  return static_cast<uint32_t>(root + (rest > root && !is_full ? 1 : 0));
}

// The gain over the noise estimate: a parabola for each of its bit lengths.
uint32_t GainAt(const int16_t* gains, uint32_t noise) {
  if (noise <= 2) return static_cast<uint32_t>(static_cast<int32_t>(gains[noise]));
  const int bits = BitLength(noise);
  const int16_t* row = gains + 4 * bits - 6;
  const uint32_t scaled = bits < 11 ? noise << (11 - bits) : noise >> (bits - 11);
  const int64_t fraction = scaled & 0x3FF;
  const int64_t slope = ((row[2] * fraction) >> 5) + row[1] * 32;
  const int64_t curve = (slope * fraction + (1 << 14)) >> 15;
  const int32_t gain = static_cast<int16_t>(curve + row[0]);
  return static_cast<uint32_t>(gain);
}

// PCAN: the signal times a gain that falls with the noise; above its knee linear.
uint32_t Normalized(const MicroTables& tables, uint32_t signal, uint32_t noise) {
  const uint64_t product = uint64_t{signal} * GainAt(tables.gains, noise);
  const uint32_t snr = static_cast<uint32_t>(product >> tables.snr_shift);
  if (snr < (2u << kSnrBits)) return (snr * snr) >> (2 + 2 * kSnrBits - kSnrOutputBits);
  return (snr >> (kSnrBits - kSnrOutputBits)) - (1u << kSnrOutputBits);
}

// The natural logarithm; 0 up to 1.
int64_t Logarithm(const MicroTables& tables, uint32_t signal) {
  const int shift = tables.log_correction;
  const uint32_t x = shift >= 0 ? signal << shift : signal >> -shift;
  if (x <= 1) return 0;
  const int whole = BitLength(x) - 1;
  const uint32_t above = x - (1u << whole);
  const uint32_t fraction =
      whole < kLogBits ? above << (kLogBits - whole) : above >> (whole - kLogBits);
  const uint32_t segment = fraction >> kLogSegmentBits;
  const int32_t low = tables.logs[segment], high = tables.logs[segment + 1];
  const int32_t within = static_cast<int32_t>(fraction - (segment << kLogSegmentBits));
  const int64_t log2 =
      (int64_t{whole} << kLogBits) + fraction + low + ((int64_t{high - low} * within) >> kLogBits);
  constexpr int64_t kHalf = 1 << (kLogBits - 1);
  const int64_t natural = (kLn2 * log2 + kHalf) >> kLogBits;
  return (natural * (int64_t{1} << tables.log_shift) + kHalf) >> kLogBits;
}

// A channel's energy as a feature; its noise estimate goes on.
uint16_t Feature(const MicroTables& tables, int32_t channel, uint32_t signal, uint32_t* noise) {
  const uint32_t smoothing = tables.smoothing[channel & 1];
  const uint32_t scaled = signal << tables.smoothing_bits;
  const uint64_t mixed =
      uint64_t{scaled} * smoothing + uint64_t{*noise} * ((1u << kNoiseBits) - smoothing);
  *noise = static_cast<uint32_t>(mixed >> kNoiseBits);
  const uint32_t quiet = *noise < scaled ? *noise : scaled;
  uint32_t left = (scaled - quiet) >> tables.smoothing_bits;
  const uint32_t least =
      static_cast<uint32_t>((uint64_t{signal} * tables.min_signal) >> kNoiseBits);
  if (left < least) left = least;
  if (tables.gains != nullptr) left = Normalized(tables, left, *noise);
  const int64_t value = tables.logs == nullptr ? left : Logarithm(tables, left);
  return static_cast<uint16_t>(value < 0xFFFF ? value : 0xFFFF);
}

}  // namespace

void MicroFeatures(const MicroTables& tables, const int16_t* samples, int16_t* scaled,
                   int16_t* spectrum, uint32_t* noise, uint16_t* features) {
  const int32_t half = tables.fft_size / 2;
  const int shift = Windowed(tables, samples, scaled);
  ComplexFft(scaled, half, tables.twiddles, spectrum);
  TakeApart(spectrum, half, tables.half_twiddles);
  const int16_t* weights = tables.weights;
  uint64_t falling = 0;
  for (int32_t b = 0; b <= tables.channels; ++b) {
    const MicroBand band = tables.bands[b];
    uint64_t rising = 0, next = 0;
    for (int32_t i = 0; i < band.count; ++i, weights += 2) {
      const int16_t* bin = spectrum + 2 * (band.start + i);
      const uint64_t square =
          static_cast<uint32_t>(bin[0] * bin[0]) + static_cast<uint32_t>(bin[1] * bin[1]);
      rising += square * static_cast<uint32_t>(weights[0]);
      next += square * static_cast<uint32_t>(weights[1]);
    }
    // The first band only falls into the first channel, the last one only rises into the last.
    if (b > 0) {
      const uint32_t signal = Root(falling + rising) >> shift;
      features[b - 1] = Feature(tables, b - 1, signal, noise + b - 1);
    }
    falling = next;
  }
}

int32_t ThresholdsReached(const uint16_t* thresholds, int32_t count, uint16_t value) {
  int32_t low = 0, high = count;
  while (low < high) {
    const int32_t middle = (low + high) / 2;
    if (thresholds[middle] <= value) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace tflm_train
