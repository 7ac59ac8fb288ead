// STREAM against its layers one after another, each on whole tensors and summed
// element by element as docs/NUMERICS.md writes it, and the
// rings' bounds: stages that nobody reads are never computed, so their ring
// buffers stay as they were, canaries between those of the others.

#include "tflm_kernels/stream.h"

#include "tests/cpp/harness.h"
#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/spec/numerics.h"

namespace tflm_train_test {
namespace {

using tflm_train::Geometry;
using tflm_train::kStreamInput;
using tflm_train::OutputParams;
using tflm_train::StageConstants;
using tflm_train::StageOutputs;
using tflm_train::StreamProgram;
using tflm_train::StreamStage;

#if defined(TFLM_TRAIN_SMALL_TARGET)
constexpr int kMaxLayers = 2;
constexpr int32_t kMostSide = 5, kMostChannels = 3;
constexpr uint64_t kCases = 100;
#else
constexpr int kMaxLayers = 5;
constexpr int32_t kMostSide = 9, kMostChannels = 41;
constexpr uint64_t kCases = 400;
#endif
constexpr int kMaxStages = 2 * kMaxLayers;
constexpr int32_t kCanaryBytes = 8;
constexpr int32_t kMostValues = 4096;  // of one tensor

// SplitMix64.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  int32_t Between(int32_t low, int32_t high) {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return low + static_cast<int32_t>(z % static_cast<uint64_t>(high - low + 1));
  }
  int8_t* Bytes(int32_t count) {
    int8_t* const bytes = Guarded<int8_t>(count);
    for (int32_t i = 0; i < count; ++i) bytes[i] = static_cast<int8_t>(Between(-128, 127));
    return bytes;
  }
  int32_t* Words(int32_t count, int32_t low, int32_t high) {
    int32_t* const words = Guarded<int32_t>(count);
    for (int32_t i = 0; i < count; ++i) words[i] = Between(low, high);
    return words;
  }

 private:
  uint64_t state_;
};

class Constants final : public tflm_train::StreamConstants {
 public:
  StageConstants Of(const StreamStage& stage) const override { return of_stage[stage.constants]; }
  StageOutputs OutputsOf(const StreamStage& stage) const override {
    return outputs_of_stage[stage.constants];
  }
  StageConstants of_stage[kMaxStages] = {};
  StageOutputs outputs_of_stage[kMaxStages] = {};
};

// The struct as it lies in custom_options.
struct Options {
  tflm_train::OpHeader header;
  StreamStage stages[kMaxStages];
};

StreamStage RandomLayer(Random* random, int32_t in_h, int32_t in_w, int32_t in_c) {
  StreamStage stage = {};
  Geometry& g = stage.geometry;
  stage.stage_kind = random->Between(0, 1);
  g.in_h = in_h;
  g.in_w = in_w;
  g.in_c = in_c;
  g.k_h = random->Between(1, 5);
  g.k_w = random->Between(1, 5);
  g.stride_h = random->Between(1, 2);
  g.stride_w = random->Between(1, 2);
  g.dil_h = g.dil_w = random->Between(0, 3) == 0 ? 2 : 1;
  g.pad_t = random->Between(0, g.k_h);
  g.pad_l = random->Between(0, g.k_w);
  // Padding behind the data as well, more or less than a window needs.
  g.out_h = (in_h + g.pad_t) / g.stride_h + random->Between(0, 1);
  g.out_w = (in_w + g.pad_l) / g.stride_w + random->Between(0, 1);
  g.out_h = g.out_h < 1 ? 1 : g.out_h;
  g.out_w = g.out_w < 1 ? 1 : g.out_w;
  stage.multiplier = stage.stage_kind == tflm_train::kStageConv ? 1 : random->Between(1, 2);
  const int32_t most = kMostValues / (g.k_h * g.k_w * in_c) + 1;
  g.out_c = stage.stage_kind == tflm_train::kStageConv
                ? random->Between(1, most < kMostChannels ? most : kMostChannels)
                : in_c * stage.multiplier;
  stage.output = {random->Between(-128, 127), random->Between(-128, 127), -128, 127};
  if (random->Between(0, 1)) {
    stage.output.act_min = random->Between(-128, 20);
    stage.output.act_max = random->Between(20, 127);
  }
  return stage;
}

