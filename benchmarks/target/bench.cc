// Counts the instructions of the training kernels on an emulated core, or times
// them on the host. The operators to run, as the bytes of their custom_options,
// are put into memory by QEMU's loader or linked in; all other inputs are
// random. A line `<index> <instructions>` is printed for each; on the host,
// `<index> <nanoseconds>` and, where there is one, those of a naive loop.

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "benchmarks/target/gradients.h"
#include "benchmarks/target/inputs.h"
#include "benchmarks/target/measure.h"
#include "benchmarks/target/naive.h"
#include "tests/cpp/harness.h"
#include "tflm_kernels/conv_input_grad.h"
#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/depthwise_input_grad.h"
#include "tflm_kernels/loss.h"
#include "tflm_kernels/split_conv.h"
#include "tflm_kernels/stream.h"
#include "tflm_kernels/update.h"

extern "C" uint32_t bench_cases[];  // count, then per operator: bytes, custom_options

namespace {

using tflm_train::Geometry;
using tflm_train::TrainState;
using tflm_train_bench::Allocate;
using tflm_train_bench::ChannelOrder;
using tflm_train_bench::Count;
using tflm_train_bench::Filled;
using tflm_train_bench::InputSize;
using tflm_train_bench::KeptChannels;
using tflm_train_bench::kSlots;
using tflm_train_bench::Measured;
using tflm_train_bench::OutputSize;
using tflm_train_bench::Random;
using tflm_train_bench::RandomInt8;
using tflm_train_bench::RandomMask;
using tflm_train_bench::Read;
using tflm_train_bench::StartTimer;
using tflm_train_test::Print;

Measured CountConvInputGrad(const uint8_t* options) {
  const auto params = Read<tflm_train::ConvInputGradParams>(options);
  const Geometry& g = params.geometry;
  const int32_t taps = g.out_c * g.k_h * g.k_w;
  const int8_t* grad = RandomInt8(OutputSize(g));
  const int8_t* weights = RandomInt8(taps * (g.in_c - params.kept));
  const int8_t* columns = params.kept > 0 ? RandomInt8(taps * params.kept) : nullptr;
  const int16_t* order = ChannelOrder(g.in_c, params.kept);
  int8_t* m = Allocate<int8_t>(g.out_c);
  for (int32_t c = 0; c < g.out_c; ++c) m[c] = static_cast<int8_t>(Random() % 128);
  float* scales = Filled(kSlots, 1.0f);
  float* ranges = Filled(kSlots, 0.0f);
  const void* mask = RandomMask(params.mask, InputSize(g));
  const int8_t* addend = params.slot_addend >= 0 ? RandomInt8(InputSize(g)) : nullptr;
  int8_t* grad_in = Allocate<int8_t>(InputSize(g));
  void* scratch = Allocate<uint8_t>(tflm_train::ConvInputGradScratchBytes(params));
  const auto kernel = [&] {
    tflm_train::ConvInputGrad(params, grad, weights, columns, order, m, scales, ranges, mask,
                              addend, grad_in, scratch);
  };
  if (mask != nullptr || addend != nullptr || params.kept > 0) return Count(kernel);
  return Count(kernel, [&] { tflm_train_bench::NaiveConvInputGrad(g, grad, weights, m, grad_in); });
}

Measured CountDepthwiseInputGrad(const uint8_t* options) {
  const auto params = Read<tflm_train::DepthwiseInputGradParams>(options);
  const Geometry& g = params.geometry;
  const int32_t taps = g.k_h * g.k_w;
  const int8_t* grad = RandomInt8(OutputSize(g));
  const int8_t* weights = RandomInt8(taps * g.out_c);
  const int8_t* columns = params.kept > 0 ? RandomInt8(taps * params.kept) : nullptr;
  const int16_t* channels = KeptChannels(g.out_c, params.kept);
  int32_t* m = Allocate<int32_t>(g.out_c);
  for (int32_t c = 0; c < g.out_c; ++c) m[c] = static_cast<int32_t>(Random() >> 16);
  float* scales = Filled(kSlots, 1.0f);
  float* ranges = Filled(kSlots, 0.0f);
  const void* mask = RandomMask(params.mask, InputSize(g));
  const int8_t* addend = params.slot_addend >= 0 ? RandomInt8(InputSize(g)) : nullptr;
  int8_t* grad_in = Allocate<int8_t>(InputSize(g));
  void* scratch = Allocate<uint8_t>(tflm_train::DepthwiseInputGradScratchBytes(params));
  const auto kernel = [&] {
    tflm_train::DepthwiseInputGrad(params, grad, weights, columns, channels, m, scales, ranges,
                                   mask, addend, grad_in, scratch);
  };
  if (mask != nullptr || addend != nullptr || params.kept > 0) return Count(kernel);
  return Count(kernel,
               [&] { tflm_train_bench::NaiveDepthwiseInputGrad(g, grad, weights, m, grad_in); });
}

template <typename Params, typename ScratchBytes, typename Kernel>
Measured CountUpdate(const Params& params, int32_t weight_count, int32_t row,
                     ScratchBytes scratch_bytes, Kernel kernel) {
  const Geometry& g = params.geometry;
  const int8_t* x = RandomInt8(InputSize(g));
  const int8_t* grad = RandomInt8(OutputSize(g));
  TrainState state = {};
  state.learning_rate = 1.0f;
  state.step = 1;
  const float* scales = Filled(kSlots, 1.0f);
  // Steps of some tenths of a weight's last bit.
  constexpr float factor = 1.0f / (1 << 17);
  const float* kw = Filled(g.out_c, factor);
  const float* kb = Filled(g.out_c, 1.0f);
  int8_t* weights = RandomInt8(weight_count);
  int32_t* bias = Filled<int32_t>(g.out_c, 1000);
  int8_t* residual = params.update.residual_bits != 0 ? RandomInt8(weight_count) : nullptr;
  const int16_t* channels =
      params.update.row_channels == row ? nullptr : KeptChannels(params.update.row_channels, row);
  void* scratch = Allocate<uint8_t>(scratch_bytes(params));
  const auto run = [&] {
    kernel(params, x, grad, state, scales, kw, kb, {weights, bias, residual, nullptr, nullptr},
           channels, scratch);
  };
  if (channels != nullptr || params.update.residual_bits != 8) return Count(run);
  constexpr bool depthwise = std::is_same<Params, tflm_train::DepthwiseUpdateParams>::value;
  if (depthwise && g.in_c != g.out_c) return Count(run);
  return Count(run, [&] {
    tflm_train_bench::NaiveUpdate(g, depthwise, params.update.x_zero_point, x, grad, 1 << 20,
                                  weights, residual);
  });
}

Measured CountConvUpdate(const uint8_t* options) {
  const auto params = Read<tflm_train::ConvUpdateParams>(options);
  const Geometry& g = params.geometry;
  return CountUpdate(params, g.out_c * g.k_h * g.k_w * g.in_c, g.in_c,
                     tflm_train::ConvUpdateScratchBytes, tflm_train::ConvUpdate);
}

Measured CountDepthwiseUpdate(const uint8_t* options) {
  const auto params = Read<tflm_train::DepthwiseUpdateParams>(options);
  const Geometry& g = params.geometry;
  return CountUpdate(params, g.k_h * g.k_w * g.out_c, g.out_c,
                     tflm_train::DepthwiseUpdateScratchBytes, tflm_train::DepthwiseUpdate);
}

Measured CountBiasUpdate(const uint8_t* options) {
  const auto params = Read<tflm_train::BiasUpdateParams>(options);
  const int8_t* grad = RandomInt8(params.positions * params.channels);
  TrainState state = {};
  state.learning_rate = 1.0f;
  const float* scales = Filled(kSlots, 1.0f);
  const float* kb = Filled(params.channels, 1.0f);
  int32_t* bias = Filled<int32_t>(params.channels, 1000);
  return Count([&] { tflm_train::BiasUpdate(params, grad, state, scales, kb, bias, nullptr); });
}

Measured CountClampMask(const uint8_t* options) {
  const auto params = Read<tflm_train::ClampMaskParams>(options);
  const int8_t* activation = RandomInt8(params.size);
  uint8_t* bits = Allocate<uint8_t>((params.size + 7) / 8);
  return Count([&] { tflm_train::ClampMask(params, activation, bits); });
}

Measured CountChannelSave(const uint8_t* options) {
  const auto params = Read<tflm_train::ChannelSaveParams>(options);
  const int8_t* values = RandomInt8(params.positions * params.channels);
  const int16_t* channels = KeptChannels(params.channels, params.kept);
  int8_t* saved = Allocate<int8_t>(params.positions * params.kept);
  return Count([&] { tflm_train::ChannelSave(params, values, channels, saved); });
}

// A target that is in range: class 0, all outputs alike or the model's input.
const void* Target(const tflm_train::LossParams& params) {
  const int32_t outputs = params.positions * params.classes;
  switch (params.target_kind) {
    case tflm_train::kTargetIndex:
      return Filled<int32_t>(params.positions, 0);
    case tflm_train::kTargetInput:
      return RandomInt8(outputs);
    default:
      return Filled(outputs, 1.0f / params.classes);
  }
}

Measured CountLoss(const uint8_t* options) {
  const auto params = Read<tflm_train::LossParams>(options);
  const int32_t outputs = params.positions * params.classes;
  const int8_t* logits = RandomInt8(outputs);
  const void* target = Target(params);
  TrainState state = {};
  float* scales = Filled(kSlots, 1.0f);
  int8_t* grad = Allocate<int8_t>(outputs);
  float loss;
  void* scratch = Allocate<uint8_t>(tflm_train::LossScratchBytes(params));
  return Count([&] {
    tflm_train::Loss(params, logits, target, nullptr, &state, scales, grad, &loss, scratch);
  });
}

// Multiplier and shift of a layer whose outputs fill int8 about.
int32_t* Multipliers(int32_t channels) { return Filled<int32_t>(channels, 1518500250); }
int32_t* Shifts(int32_t channels) { return Filled<int32_t>(channels, -9); }

Measured CountSplitConv(const uint8_t* options) {
  const auto params = Read<tflm_train::SplitConvParams>(options);
  const Geometry& g = params.geometry;
  const int32_t taps = g.out_c * g.k_h * g.k_w;
  const int8_t* x = RandomInt8(InputSize(g));
  const int8_t* rest = RandomInt8(taps * (g.in_c - params.kept));
  const int8_t* columns = RandomInt8(taps * params.kept);
  const int16_t* order = ChannelOrder(g.in_c, params.kept);
  const int32_t* multiplier = Multipliers(g.out_c);
  const int32_t* shift = Shifts(g.out_c);
  const int32_t* bias = Filled<int32_t>(g.out_c, 1000);
  int8_t* y = Allocate<int8_t>(OutputSize(g));
  void* scratch = Allocate<uint8_t>(tflm_train::SplitConvScratchBytes(params));
  return Count([&] {
    tflm_train::SplitConv(params, x, rest, columns, order, multiplier, shift, bias, y, scratch);
  });
}

Measured CountSplitDepthwise(const uint8_t* options) {
  const auto params = Read<tflm_train::SplitDepthwiseParams>(options);
  const Geometry& g = params.geometry;
  const int32_t taps = g.k_h * g.k_w;
  const int8_t* x = RandomInt8(InputSize(g));
  const int8_t* weights = RandomInt8(taps * g.out_c);
  const int8_t* columns = RandomInt8(taps * params.kept);
  const int16_t* channels = KeptChannels(g.out_c, params.kept);
  const int32_t* multiplier = Multipliers(g.out_c);
  const int32_t* shift = Shifts(g.out_c);
  const int32_t* bias = Filled<int32_t>(g.out_c, 1000);
  int8_t* y = Allocate<int8_t>(OutputSize(g));
  void* scratch = Allocate<uint8_t>(tflm_train::SplitDepthwiseScratchBytes(params));
  return Count([&] {
    tflm_train::SplitDepthwise(params, x, weights, columns, channels, multiplier, shift, bias, y,
                               scratch);
  });
}

// All stages read the same random constants; the largest decides their size.
class StreamConstants final : public tflm_train::StreamConstants {
 public:
  explicit StreamConstants(const tflm_train::StreamProgram& program) {
    int32_t weights = 0, channels = 0;
    for (int32_t i = 0; i < program.count(); ++i) {
      const Geometry g = program.Stage(i).geometry;
      const bool is_conv = program.Stage(i).stage_kind == tflm_train::kStageConv;
      const int32_t size = g.out_c * g.k_h * g.k_w * (is_conv ? g.in_c : 1);
      weights = size > weights ? size : weights;
      channels = g.out_c > channels ? g.out_c : channels;
    }
    constants_ = {RandomInt8(weights), Multipliers(channels), Shifts(channels),
                  Filled<int32_t>(channels, 1000)};
  }
  tflm_train::StageConstants Of(const tflm_train::StreamStage&) const override {
    return constants_;
  }

