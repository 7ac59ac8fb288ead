// The residual of a weight in sixteenths of its step.

#ifndef TFLM_KERNELS_SIXTEENTHS_H_
#define TFLM_KERNELS_SIXTEENTHS_H_

#include <cstdint>

namespace tflm_train {

// Four bits, -8 to 7; two lie in a byte, that of the even element in its low half.
class Sixteenths {
 public:
  Sixteenths(int8_t* residuals, uint32_t element)
      : pair_(reinterpret_cast<uint8_t*>(residuals) + (element >> 1)),
        shift_(static_cast<int>(element & 1) * 4) {}

  int32_t Load() const { return (((*pair_ >> shift_) & 15) ^ 8) - 8; }

  void Store(int32_t value) const {
    *pair_ = static_cast<uint8_t>((*pair_ & ~(15 << shift_)) | (value & 15) << shift_);
  }

 private:
  uint8_t* pair_;
  int shift_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_SIXTEENTHS_H_
