// A run of layers as one op. Every layer (a stage) keeps only the rows of
// its output that later stages still need, in a ring buffer; every row is
// computed once, just before it is needed. The result is that of the layers one
// after another, bit for bit. What the backward pass needs of a stage is written in the same
// pass: clamp mask bits, some channels or all of them.

#ifndef TFLM_KERNELS_STREAM_H_
#define TFLM_KERNELS_STREAM_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

constexpr int32_t kMaxStreamStages = 64;
constexpr int32_t kStreamInput = -1;  // as a stage's source: the op's input

// The stages as they lie, unaligned, in custom_options behind the header.
class StreamProgram {
 public:
  static constexpr OpKind kKind = OpKind::kStream;

  // length: of the whole struct, OpHeader included.
  StreamProgram(const void* options, size_t length)
      : stages_(static_cast<const char*>(options) + sizeof(OpHeader)),
        count_(static_cast<int32_t>((length - sizeof(OpHeader)) / sizeof(StreamStage))) {}

  int32_t count() const { return count_; }
  StreamStage Stage(int32_t index) const;

 private:
  const char* stages_;
  int32_t count_;
};

// The constants of one stage; an ADD has none.
struct StageConstants {
  const int8_t* weights;  // int8 [out_c][k_h][k_w][in_c], depthwise [k_h][k_w][out_c]
  const int32_t* multiplier;
  const int32_t* shift;
  const int32_t* bias;  // nullptr: none
  // Of weights in two parts, as in SplitWeights.
  const int8_t* columns = nullptr;
  const int16_t* channels = nullptr;
};

// Further outputs of one stage; nullptr: none, or not now.
struct StageOutputs {
  uint8_t* mask;            // bits [(out_h * out_w * out_c + 7) / 8]
  int8_t* kept;             // int8 [out_h][out_w][kept_channels]
  const int16_t* channels;  // int16 [kept_channels]; nullptr: all
};

// Where a program finds its constants and further outputs.
class StreamConstants {
 public:
  virtual StageConstants Of(const StreamStage& stage) const = 0;
  virtual StageOutputs OutputsOf(const StreamStage&) const { return {}; }

 protected:
  ~StreamConstants() = default;
};

// The first stage whose ring buffer gives up a row that is still needed; -1 when
// all are large enough. The stages must be consistent otherwise.
int32_t FindSmallRing(const StreamProgram& program);

// Whether all rows of a stage lie in an output of the op instead of a ring.
inline bool IsKeptWhole(const StreamStage& stage) {
  return stage.kept_output != 0 && stage.kept_channels == stage.geometry.out_c;
}

// Scratch of Stream: its progress, the sums of the widest stage, all ring buffers.
size_t StreamScratchBytes(const StreamProgram& program);

//   program    1 to kMaxStreamStages stages; sources precede their stage, have its
//              input's size, and FindSmallRing() is -1
//   x          int8, the first stage's input
//   y          int8, the last stage's output, written; it may lie over rows of x above the
//              first that the row in work, or a later one of any stage, reads
//   scratch    StreamScratchBytes(program) bytes, 4-byte aligned, of the caller
void Stream(const StreamProgram& program, const int8_t* x, const StreamConstants& constants,
            int8_t* y, void* scratch);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STREAM_H_
