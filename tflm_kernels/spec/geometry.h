// Which output positions a window tap connects to which input positions.

#ifndef TFLM_KERNELS_SPEC_GEOMETRY_H_
#define TFLM_KERNELS_SPEC_GEOMETRY_H_

#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

// Half-open range of positions along one axis; empty when begin >= end.
struct AxisRange {
  int32_t begin, end;
};

// The output position o with o * stride + k * dilation - pad == i, or -1.
constexpr int32_t OutputPosition(int32_t i, int32_t k, int32_t stride, int32_t dilation,
                                 int32_t pad, int32_t out) {
  const int32_t offset = i + pad - k * dilation;
  if (offset < 0) return -1;
  if (stride == 1) return offset < out ? offset : -1;
  const int32_t o = offset / stride;
  return o * stride == offset && o < out ? o : -1;
}

// The output positions whose tap at `offset` = k * dilation - pad lies inside
// [0, in).
constexpr AxisRange OutputsOfTap(int32_t offset, int32_t stride, int32_t in, int32_t out) {
  const int32_t begin = offset >= 0 ? 0 : (stride - 1 - offset) / stride;
  const int32_t last = in - 1 - offset;
  const int32_t end = last < 0 ? 0 : last / stride + 1;
  return {begin, end < out ? end : out};
}

// The undilated windows that hold input position i.
constexpr AxisRange WindowsOfInput(int32_t i, int32_t k, int32_t stride, int32_t pad, int32_t out) {
  const int32_t first = i + pad - k + 1;
  const int32_t end = (i + pad) / stride + 1;
  return {first <= 0 ? 0 : (first + stride - 1) / stride, end < out ? end : out};
}

// Input positions inside the undilated window of output position o.
constexpr int32_t WindowLength(int32_t o, int32_t k, int32_t stride, int32_t pad, int32_t in) {
  const int32_t first = o * stride - pad;
  const int32_t end = first + k;
  return (end < in ? end : in) - (first > 0 ? first : 0);
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_SPEC_GEOMETRY_H_
