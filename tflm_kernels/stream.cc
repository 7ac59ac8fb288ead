#include "tflm_kernels/stream.h"

#include <cstring>

#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/forward_rows.h"

namespace tflm_train {
namespace {

struct Progress {
  int32_t rows;      // how many are computed
  int32_t consumer;  // the stage that waits for the next one
};

constexpr size_t AlignedToWord(size_t bytes) { return (bytes + 3) & ~size_t{3}; }

int32_t RowBytes(const StreamStage& stage) { return stage.geometry.out_w * stage.geometry.out_c; }

// The whole output of the last stage is the op's, as are kept ones.
size_t RingBytes(const StreamStage& stage, bool is_last) {
  return is_last || IsKeptWhole(stage) ? 0 : static_cast<size_t>(stage.ring_rows) * RowBytes(stage);
}

size_t SumsBytes(const StreamStage& stage) {
  switch (stage.stage_kind) {
    case kStageConv:
      return ConvRowScratchBytes(stage.geometry);
    case kStageDepthwise:
      return DepthwiseRowScratchBytes(stage.geometry);
    default:
      return 0;
  }
}

size_t WidestSums(const StreamProgram& program) {
  size_t widest = 0;
  for (int32_t i = 0; i < program.count(); ++i) {
    const size_t bytes = SumsBytes(program.Stage(i));
    widest = bytes > widest ? bytes : widest;
  }
  return AlignedToWord(widest);
}

int32_t FirstInputRow(const StreamStage& stage, int32_t oy) {
  const Geometry& g = stage.geometry;
  const int32_t row = oy * g.stride_h - g.pad_t;
  return row < 0 ? 0 : row;
}

int32_t LastInputRow(const StreamStage& stage, int32_t oy) {
  const Geometry& g = stage.geometry;
  const int32_t row = oy * g.stride_h + (g.k_h - 1) * g.dil_h - g.pad_t;
  return row < g.in_h ? row : g.in_h - 1;
}

// A source that has not yet computed what row oy of `stage` needs, or kStreamInput.
int32_t MissingSource(const StreamStage& stage, int32_t oy, const Progress* progress) {
  const int32_t needed = LastInputRow(stage, oy);
  if (stage.source != kStreamInput && progress[stage.source].rows <= needed) return stage.source;
  const bool has_addend = stage.stage_kind == kStageAdd && stage.addend != kStreamInput;
  return has_addend && progress[stage.addend].rows <= needed ? stage.addend : kStreamInput;
}

// Calls visit(index, stage, row) for the rows that stage `target` lacks and those they
// need, every row just before it is needed. Returns whether all visits did.
template <typename Visit>
bool CompleteStage(const StreamProgram& program, int32_t target, Progress* progress,
                   const Visit& visit) {
  const int32_t height = program.Stage(target).geometry.out_h;
  progress[target].consumer = target;
  int32_t index = target;
  while (progress[target].rows < height) {
    const StreamStage stage = program.Stage(index);
    const int32_t row = progress[index].rows;
    const int32_t missing = MissingSource(stage, row, progress);
    if (missing != kStreamInput) {
      progress[missing].consumer = index;
      index = missing;
      continue;
    }
    if (!visit(index, stage, row)) return false;
    ++progress[index].rows;
    index = progress[index].consumer;
  }
  return true;
}

// The whole schedule: the last stage, then what is left of stages with further
// outputs; ends early when `visit` returns false.
template <typename Visit>
void ForEachRow(const StreamProgram& program, Progress* progress, const Visit& visit) {
  const int32_t last = program.count() - 1;
  for (int32_t i = 0; i <= last; ++i) progress[i] = {0, last};
  if (!CompleteStage(program, last, progress, visit)) return;
  for (int32_t i = 0; i < last; ++i) {
    const StreamStage stage = program.Stage(i);
    const bool has_outputs = stage.mask_output != 0 || stage.kept_output != 0;
    if (has_outputs && !CompleteStage(program, i, progress, visit)) return;
  }
}

// Row `row` of a stage, just computed, as the backward pass wants it.
void KeepRow(const StreamStage& stage, const StageOutputs& outputs, int32_t row, const int8_t* y) {
  const Geometry& g = stage.geometry;
  const OutputParams& o = stage.output;
  const int32_t bytes = RowBytes(stage);
  if (outputs.mask != nullptr) {
    ClampMaskPart(o.act_min, o.act_max, y, row * bytes, bytes, outputs.mask);
  }
  if (outputs.channels != nullptr && outputs.kept != nullptr) {
    const ChannelSaveParams params = {{}, g.out_w, g.out_c, stage.kept_channels, kNoMark, kNoMark};
    ChannelSave(params, y, outputs.channels, outputs.kept + row * g.out_w * stage.kept_channels);
  }
}

}  // namespace

StreamStage StreamProgram::Stage(int32_t index) const {
  StreamStage stage;
  std::memcpy(&stage, stages_ + index * sizeof(StreamStage), sizeof(stage));
  return stage;
}

int32_t FindSmallRing(const StreamProgram& program) {
  Progress progress[kMaxStreamStages];
  int32_t found = -1;
  const auto holds = [&](int32_t source, int32_t first_row) {
    if (source == kStreamInput) return true;
    if (progress[source].rows - program.Stage(source).ring_rows <= first_row) return true;
    found = source;
    return false;
  };
  ForEachRow(program, progress, [&](int32_t, const StreamStage& stage, int32_t row) {
    const int32_t first_row = FirstInputRow(stage, row);
    return holds(stage.source, first_row) &&
           (stage.stage_kind != kStageAdd || holds(stage.addend, first_row));
  });
  return found;
}

size_t StreamScratchBytes(const StreamProgram& program) {
  size_t bytes = program.count() * (sizeof(Progress) + sizeof(int32_t)) + WidestSums(program);
  for (int32_t i = 0; i < program.count(); ++i) {
    bytes += RingBytes(program.Stage(i), i == program.count() - 1);
  }
  return bytes;
}

void Stream(const StreamProgram& program, const int8_t* x, const StreamConstants& constants,
            int8_t* y, void* scratch) {
  const int32_t count = program.count();
  Progress* const progress = static_cast<Progress*>(scratch);
  int32_t* const ring_offset = reinterpret_cast<int32_t*>(progress + count);
  char* const sums = reinterpret_cast<char*>(ring_offset + count);
  int8_t* const rings = reinterpret_cast<int8_t*>(sums + WidestSums(program));
  int32_t offset = 0;
  for (int32_t i = 0; i < count; ++i) {
    ring_offset[i] = offset;
    offset += static_cast<int32_t>(RingBytes(program.Stage(i), i == count - 1));
  }
  const auto rows_of_stage = [&](int32_t index, const StreamStage& stage) {
    if (index == count - 1) return y;
    return IsKeptWhole(stage) ? constants.OutputsOf(stage).kept : rings + ring_offset[index];
  };
  const auto rows_of = [&](int32_t source, const Geometry& g) -> Rows {
    const int32_t bytes = g.in_w * g.in_c;
    if (source == kStreamInput) return {x, g.in_h, bytes};
    const StreamStage stage = program.Stage(source);
    return {rows_of_stage(source, stage), stage.ring_rows, bytes};
  };
  ForEachRow(program, progress, [&](int32_t index, const StreamStage& stage, int32_t row) {
    const Geometry& g = stage.geometry;
    int8_t* const to = rows_of_stage(index, stage) + (row % stage.ring_rows) * RowBytes(stage);
    const Rows from = rows_of(stage.source, g);
    if (stage.stage_kind == kStageAdd) {
      AddRow(stage.output, stage.add, from.Row(row), rows_of(stage.addend, g).Row(row), to,
             RowBytes(stage));
    } else {
      const StageConstants found = constants.Of(stage);
      const SplitWeights weights = {found.weights, found.columns, found.channels, stage.columns};
      const ChannelConstants channels = {found.multiplier, found.shift, found.bias};
      if (stage.stage_kind == kStageConv) {
        ConvRow(g, stage.output, row, from, weights, channels, to, sums);
      } else {
        DepthwiseRow(g, stage.output, stage.multiplier, row, from, weights, channels, to, sums);
      }
    }
    KeepRow(stage, constants.OutputsOf(stage), row, to);
    return true;
  });
}

}  // namespace tflm_train
