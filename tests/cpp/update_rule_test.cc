// The update ops under rules other than plain SGD.

#include "tflm_kernels/update_rule.h"

#include "tests/cpp/golden.h"
#include "tflm_kernels/update.h"

namespace tflm_train_test {
namespace {

using tflm_train::TrainedTensors;
using tflm_train::TrainState;

enum Kind { kConv, kDepthwise, kBias };

// A tensor that is changed; value is nullptr where there is none.
struct Changed {
  size_t bytes;
  const void* value;
  const void* want;
};

struct RuledUpdateCase {
  const char* name;
  int kind;
  const uint8_t* options;
  const uint32_t* state;
  const uint32_t* scales;
  const int8_t* x;
  const int8_t* grad;
  size_t factor_count;
  const uint32_t* factors;
  const int16_t* channels;
  Changed weights, bias, residual, gathered, bias_gathered;
};

#include "tests/cpp/generated/ruled_update.inc"

template <typename T>
T* CopyOf(const Changed& tensor) {
  if (tensor.value == nullptr) return nullptr;
  return GuardedCopy(static_cast<const T*>(tensor.value), tensor.bytes / sizeof(T));
}

void ExpectWanted(const Changed& tensor, const void* got) {
  if (tensor.value == nullptr) return;
  ExpectBytes(__FILE__, __LINE__, "changed tensor", got, tensor.want, tensor.bytes);
}

// ConvUpdate or DepthwiseUpdate.
template <typename Params, typename ScratchBytes, typename Kernel>
void RunLayer(const RuledUpdateCase& golden, const TrainState& state, ScratchBytes scratch_bytes,
              Kernel kernel) {
  const Params params = ReadParams<Params>(golden.options);
  const TrainedTensors trained = {CopyOf<int8_t>(golden.weights), CopyOf<int32_t>(golden.bias),
                                  CopyOf<int8_t>(golden.residual), CopyOf<int8_t>(golden.gathered),
                                  CopyOf<int32_t>(golden.bias_gathered)};
  const float* kw = Floats(golden.factors, golden.factor_count);
  kernel(params, golden.x, golden.grad, state, Floats(golden.scales, kSlots), kw,
         kw + params.geometry.out_c, trained, golden.channels, GuardedBytes(scratch_bytes(params)));
  ExpectWanted(golden.weights, trained.weights);
  ExpectWanted(golden.bias, trained.bias);
  ExpectWanted(golden.residual, trained.residual);
  ExpectWanted(golden.gathered, trained.gathered);
  ExpectWanted(golden.bias_gathered, trained.bias_gathered);
}

void RunBias(const RuledUpdateCase& golden, const TrainState& state) {
  int32_t* const bias = CopyOf<int32_t>(golden.bias);
  int32_t* const gathered = CopyOf<int32_t>(golden.bias_gathered);
  tflm_train::BiasUpdate(ReadParams<tflm_train::BiasUpdateParams>(golden.options), golden.grad,
                         state, Floats(golden.scales, kSlots),
                         Floats(golden.factors, golden.factor_count), bias, gathered);
  ExpectWanted(golden.bias, bias);
  ExpectWanted(golden.bias_gathered, gathered);
}

TEST(UpdateRule, Golden) {
  for (const RuledUpdateCase& golden : kRuledUpdateCases) {
    Case scope("UpdateRule", golden.name);
    TrainState state;
    std::memcpy(&state, golden.state, sizeof(state));
    if (golden.kind == kConv) {
      RunLayer<tflm_train::ConvUpdateParams>(golden, state, tflm_train::ConvUpdateScratchBytes,
                                             tflm_train::ConvUpdate);
    } else if (golden.kind == kDepthwise) {
      RunLayer<tflm_train::DepthwiseUpdateParams>(
          golden, state, tflm_train::DepthwiseUpdateScratchBytes, tflm_train::DepthwiseUpdate);
    } else {
      RunBias(golden, state);
    }
  }
}

}  // namespace
}  // namespace tflm_train_test
