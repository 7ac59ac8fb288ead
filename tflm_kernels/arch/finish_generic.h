// Requantisation of sums one by one. Only for forward_ops.h.

#ifndef TFLM_KERNELS_ARCH_FINISH_GENERIC_H_
#define TFLM_KERNELS_ARCH_FINISH_GENERIC_H_

#include <cstdint>

#include "tflm_kernels/forward_ops.h"
#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {

TFLM_TRAIN_INLINE int8_t ClampedOutput(int32_t scaled, const OutputParams& o) {
  const int32_t value = WrapAdd(scaled, o.y_zero_point);
  return static_cast<int8_t>(value < o.act_min ? o.act_min : value > o.act_max ? o.act_max : value);
}

inline int32_t BiasOf(const Finish& finish, int32_t c) {
  return finish.constants.bias == nullptr ? 0 : finish.constants.bias[c];
}

// One sum, its bias added, of channel c.
inline int8_t FinishOne(int32_t sum, const Finish& finish, int32_t c) {
  const int32_t multiplier = finish.constants.multiplier[c], shift = finish.constants.shift[c];
  const int32_t scaled = finish.is_small ? RequantizeSmall(sum, multiplier, shift)
                                         : Requantize(sum, multiplier, shift);
  return ClampedOutput(scaled, finish.output);
}

// Sums of any size.
inline void FinishRowOneByOne(const int32_t* sums, const Finish& finish, int32_t n, int8_t* y) {
  // By value: bytes are written, which may alias anything that lies in memory.
  const Finish f = finish;
  for (int32_t c = 0; c < n; ++c) {
    const int32_t sum = WrapAdd(sums[c], BiasOf(f, c));
    y[c] =
        ClampedOutput(Requantize(sum, f.constants.multiplier[c], f.constants.shift[c]), f.output);
  }
}

// Channels c .. c + 3: those of `first` and of `second`.
inline void FinishTileOneByOne(const TwoByTwo& first, const TwoByTwo& second, const Finish& finish,
                               int32_t c, int8_t* y0, int8_t* y1) {
  const int32_t sums[2][4] = {{first.s00, first.s01, second.s00, second.s01},
                              {first.s10, first.s11, second.s10, second.s11}};
  FinishRowOneByOne(sums[0], finish.From(c), 4, y0);
  FinishRowOneByOne(sums[1], finish.From(c), 4, y1);
}

TFLM_TRAIN_INLINE int32_t Scaled(const Scaling& by, int32_t a) {
  const int32_t high = HighMul(2 * a, by.multiplier);
  return (high + ((high >> 31) & by.negative) + by.half) >> by.shift;
}

inline void AddOneByOne(const Addition& addition, const int8_t* a, const int8_t* b, int8_t* y,
                        int32_t n) {
  // By value: bytes are written, which may alias anything that lies in memory.
  const Addition add = addition;
  for (int32_t i = 0; i < n; ++i) {
    const int32_t first = ShiftLeft(a[i] - add.a_zero_point, add.left_shift);
    const int32_t second = ShiftLeft(b[i] - add.b_zero_point, add.left_shift);
    const int32_t sum = Scaled(add.a, first) + Scaled(add.b, second);
    const int32_t value = Scaled(add.sum, sum) + add.output.y_zero_point;
    y[i] = static_cast<int8_t>(value < add.output.act_min   ? add.output.act_min
                               : value > add.output.act_max ? add.output.act_max
                                                            : value);
  }
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FINISH_GENERIC_H_