StreamStage AddOf(Random* random, int32_t a, int32_t b, const Geometry& of) {
  StreamStage stage = {};
  stage.stage_kind = tflm_train::kStageAdd;
  stage.geometry = {of.out_h, of.out_w, of.out_c, of.out_h, of.out_w, of.out_c, 1,
                    1,        1,        1,        1,        1,        0,        0};
  stage.output = {random->Between(-128, 127), random->Between(-128, 127), -120, 120};
  stage.multiplier = 1;
  stage.source = a;
  stage.addend = b;
  stage.add = {random->Between(-128, 127), 1 << 30, 0, 1 << 30, -1, 1 << 30, -18};
  return stage;
}

int32_t OutputSize(const StreamStage& stage) {
  const Geometry& g = stage.geometry;
  return g.out_h * g.out_w * g.out_c;
}

int8_t Output(const OutputParams& output, int32_t scaled) {
  const int32_t value = scaled + output.y_zero_point;
  return static_cast<int8_t>(value < output.act_min   ? output.act_min
                             : value > output.act_max ? output.act_max
                                                      : value);
}

// The weight of output channel c, of a convolution from input channel i.
int32_t WeightOf(const StreamStage& stage, const StageConstants& found, int32_t c, int32_t tap,
                 int32_t i) {
  const Geometry& g = stage.geometry;
  const bool is_conv = stage.stage_kind == tflm_train::kStageConv;
  const int32_t kept = stage.columns, width = is_conv ? g.in_c - kept : g.out_c;
  const int32_t row = is_conv ? c * g.k_h * g.k_w + tap : tap;
  if (kept == 0) return found.weights[row * width + (is_conv ? i : c)];
  // The list: the channels of the weights, then those of the columns; or the latter alone.
  const int32_t first = is_conv ? width : 0;
  for (int32_t j = 0; j < first + kept; ++j) {
    if (found.channels[j] != (is_conv ? i : c)) continue;
    return j < first ? found.weights[row * width + j] : found.columns[row * kept + j - first];
  }
  return found.weights[row * width + c];
}

// The sum of output channel c at (oy, ox), without bias.
int32_t SumOf(const StreamStage& stage, const int8_t* x, const StageConstants& found, int32_t oy,
              int32_t ox, int32_t c) {
  const Geometry& g = stage.geometry;
  const bool is_conv = stage.stage_kind == tflm_train::kStageConv;
  const int32_t first = is_conv ? 0 : c / stage.multiplier;
  const int32_t count = is_conv ? g.in_c : 1;
  int32_t sum = 0;
  for (int32_t tap = 0; tap < g.k_h * g.k_w; ++tap) {
    const int32_t iy = oy * g.stride_h + tap / g.k_w * g.dil_h - g.pad_t;
    const int32_t ix = ox * g.stride_w + tap % g.k_w * g.dil_w - g.pad_l;
    if (iy < 0 || iy >= g.in_h || ix < 0 || ix >= g.in_w) continue;
    const int8_t* const pixel = x + (iy * g.in_w + ix) * g.in_c + first;
    for (int32_t i = 0; i < count; ++i) {
      sum += WeightOf(stage, found, c, tap, i) * (pixel[i] - stage.output.x_zero_point);
    }
  }
  return sum;
}

// One stage from whole tensors.
void RunWhole(const StreamStage& stage, const int8_t* x, const int8_t* addend,
              const StageConstants& found, int8_t* y) {
  using tflm_train::Requantize;
  const Geometry& g = stage.geometry;
  const int32_t size = g.out_h * g.out_w * g.out_c;
  for (int32_t i = 0; i < size; ++i) {
    if (stage.stage_kind == tflm_train::kStageAdd) {
      const tflm_train::AddParams& p = stage.add;
      const int32_t a = (x[i] - stage.output.x_zero_point) * (1 << 20);
      const int32_t b = (addend[i] - p.addend_zero_point) * (1 << 20);
      const int32_t sum = Requantize(a, p.x_multiplier, p.x_shift) +
                          Requantize(b, p.addend_multiplier, p.addend_shift);
      y[i] = Output(stage.output, Requantize(sum, p.y_multiplier, p.y_shift));
      continue;
    }
    const int32_t c = i % g.out_c, ox = i / g.out_c % g.out_w, oy = i / g.out_c / g.out_w;
    const int32_t sum = SumOf(stage, x, found, oy, ox, c);
    const int32_t bias = found.bias == nullptr ? 0 : found.bias[c];
    y[i] = Output(stage.output, Requantize(sum + bias, found.multiplier[c], found.shift[c]));
  }
}

