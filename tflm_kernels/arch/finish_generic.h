// Requantisation of sums one by one. Only for forward_ops.h.

#ifndef TFLM_KERNELS_ARCH_FINISH_GENERIC_H_
#define TFLM_KERNELS_ARCH_FINISH_GENERIC_H_

#include <cstdint>

#include "tflm_kernels/forward_ops.h"
#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {

// One sum, its bias added, of channel c.
inline int8_t FinishOne(int32_t sum, const Finish& finish, int32_t c) {
  const OutputParams& o = finish.output;
  const int32_t multiplier = finish.constants.multiplier[c], shift = finish.constants.shift[c];
  const int32_t scaled = finish.is_small ? RequantizeSmall(sum, multiplier, shift)
                                         : Requantize(sum, multiplier, shift);
  const int32_t value = WrapAdd(scaled, o.y_zero_point);
  return static_cast<int8_t>(value < o.act_min ? o.act_min : value > o.act_max ? o.act_max : value);
}

inline int32_t BiasOf(const Finish& finish, int32_t c) {
  return finish.constants.bias == nullptr ? 0 : finish.constants.bias[c];
}

inline void FinishRowOneByOne(const int32_t* sums, const Finish& finish, int32_t n, int8_t* y) {
  // By value: bytes are written, which may alias anything that lies in memory.
  const Finish f = finish;
  for (int32_t c = 0; c < n; ++c) y[c] = FinishOne(WrapAdd(sums[c], BiasOf(f, c)), f, c);
}

// Channels c .. c + 3: those of `first` and of `second`.
inline void FinishTileOneByOne(const TwoByTwo& first, const TwoByTwo& second, const Finish& finish,
                               int32_t c, int8_t* y0, int8_t* y1) {
  const Finish f = finish;
  const int32_t sums[2][4] = {{first.s00, first.s01, second.s00, second.s01},
                              {first.s10, first.s11, second.s10, second.s11}};
  for (int32_t j = 0; j < 4; ++j) {
    const int32_t bias = BiasOf(f, c + j);
    y0[j] = FinishOne(WrapAdd(sums[0][j], bias), f, c + j);
    y1[j] = FinishOne(WrapAdd(sums[1][j], bias), f, c + j);
  }
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