 private:
  tflm_train::StageConstants constants_;
};

Measured CountStream(const uint8_t* options, size_t bytes) {
  const tflm_train::StreamProgram program(options, bytes);
  const StreamConstants constants(program);
  const int8_t* x = RandomInt8(InputSize(program.Stage(0).geometry));
  int8_t* y = Allocate<int8_t>(OutputSize(program.Stage(program.count() - 1).geometry));
  void* scratch = Allocate<uint8_t>(tflm_train::StreamScratchBytes(program));
  return Count([&] { tflm_train::Stream(program, x, constants, y, scratch); });
}

Measured CountOp(const uint8_t* options) {
  using tflm_train::OpKind;
  tflm_train::OpHeader header;
  std::memcpy(&header, options, sizeof(header));
  tflm_train_bench::ClearInputs();
  switch (static_cast<OpKind>(header.kind)) {
    case OpKind::kLoss:
      return CountLoss(options);
    case OpKind::kClampMask:
      return CountClampMask(options);
    case OpKind::kConvInputGrad:
      return CountConvInputGrad(options);
    case OpKind::kDepthwiseInputGrad:
      return CountDepthwiseInputGrad(options);
    case OpKind::kPoolGrad:
      return tflm_train_bench::CountPoolGrad(options);
    case OpKind::kMaxPoolGrad:
      return tflm_train_bench::CountMaxPoolGrad(options);
    case OpKind::kResizeGrad:
      return tflm_train_bench::CountResizeGrad(options);
    case OpKind::kProductGrad:
      return tflm_train_bench::CountProductGrad(options);
    case OpKind::kL2NormGrad:
      return tflm_train_bench::CountL2NormGrad(options);
    case OpKind::kMoveGrad:
      return tflm_train_bench::CountMoveGrad(options);
    case OpKind::kAccumulate:
      return tflm_train_bench::CountAccumulate(options);
    case OpKind::kConvUpdate:
      return CountConvUpdate(options);
    case OpKind::kDepthwiseUpdate:
      return CountDepthwiseUpdate(options);
    case OpKind::kBiasUpdate:
      return CountBiasUpdate(options);
    case OpKind::kChannelSave:
      return CountChannelSave(options);
    case OpKind::kSplitConv:
      return CountSplitConv(options);
    case OpKind::kSplitDepthwise:
      return CountSplitDepthwise(options);
    case OpKind::kStream:
      return CountStream(options, header.size);
    default:
      Print("error: no benchmark of this kind of operator\n");
      __builtin_trap();
  }
}

void PrintNumber(uint32_t value, const char* end) {
  char text[12];
  char* at = text + sizeof(text) - 1;
  *at = '\0';
  do {
    *--at = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  Print(at);
  Print(end);
}

}  // namespace

int main() {
  StartTimer();
  const uint32_t* at = bench_cases + 1;
  for (uint32_t i = 0; i < bench_cases[0]; ++i) {
    const uint32_t bytes = *at++;
    PrintNumber(i, " ");
    const Measured measured = CountOp(reinterpret_cast<const uint8_t*>(at));
    PrintNumber(measured.kernel, measured.naive == 0 ? "\n" : " ");
    if (measured.naive != 0) PrintNumber(measured.naive, "\n");
    at += bytes / 4;
  }
  Print("done\n");
  return 0;
}