// Weights, whole or with trained columns, and requantization.
StageConstants RandomConstants(Random* random, StreamStage* stage) {
  const Geometry& g = stage->geometry;
  const bool is_conv = stage->stage_kind == tflm_train::kStageConv;
  const int32_t channels = is_conv ? g.in_c : g.out_c;
  stage->columns = random->Between(0, 2) == 0 ? random->Between(0, channels - 1) : 0;
  const int32_t depth = is_conv ? g.in_c - stage->columns : 1;
  // Now and then shifts to the left, and biases that need all 32 bits.
  const bool is_wide = random->Between(0, 4) == 0;
  const int32_t most_bias = is_wide ? 600000000 : 9999;
  StageConstants made = {
      random->Bytes(g.out_c * g.k_h * g.k_w * depth), random->Words(g.out_c, 1 << 30, INT32_MAX),
      is_wide ? random->Words(g.out_c, -25, 0) : random->Words(g.out_c, -10, -5),
      random->Between(0, 1) ? random->Words(g.out_c, -most_bias, most_bias) : nullptr};
  if (stage->columns == 0) return made;
  made.columns = random->Bytes((is_conv ? g.out_c : 1) * g.k_h * g.k_w * stage->columns);
  // The first channels train; a convolution's list has the others before them.
  const int32_t listed = is_conv ? g.in_c : stage->columns;
  int16_t* const list = Guarded<int16_t>(listed);
  for (int32_t i = 0; i < listed; ++i) {
    list[i] = static_cast<int16_t>(is_conv ? (i + stage->columns) % g.in_c : i);
  }
  made.channels = list;
  return made;
}

// Asks for a mask, for some channels or for all of them.
void AddOutputs(Random* random, StreamStage* stage, StageOutputs* outputs) {
  const Geometry& g = stage->geometry;
  if (random->Between(0, 2) == 0) {
    stage->mask_output = 1;
    outputs->mask = Guarded<uint8_t>((OutputSize(*stage) + 7) / 8);
  }
  if (random->Between(0, 2) != 0) return;
  stage->kept_output = 1;
  stage->kept_channels = random->Between(1, g.out_c);
  outputs->kept = Guarded<int8_t>(g.out_h * g.out_w * stage->kept_channels);
  if (stage->kept_channels == g.out_c) return;
  int16_t* const channels = Guarded<int16_t>(stage->kept_channels);
  const int32_t first = random->Between(0, g.out_c - stage->kept_channels);
  for (int32_t i = 0; i < stage->kept_channels; ++i) channels[i] = static_cast<int16_t>(first + i);
  outputs->channels = channels;
  stage->kept_list = 1;
}

// The further outputs against those of the whole activation `y`.
void ExpectOutputs(const StreamStage& stage, const StageOutputs& outputs, const int8_t* y) {
  const Geometry& g = stage.geometry;
  const int32_t size = OutputSize(stage);
  if (outputs.mask != nullptr) {
    uint8_t* const bits = Guarded<uint8_t>((size + 7) / 8);
    const tflm_train::ClampMaskParams params = {
        {}, size, stage.output.act_min, stage.output.act_max, tflm_train::kNoMark};
    tflm_train::ClampMask(params, y, bits);
    EXPECT_SAME(outputs.mask, bits, (size + 7) / 8);
  }
  if (outputs.channels != nullptr) {
    const int32_t positions = g.out_h * g.out_w;
    int8_t* const saved = Guarded<int8_t>(positions * stage.kept_channels);
    tflm_train::ChannelSave(
        {{}, positions, g.out_c, stage.kept_channels, tflm_train::kNoMark, tflm_train::kNoMark}, y,
        outputs.channels, saved);
    EXPECT_SAME(outputs.kept, saved, positions * stage.kept_channels);
  } else if (outputs.kept != nullptr) {
    EXPECT_SAME(outputs.kept, y, size);
  }
}

// A canary: a stage that no other reads.
StreamStage Canary(const StreamStage& before) {
  StreamStage stage = before;
  stage.mask_output = stage.kept_output = stage.kept_channels = stage.kept_list = 0;
  stage.columns = 0;
  stage.geometry.out_h = 1;
  stage.geometry.out_w = kCanaryBytes;
  stage.geometry.out_c = 1;
  stage.ring_rows = 1;
  return stage;
}

