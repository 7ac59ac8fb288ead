// Clamp masks and the streamed requantisation of docs/NUMERICS.md, section 2:
// how every op that produces a gradient writes it.

#ifndef TFLM_KERNELS_REQUANTIZE_H_
#define TFLM_KERNELS_REQUANTIZE_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Largest exponent a prediction may give: 127 * 2^24 is the last that fits
// int32.
constexpr int kMaxExponent = 24;

// Bytes of the mask tensor of n elements; 0 for kMaskNone.
constexpr size_t MaskBytes(const MaskParams& params, size_t n) {
  return params.mask_kind == kMaskActivation ? n : params.mask_kind == kMaskBits ? (n + 7) / 8 : 0;
}

// Zeroes the values that the mask stops.
//
//   params   kind and clamp range
//   mask     the whole mask tensor, MaskBytes(); nullptr for kMaskNone
//   first    index in the masked tensor of values[0]
//   values   [n], int8 or int32, changed in place
void ApplyMask(const MaskParams& params, const void* mask, size_t first, int32_t* values, size_t n);
void ApplyMask(const MaskParams& params, const void* mask, size_t first, int8_t* values, size_t n);

// Applies the mask to a whole tensor and finds its extremes.
Extremes<int8_t> MaskAndFindExtremes(const MaskParams& params, const void* mask, int8_t* values,
                                     size_t n);

// The smallest e in [from, 25] with max_abs <= 127 * 2^e.
int ExponentFor(uint32_t max_abs, int from);

// The gradient tensor that an op writes, and the gradient that may join it.
struct GradientTarget {
  MaskParams mask_params;
  const void* mask;      // see ApplyMask
  const int8_t* addend;  // [size], nullptr: none; not the same memory as q
  float addend_scale;
  int8_t* q;         // [size], written
  size_t size;       // elements
  int32_t channels;  // elements of one pixel
  float* scale;      // written by Finish, or at once when nothing flows
  float* range;      // running ratio of output to input maximum, read and written
};

// Turns the int32 sums of an input gradient into int8 in one pass over the
// pixels, without an int32 tensor: the exponent is predicted from the running
// ratio, and on overflow what is already written is halved as often as needed.
// Never saturates.
//
//   GradientWriter writer(target, unit, grad_out, grad_out_size);
//   if (!writer.flows()) return;
//   for each pixel in raster order: { ...; writer.WritePixel(acc); }
//   writer.Finish();
class GradientWriter {
 public:
  // unit: real value of 1 in the sums. incoming: int8 [incoming_size], the
  // gradient the sums are made of. Writes the whole target when no gradient
  // comes in.
  GradientWriter(const GradientTarget& target, float unit, const int8_t* incoming,
                 size_t incoming_size);

  // False: the target is complete, no pixel may be written.
  bool flows() const { return flows_; }

  // The predicted exponent, until a pixel is written.
  int exponent() const { return exponent_; }

  // acc: int32 [channels], the sums of the next pixel; overwritten.
  void WritePixel(int32_t* acc);

  // The same of sums that are not int32, where there is no addend: value(i, shift) gives
  // RoundShift(sum of channel i, shift).
  template <typename Value>
  void WritePixelOf(const Value& value) {
    int8_t* const q = target_.q + written_;
    int exponent = exponent_;
    for (;; ++exponent) {
      for (int32_t i = 0; i < target_.channels; ++i) {
        const int32_t v = value(i, exponent);
        q[i] = static_cast<int8_t>(v > INT8_MAX ? INT8_MAX : v < INT8_MIN ? INT8_MIN : v);
      }
      if (MaskFittingPixel()) break;
    }
    FinishPixel(exponent);
  }

  // Stores scale and range.
  void Finish();

  // Instead of all the above, where somebody else has written the target with the
  // exponent(), saturated and not masked: applies the mask and finishes. False: some
  // value did not fit, and the gradient is to be written pixel by pixel.
  bool FinishSaturated();

 private:
  friend class UnorderedWriter;

  // Masks the next pixel, which is written and saturated; false: it was.
  bool MaskFittingPixel();

  // To the pixel after the next, which is written with this exponent.
  void FinishPixel(int exponent);

  void Store(uint32_t max_abs);

  GradientTarget target_;
  float unit_;
  float incoming_max_;
  bool flows_;
  int exponent_ = 0;
  int addend_shift_ = 0;
  int32_t addend_factor_ = 0;
  size_t written_ = 0;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_REQUANTIZE_H_
