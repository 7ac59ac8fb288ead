// Features of recordings as TFLM's micro frontend makes them, in integers, frame by frame.
//
// A frame is windowed and scaled up to use all bits, transformed, summed into mel channels (the
// square root of their energy), freed of the stationary noise, brought to a common loudness (PCAN)
// and put on a logarithmic scale. `tflm_train export` writes the tables for a model's front end; the
// numbers are those that it was trained with, bit for bit.

#ifndef TFLM_KERNELS_AUDIO_MICRO_FEATURES_H_
#define TFLM_KERNELS_AUDIO_MICRO_FEATURES_H_

#include <cstdint>

namespace tflm_train {

// A band of the spectrum: one channel falls over it, the next one rises.
struct MicroBand {
  int16_t start;  // the first bin
  int16_t count;  // of bins, each with two weights
};

// Constants in flash.
struct MicroTables {
  int32_t window_size;           // samples of a frame, up to fft_size
  int32_t fft_size;              // a power of 2 from 4 to 8192
  int32_t channels;              // features of a frame
  const int16_t* window;         // [window_size], 12 fractional bits
  const int16_t* twiddles;       // [fft_size / 2][2]: the unit circle, 15 fractional bits
  const int16_t* half_twiddles;  // [fft_size / 4][2]: likewise, of the last step
  const MicroBand* bands;        // [channels + 1]
  const int16_t* weights;        // of all bands in their order: bin by bin what goes to the channel
                                 // that rises and to the one that falls, 12 fractional bits
  int32_t smoothing_bits;        // fractional bits of the noise estimate
  uint32_t smoothing[2];         // of even and odd channels, 14 fractional bits
  uint32_t min_signal;           // the share that is left at least, 14 fractional bits
  const int16_t* gains;          // [126] of PCAN; nullptr: none
  int32_t snr_shift;
  const uint16_t* logs;    // [130] what log2(1 + x) is above x; nullptr: no logarithm
  int32_t log_correction;  // bits that the signal is shifted by before
  int32_t log_shift;       // fractional bits of the logarithm
};

// The features of a frame.
//
//   samples   int16 [window_size]
//   scaled    int16 [fft_size], scratch
//   spectrum  int16 [fft_size + 2], scratch
//   noise     uint32 [channels], the noise estimate: zeros before the first frame of a clip, read
//             and written
//   features  uint16 [channels], written
void MicroFeatures(const MicroTables& tables, const int16_t* samples, int16_t* scaled,
                   int16_t* spectrum, uint32_t* noise, uint16_t* features);

// How many of ascending thresholds a value reaches: with these a feature is quantized without a
// rounding of its own.
int32_t ThresholdsReached(const uint16_t* thresholds, int32_t count, uint16_t value);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_AUDIO_MICRO_FEATURES_H_