// The smallest ring that FindSmallRing takes for each stage.
void ShrinkRings(Options* options, int stages, size_t length) {
  const StreamProgram program(options, length);
  for (int i = 0; i < stages; ++i) {
    StreamStage& stage = options->stages[i];
    stage.ring_rows = tflm_train::IsKeptWhole(stage) ? stage.geometry.out_h : 1;
  }
  options->stages[stages - 1].ring_rows = options->stages[stages - 1].geometry.out_h;
  for (int32_t small = tflm_train::FindSmallRing(program); small >= 0;
       small = tflm_train::FindSmallRing(program)) {
    ++options->stages[small].ring_rows;
    EXPECT_TRUE(options->stages[small].ring_rows <= options->stages[small].geometry.out_h);
  }
}

void RunCase(uint64_t seed) {
  Random random(seed);
  Options options = {};
  Constants constants;
  const int layers = random.Between(1, kMaxLayers);
  int32_t h = random.Between(1, kMostSide), w = random.Between(1, kMostSide);
  int32_t c = random.Between(1, kMostChannels);
  const int8_t* const x = random.Bytes(h * w * c);
  int8_t* whole[kMaxStages] = {};
  int count = 0;
  for (int layer = 0; layer < layers; ++layer) {
    // Each layer's stage, then a canary; but no canary behind the last.
    const int before = count == 0 ? kStreamInput : count - 2;
    StreamStage stage;
    const bool can_add = before != kStreamInput && random.Between(0, 2) == 0;
    if (can_add) {
      const int other = before >= 2 && OutputSize(options.stages[before - 2]) == h * w * c &&
                                options.stages[before - 2].geometry.out_h == h &&
                                options.stages[before - 2].geometry.out_w == w
                            ? before - 2
                            : before;
      stage = AddOf(&random, before, other, options.stages[before].geometry);
    } else {
      stage = RandomLayer(&random, h, w, c);
      stage.source = before;
      stage.addend = kStreamInput;
    }
    if (OutputSize(stage) > kMostValues) break;
    const Geometry& g = stage.geometry;
    stage.constants = count;
    if (stage.stage_kind != tflm_train::kStageAdd) {
      constants.of_stage[count] = RandomConstants(&random, &stage);
    }
    const int8_t* const from = stage.source == kStreamInput ? x : whole[stage.source];
    const int8_t* const addend = stage.addend == kStreamInput ? x : whole[stage.addend];
    whole[count] = Guarded<int8_t>(OutputSize(stage));
    RunWhole(stage, from, addend, constants.of_stage[count], whole[count]);
    AddOutputs(&random, &stage, &constants.outputs_of_stage[count]);
    options.stages[count] = stage;
    options.stages[count + 1] = Canary(stage);
    options.stages[count + 1].constants = count + 1;
    count += 2;
    h = g.out_h;
    w = g.out_w;
    c = g.out_c;
  }
  if (count == 0) return;
  --count;
  StreamStage& last = options.stages[count - 1];
  if (tflm_train::IsKeptWhole(last)) {
    last.kept_output = last.kept_channels = 0;
    constants.outputs_of_stage[count - 1].kept = nullptr;
  }
  const size_t length = sizeof(options.header) + count * sizeof(StreamStage);
  ShrinkRings(&options, count, length);
  const StreamProgram program(&options, length);
  const size_t scratch_bytes = tflm_train::StreamScratchBytes(program);
  int8_t* const scratch = static_cast<int8_t*>(GuardedBytes(scratch_bytes));
  int8_t* const untouched = GuardedCopy(scratch, scratch_bytes);
  int8_t* const y = Guarded<int8_t>(OutputSize(options.stages[count - 1]));
  tflm_train::Stream(program, x, constants, y, scratch);
  EXPECT_SAME(y, whole[count - 1], OutputSize(options.stages[count - 1]));
  for (int i = 0; i < count; ++i) {
    if (i % 2 == 0) ExpectOutputs(options.stages[i], constants.outputs_of_stage[i], whole[i]);
  }
  // The rings lie at the end, in the order of the stages.
  size_t at = scratch_bytes;
  for (int i = count - 2; i >= 0; --i) {
    const Geometry& g = options.stages[i].geometry;
    if (tflm_train::IsKeptWhole(options.stages[i])) continue;
    const size_t bytes = options.stages[i].ring_rows * g.out_w * g.out_c;
    at -= bytes;
    if (i % 2 == 1) EXPECT_SAME(scratch + at, untouched + at, bytes);
  }
}

TEST(Stream, EqualsItsLayersAndKeepsToItsRings) {
  for (uint64_t seed = 0; seed < kCases; ++seed) {
    Case scope("Stream", "Random");
    RunCase(seed);
  }
}

}  // namespace
}  // namespace tflm_train_test
