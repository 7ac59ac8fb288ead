// Each kernel as a plain C function, so that tests can call it from Python
// without an interpreter. Arguments are the op's inputs in the order of
// docs/NUMERICS.md (state only where the kernel reads it), then its outputs; a
// pointer may be null where the op's input may be -1. Scratch is allocated
// here, with exactly the size the kernel asks for. Nothing is checked.
//
// And what each asks for, as the memory report computes it in Python.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "tflm_kernels/conv_input_grad.h"
#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/depthwise_input_grad.h"
#include "tflm_kernels/l2_norm_grad.h"
#include "tflm_kernels/loss.h"
#include "tflm_kernels/max_pool_grad.h"
#include "tflm_kernels/product_grad.h"
#include "tflm_kernels/resize_grad.h"
#include "tflm_kernels/spec/numerics.h"
#include "tflm_kernels/spec/op_params.h"
#include "tflm_kernels/split_conv.h"
#include "tflm_kernels/state/state.h"
#include "tflm_kernels/stream.h"
#include "tflm_kernels/update.h"

namespace {

// Scratch memory for the duration of one call.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : memory_(std::malloc(bytes)) {}
  ~Scratch() { std::free(memory_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* get() const { return memory_; }

 private:
  void* memory_;
};

template <typename Params>
size_t BytesOf(const uint8_t* options, size_t (*bytes)(const Params&)) {
  Params params;
  std::memcpy(&params, options, sizeof(params));
  return bytes(params);
}

// Scratch of the op with these custom_options.
size_t ScratchBytes(const uint8_t* options, const tflm_train::OpHeader& header) {
  using tflm_train::OpKind;
  switch (static_cast<OpKind>(header.kind)) {
    case OpKind::kLoss:
      return BytesOf(options, tflm_train::LossScratchBytes);
    case OpKind::kConvInputGrad:
      return BytesOf(options, tflm_train::ConvInputGradScratchBytes);
    case OpKind::kDepthwiseInputGrad:
      return BytesOf(options, tflm_train::DepthwiseInputGradScratchBytes);
    case OpKind::kPoolGrad:
      return BytesOf(options, tflm_train::PoolGradScratchBytes);
    case OpKind::kConvUpdate:
      return BytesOf(options, tflm_train::ConvUpdateScratchBytes);
    case OpKind::kDepthwiseUpdate:
      return BytesOf(options, tflm_train::DepthwiseUpdateScratchBytes);
    case OpKind::kSplitConv:
      return BytesOf(options, tflm_train::SplitConvScratchBytes);
    case OpKind::kSplitDepthwise:
      return BytesOf(options, tflm_train::SplitDepthwiseScratchBytes);
    case OpKind::kProductGrad:
      return BytesOf(options, tflm_train::ProductGradScratchBytes);
    case OpKind::kMaxPoolGrad:
      return BytesOf(options, tflm_train::MaxPoolGradScratchBytes);
    case OpKind::kResizeGrad:
      return BytesOf(options, tflm_train::ResizeGradScratchBytes);
    case OpKind::kL2NormGrad:
      return BytesOf(options, tflm_train::L2NormGradScratchBytes);
    case OpKind::kStream:
      return tflm_train::StreamScratchBytes(tflm_train::StreamProgram(options, header.size));
    default:
      return 0;
  }
}

}  // namespace

extern "C" {

// The scratch of `count` ops, whose custom_options follow one another.
void TflmTrainKernelScratchBytes(const uint8_t* options, int32_t count, uint64_t* bytes) {
  for (; count > 0; --count) {
    tflm_train::OpHeader header;
    std::memcpy(&header, options, sizeof(header));
    *bytes++ = ScratchBytes(options, header);
    options += header.size;
  }
}

// 1, or 0 when the target is out of range.
int32_t TflmTrainKernelLoss(const tflm_train::LossParams* params, const int8_t* logits,
                            const void* target, tflm_train::TrainState* state, float* scales,
                            const float* class_weights, int8_t* grad, float* loss) {
  const Scratch scratch(tflm_train::LossScratchBytes(*params));
  return tflm_train::Loss(*params, logits, target, class_weights, state, scales, grad, loss,
                          scratch.get());
}

void TflmTrainKernelClampMask(const tflm_train::ClampMaskParams* params, const int8_t* activation,
                              uint8_t* bits) {
  tflm_train::ClampMask(*params, activation, bits);
}

void TflmTrainKernelConvInputGrad(const tflm_train::ConvInputGradParams* params,
                                  const int8_t* grad_out, const int8_t* weights, const int8_t* m,
                                  float* scales, float* ranges, const void* mask,
                                  const int8_t* addend, const int8_t* columns, const int16_t* order,
                                  int8_t* grad_in) {
  const Scratch scratch(tflm_train::ConvInputGradScratchBytes(*params));
  tflm_train::ConvInputGrad(*params, grad_out, weights, columns, order, m, scales, ranges, mask,
                            addend, grad_in, scratch.get());
}

void TflmTrainKernelDepthwiseInputGrad(const tflm_train::DepthwiseInputGradParams* params,
                                       const int8_t* grad_out, const int8_t* weights,
                                       const int32_t* m, float* scales, float* ranges,
                                       const void* mask, const int8_t* addend,
                                       const int8_t* columns, const int16_t* channels,
                                       int8_t* grad_in) {
  const Scratch scratch(tflm_train::DepthwiseInputGradScratchBytes(*params));
  tflm_train::DepthwiseInputGrad(*params, grad_out, weights, columns, channels, m, scales, ranges,
                                 mask, addend, grad_in, scratch.get());
}

void TflmTrainKernelPoolGrad(const tflm_train::PoolGradParams* params, const int8_t* grad_out,
                             float* scales, float* ranges, const void* mask, int8_t* grad_in) {
  const Scratch scratch(tflm_train::PoolGradScratchBytes(*params));
  tflm_train::PoolGrad(*params, grad_out, scales, ranges, mask, grad_in, scratch.get());
}

void TflmTrainKernelMoveGrad(const tflm_train::MoveGradParams* params, const int8_t* grad_out,
                             float* scales, const void* mask, int8_t* grad_in) {
  tflm_train::MoveGrad(*params, grad_out, scales, mask, grad_in);
}

void TflmTrainKernelProductGrad(const tflm_train::ProductGradParams* params, const int8_t* grad_out,
                                const int8_t* x, const int16_t* table, float* scales, float* ranges,
                                const void* mask, const int8_t* addend, int8_t* grad_in) {
  const Scratch scratch(tflm_train::ProductGradScratchBytes(*params));
  tflm_train::ProductGrad(*params, grad_out, x, table, scales, ranges, mask, addend, grad_in,
                          scratch.get());
}

void TflmTrainKernelMaxPoolGrad(const tflm_train::MaxPoolGradParams* params, const int8_t* grad_out,
                                const int8_t* x, const int8_t* y, float* scales, float* ranges,
                                const void* mask, int8_t* grad_in) {
  const Scratch scratch(tflm_train::MaxPoolGradScratchBytes(*params));
  tflm_train::MaxPoolGrad(*params, grad_out, x, y, scales, ranges, mask, grad_in, scratch.get());
}

void TflmTrainKernelResizeGrad(const tflm_train::ResizeGradParams* params, const int8_t* grad_out,
                               const int16_t* rows, const int16_t* columns, float* scales,
                               float* ranges, const void* mask, const int8_t* addend,
                               int8_t* grad_in) {
  const Scratch scratch(tflm_train::ResizeGradScratchBytes(*params));
  tflm_train::ResizeGrad(*params, grad_out, rows, columns, scales, ranges, mask, addend, grad_in,
                         scratch.get());
}

void TflmTrainKernelL2NormGrad(const tflm_train::L2NormGradParams* params, const int8_t* grad_out,
                               const int8_t* x, const int8_t* y, float* scales, float* ranges,
                               const void* mask, int8_t* grad_in) {
  const Scratch scratch(tflm_train::L2NormGradScratchBytes(*params));
  tflm_train::L2NormGrad(*params, grad_out, x, y, scales, ranges, mask, grad_in, scratch.get());
}

void TflmTrainKernelAccumulate(const tflm_train::AccumulateParams* params, float* scales,
                               const void* mask, const int8_t* const* inputs, int8_t* grad) {
  tflm_train::Accumulate(*params, scales, mask, inputs, grad);
}

void TflmTrainKernelConvUpdate(const tflm_train::ConvUpdateParams* params, const int8_t* x,
                               const int8_t* grad, const tflm_train::TrainState* state,
                               const float* scales, const float* kw, const float* kb,
                               int8_t* weights, int32_t* bias, int8_t* residual,
                               const int16_t* channels) {
  const Scratch scratch(tflm_train::ConvUpdateScratchBytes(*params));
  tflm_train::ConvUpdate(*params, x, grad, *state, scales, kw, kb,
                         {weights, bias, residual, nullptr, nullptr}, channels, scratch.get());
}

void TflmTrainKernelDepthwiseUpdate(const tflm_train::DepthwiseUpdateParams* params,
                                    const int8_t* x, const int8_t* grad,
                                    const tflm_train::TrainState* state, const float* scales,
                                    const float* kw, const float* kb, int8_t* weights,
                                    int32_t* bias, int8_t* residual, const int16_t* channels) {
  const Scratch scratch(tflm_train::DepthwiseUpdateScratchBytes(*params));
  tflm_train::DepthwiseUpdate(*params, x, grad, *state, scales, kw, kb,
                              {weights, bias, residual, nullptr, nullptr}, channels, scratch.get());
}

void TflmTrainKernelChannelSave(const tflm_train::ChannelSaveParams* params, const int8_t* values,
                                const int16_t* channels, int8_t* saved) {
  tflm_train::ChannelSave(*params, values, channels, saved);
}

void TflmTrainKernelSplitConv(const tflm_train::SplitConvParams* params, const int8_t* x,
                              const int8_t* rest, const int8_t* columns, const int16_t* order,
                              const int32_t* multiplier, const int32_t* shift, const int32_t* bias,
                              int8_t* y) {
  const Scratch scratch(tflm_train::SplitConvScratchBytes(*params));
  tflm_train::SplitConv(*params, x, rest, columns, order, multiplier, shift, bias, y,
                        scratch.get());
}

void TflmTrainKernelSplitDepthwise(const tflm_train::SplitDepthwiseParams* params, const int8_t* x,
                                   const int8_t* weights, const int8_t* columns,
                                   const int16_t* channels, const int32_t* multiplier,
                                   const int32_t* shift, const int32_t* bias, int8_t* y) {
  const Scratch scratch(tflm_train::SplitDepthwiseScratchBytes(*params));
  tflm_train::SplitDepthwise(*params, x, weights, columns, channels, multiplier, shift, bias, y,
                             scratch.get());
}

void TflmTrainKernelBiasUpdate(const tflm_train::BiasUpdateParams* params, const int8_t* grad,
                               const tflm_train::TrainState* state, const float* scales,
                               const float* kb, int32_t* bias) {
  tflm_train::BiasUpdate(*params, grad, *state, scales, kb, bias, nullptr);
}

// The primitives of section 1.
int32_t TflmTrainKernelRoundShift(int32_t a, int32_t n) { return tflm_train::RoundShift(a, n); }
int32_t TflmTrainKernelHighMul(int32_t a, int32_t b) { return tflm_train::HighMul(a, b); }
int32_t TflmTrainKernelRoundToInt32(float x) { return tflm_train::RoundToInt32(x); }
float TflmTrainKernelExp2Neg(float t) { return tflm_train::Exp2Neg(t); }
float TflmTrainKernelLog(float x) { return tflm_train::Log(x); }
uint32_t TflmTrainKernelHash(uint32_t x) { return tflm_train::Hash(x); }
uint32_t TflmTrainKernelSqrt(uint32_t x) { return tflm_train::Sqrt(x); }

}  // extern "C"
