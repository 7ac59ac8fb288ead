// Features of recordings as `tf.signal` computes them, in single precision, frame by frame: spectra,
// mel energies, their logarithms, MFCCs. `tflm_train export` writes the tables for a model's front
// end; the numbers are those that it was trained with, to the accuracy of single precision.

#ifndef TFLM_KERNELS_AUDIO_SPECTRUM_FEATURES_H_
#define TFLM_KERNELS_AUDIO_SPECTRUM_FEATURES_H_

#include <cstdint>

namespace tflm_train {

// What a clip is divided by.
enum class ClipScale : uint8_t {
  kFull,     // 32768
  kMaximum,  // its largest value; 32768 where that is not above 0
  kPeak,     // its largest magnitude; likewise
};

// A mel channel's triangle over the bins of the spectrum.
struct MelBand {
  int16_t start;
  int16_t count;
};

// Constants in flash.
struct SpectrumTables {
  int32_t window_size;   // samples of a frame, up to fft_size
  int32_t fft_size;      // a power of 2 from 4 to 8192
  int32_t mel_bins;      // up to fft_size / 2 + 1; 0: the spectrum itself
  int32_t coefficients;  // of a DCT; 0: none
  ClipScale clip_scale;
  bool is_squared;  // power 2 of the magnitude, else 1
  bool is_logarithmic;
  float preemphasis;
  const float* window;       // [window_size]
  const float* twiddles;     // [fft_size / 2][2]: cosine and sine of -2 pi k / fft_size
  const MelBand* mel;        // [mel_bins]
  const float* mel_weights;  // of all of them, one after the other
  float log_offset;          // added before the logarithm
  const float* dct;          // [coefficients][mel_bins, or fft_size / 2 + 1]
  float scale;               // a value times this,
  float offset;              // plus this,
  float low;                 // not below this
  float high;                // nor above this
};

// What samples of a clip are multiplied with.
//
//   clip      int16 [size]
float ClipFactor(ClipScale scale, const int16_t* clip, int32_t size);

// The features of a frame.
//
//   samples   int16 [window_size]
//   before    the sample before these, 0 at the begin of a clip
//   factor    of ClipFactor
//   work      float [fft_size + 2], scratch
//   features  float [coefficients, else mel_bins, else fft_size / 2 + 1], written
void SpectrumFeatures(const SpectrumTables& tables, const int16_t* samples, int16_t before,
                      float factor, float* work, float* features);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_AUDIO_SPECTRUM_FEATURES_H_
