// The audio front ends: features of clips as numpy makes them.

#if !defined(TFLM_TRAIN_SMALL_TARGET)  // its flash is full

#include <cmath>

#include "tests/cpp/golden.h"
#include "tflm_kernels/audio/micro_features.h"
#include "tflm_kernels/audio/spectrum_features.h"

namespace tflm_train_test {
namespace {

struct MicroFrameCase {
  const char* name;
  int32_t window_size, fft_size, channels;
  const int16_t *window, *twiddles, *half_twiddles, *bands, *weights;
  int32_t smoothing_bits;
  uint32_t even_smoothing, odd_smoothing, min_signal;
  const int16_t* gains;
  int32_t snr_shift;
  const int32_t* logs;
  int32_t log_correction, log_shift, step, frames;
  const int16_t* clip;
  const int32_t* want;
};

struct SpectrumFrameCase {
  const char* name;
  int32_t window_size, fft_size, mel_bins, coefficients, clip_scale, is_squared, is_logarithmic;
  const uint32_t *window, *twiddles;
  const int16_t* mel;
  const uint32_t* mel_weights;
  size_t mel_weight_count;
  const uint32_t* dct;
  size_t dct_count;
  const uint32_t* numbers;
  int32_t step, frames, channels, clip_size;
  const int16_t* clip;
  const uint32_t* want;
};

#include "tests/cpp/generated/micro_frame.inc"
#include "tests/cpp/generated/spectrum_frame.inc"

constexpr size_t kLogs = 130;

void CheckMicro(const MicroFrameCase& golden) {
  const Case running("MicroFeatures", golden.name);
  uint16_t* logs = nullptr;
  if (golden.logs != nullptr) {
    logs = Guarded<uint16_t>(kLogs);
    for (size_t i = 0; i < kLogs; ++i) logs[i] = static_cast<uint16_t>(golden.logs[i]);
  }
  const size_t band_count = static_cast<size_t>(golden.channels) + 1;
  auto* bands = Guarded<tflm_train::MicroBand>(band_count);
  for (size_t i = 0; i < band_count; ++i) {
    bands[i] = {golden.bands[2 * i], golden.bands[2 * i + 1]};
  }
  const tflm_train::MicroTables tables = {golden.window_size,
                                          golden.fft_size,
                                          golden.channels,
                                          golden.window,
                                          golden.twiddles,
                                          golden.half_twiddles,
                                          bands,
                                          golden.weights,
                                          golden.smoothing_bits,
                                          {golden.even_smoothing, golden.odd_smoothing},
                                          golden.min_signal,
                                          golden.gains,
                                          golden.snr_shift,
                                          logs,
                                          golden.log_correction,
                                          golden.log_shift};
  const size_t channels = static_cast<size_t>(golden.channels);
  int16_t* scaled = Guarded<int16_t>(static_cast<size_t>(golden.fft_size));
  int16_t* spectrum = Guarded<int16_t>(static_cast<size_t>(golden.fft_size) + 2);
  uint32_t* noise = Guarded<uint32_t>(channels);
  uint16_t* features = Guarded<uint16_t>(channels);
  for (size_t i = 0; i < channels; ++i) noise[i] = 0;
  const int32_t* want = golden.want;
  for (int32_t frame = 0; frame < golden.frames; ++frame) {
    tflm_train::MicroFeatures(tables, golden.clip + frame * golden.step, scaled, spectrum, noise,
                              features);
    for (size_t i = 0; i < channels; ++i) EXPECT_EQ(features[i], *want++);
  }
}

void CheckSpectrum(const SpectrumFrameCase& golden) {
  const Case running("SpectrumFeatures", golden.name);
  const size_t half = static_cast<size_t>(golden.fft_size) / 2;
  auto* mel = Guarded<tflm_train::MelBand>(static_cast<size_t>(golden.mel_bins));
  for (int32_t i = 0; i < golden.mel_bins; ++i) {
    mel[i] = {golden.mel[2 * i], golden.mel[2 * i + 1]};
  }
  const float* numbers = Floats(golden.numbers, 6);
  const tflm_train::SpectrumTables tables = {
      golden.window_size,
      golden.fft_size,
      golden.mel_bins,
      golden.coefficients,
      static_cast<tflm_train::ClipScale>(golden.clip_scale),
      golden.is_squared != 0,
      golden.is_logarithmic != 0,
      numbers[0],
      Floats(golden.window, static_cast<size_t>(golden.window_size)),
      Floats(golden.twiddles, 2 * half),
      mel,
      Floats(golden.mel_weights, golden.mel_weight_count),
      numbers[1],
      Floats(golden.dct, golden.dct_count),
      numbers[2],
      numbers[3],
      numbers[4],
      numbers[5]};
  const size_t channels = static_cast<size_t>(golden.channels);
  float* work = Guarded<float>(2 * half + 2);
  float* features = Guarded<float>(channels);
  const float factor = tflm_train::ClipFactor(tables.clip_scale, golden.clip, golden.clip_size);
  const float* want = Floats(golden.want, channels * static_cast<size_t>(golden.frames));
  for (int32_t frame = 0; frame < golden.frames; ++frame) {
    const int16_t* samples = golden.clip + frame * golden.step;
    const int16_t before = frame == 0 ? static_cast<int16_t>(0) : samples[-1];
    tflm_train::SpectrumFeatures(tables, samples, before, factor, work, features);
    for (size_t i = 0; i < channels; ++i, ++want) {
      EXPECT_TRUE(std::fabs(features[i] - *want) <= 1e-4f * (1.0f + std::fabs(*want)));
    }
  }
}

TEST(MicroFeatures, AllCases) {
  for (const MicroFrameCase& golden : kMicroFrameCases) CheckMicro(golden);
}

TEST(SpectrumFeatures, AllCases) {
  for (const SpectrumFrameCase& golden : kSpectrumFrameCases) CheckSpectrum(golden);
}

TEST(ThresholdsReached, AllPlaces) {
  const uint16_t thresholds[] = {0, 3, 3, 65535};
  EXPECT_EQ(tflm_train::ThresholdsReached(thresholds, 4, 0), 1);
  EXPECT_EQ(tflm_train::ThresholdsReached(thresholds, 4, 2), 1);
  EXPECT_EQ(tflm_train::ThresholdsReached(thresholds, 4, 3), 3);
  EXPECT_EQ(tflm_train::ThresholdsReached(thresholds, 4, 65534), 3);
  EXPECT_EQ(tflm_train::ThresholdsReached(thresholds, 4, 65535), 4);
  EXPECT_EQ(tflm_train::ThresholdsReached(thresholds, 0, 9), 0);
}

}  // namespace
}  // namespace tflm_train_test

#endif  // TFLM_TRAIN_SMALL_TARGET
