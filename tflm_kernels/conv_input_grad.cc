#include "tflm_kernels/conv_input_grad.h"

#include <cstring>

#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/panel.h"
#include "tflm_kernels/panel_writer.h"
#include "tflm_kernels/requantize.h"
#include "tflm_kernels/spec/geometry.h"
#include "tflm_kernels/unordered_writer.h"

namespace tflm_train {
namespace {

// Memory for the panels of gradients that a panel of weights is packed for. With sixteen
// pixels, packing is a tenth of the work: more than that only where they are small.
constexpr int32_t kGradientBytes = 4096;
constexpr int32_t kEnoughPanels = 4;
constexpr int32_t kEnoughBytes = 11264;

bool IsSplit(const ConvInputGradParams& params) { return params.group < params.geometry.out_c; }

// A 1x1 layer without strides has no rows: all its pixels can be one.
Geometry Flattened(const Geometry& geometry) {
  Geometry g = geometry;
  if (g.k_h == 1 && g.k_w == 1 && g.stride_h == 1 && g.stride_w == 1 && g.pad_t == 0 &&
      g.pad_l == 0 && g.in_h == g.out_h && g.in_w == g.out_w) {
    g.in_w *= g.in_h;
    g.out_w = g.in_w;
    g.in_h = g.out_h = 1;
  }
  return g;
}

constexpr int32_t AtMost(int32_t a, int32_t b) { return a < b ? a : b; }

// How ConvInputGrad divides its work between panels.
struct PanelPlan {
  explicit PanelPlan(const ConvInputGradParams& params)
      : g(Flattened(params.geometry)), elements(PanelElements(g.out_c) * g.k_h * g.k_w) {
    // One pixel, sums in groups and transposed layers are left to the pixel by
    // pixel way.
    // FAST-PATH-BOUND: panel-groups panel-transposed
    usable = !IsSplit(params) && g.in_h * g.in_w > 1 && params.transposed == 0;
    const int32_t per_row = (g.in_w + g.stride_w - 1) / g.stride_w;
    const int32_t needed = (per_row + kLanes - 1) / kLanes;
    const int32_t panel_bytes = static_cast<int32_t>(sizeof(int16_t)) * elements;
    const int32_t enough = AtMost(kEnoughPanels, kEnoughBytes / panel_bytes);
    const int32_t fitting = kGradientBytes / panel_bytes;
    // Blocks of about one size.
    const int32_t wanted = fitting > enough ? fitting : enough < 1 ? 1 : enough;
    const int32_t most = AtMost(wanted, PanelWriter::kMaxPanels);
    const int32_t blocks = (needed + most - 1) / most;
    panels = (needed + blocks - 1) / blocks;
  }

  size_t bytes() const { return sizeof(int16_t) * elements * (panels + 1); }

  Geometry g;
  int32_t elements;  // of the panel of a whole kernel
  int32_t panels;    // of gradients, held at once
  bool usable;
};

// Some of the layer's weights, all of them int8 [out_c][k_h][k_w][width].
struct WeightBlock {
  const int8_t* weights;
  int32_t width;
};

// Calls visit(tap, oy, ox) for every tap that connects input (iy, ix) or one of
// the `count` inputs to its right, `stride_w` apart, to an output: the position
// for (iy, ix), which may be outside.
template <typename Visit>
void ForEachTap(const Geometry& g, int32_t iy, int32_t ix, int32_t count, const Visit& visit) {
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int32_t oy = OutputPosition(iy, ky, g.stride_h, g.dil_h, g.pad_t, g.out_h);
    if (oy < 0) continue;
    for (int32_t kx = 0; kx < g.k_w; ++kx) {
      const int32_t offset = ix + g.pad_l - kx * g.dil_w;
      const int32_t ox = g.stride_w == 1 ? offset : offset / g.stride_w;
      if (ox * g.stride_w != offset || ox >= g.out_w || ox + count <= 0) continue;
      visit(ky * g.k_w + kx, oy, ox);
    }
  }
}

// The same for the one input (iy, ix) of a transposed convolution, whose taps
// all lead to different outputs.
template <typename Visit>
void ForEachTransposedTap(const Geometry& g, int32_t iy, int32_t ix, const Visit& visit) {
  for (int32_t ky = 0; ky < g.k_h; ++ky) {
    const int32_t oy = iy * g.stride_h + ky * g.dil_h - g.pad_t;
    if (oy < 0 || oy >= g.out_h) continue;
    for (int32_t kx = 0; kx < g.k_w; ++kx) {
      const int32_t ox = ix * g.stride_w + kx * g.dil_w - g.pad_l;
      if (ox >= 0 && ox < g.out_w) visit(ky * g.k_w + kx, oy, ox);
    }
  }
}

// Packs q * m of the pixels from (iy, ix) on that `count` inputs meet, panel after panel;
// returns the depth of the panels.
int32_t PackGradients(const Geometry& g, int32_t iy, int32_t ix, int32_t count,
                      const int8_t* grad_out, const int8_t* m, int16_t* panels) {
  const int32_t tap_elements = PackedElements(g.out_c);
  int32_t elements = 0;
  ForEachTap(g, iy, ix, count, [&](int32_t, int32_t, int32_t) { elements += tap_elements; });
  ForEachTap(g, iy, ix, count, [&](int32_t, int32_t oy, int32_t ox) {
    for (int32_t j = 0; j < count; ++j) {
      int16_t* const lane = panels + j / kLanes * elements + LaneStart(j % kLanes, elements);
      const int32_t x = ox + j;
#if defined(TFLM_TRAIN_MVE) || defined(TFLM_TRAIN_DSP)
      constexpr int kTogether = kInterleaved;
      // FAST-PATH-BOUND: interleaved-pixels
      if (j % kTogether == 0 && count - j >= kTogether && x >= 0 && x + kTogether <= g.out_w) {
        PackInterleavedProducts(grad_out + (oy * g.out_w + x) * g.out_c, g.out_c, m, g.out_c, lane);
        j += kTogether - 1;
        continue;
      }
#endif
      if (x >= 0 && x < g.out_w) {
        PackProducts(grad_out + (oy * g.out_w + x) * g.out_c, m, g.out_c, lane);
      } else {
        ClearLane(g.out_c, lane);
      }
    }
    panels += tap_elements / kLanes * kInterleaved;
  });
  return elements / kLanes;
}

#if !defined(TFLM_TRAIN_MVE) && !defined(TFLM_TRAIN_DSP)
// Where each input channel's weights are, channel by channel.
class ChannelWalk {
 public:
  // order: see WriteChannels.
  ChannelWalk(const WeightBlock (&blocks)[2], const int16_t* order)
      : blocks_(blocks), columns_(order == nullptr ? nullptr : order + blocks[0].width) {}

  // The weights of the next `count` channels; a lane's width is that of its block. Returns
  // whether they lie beside each other.
  bool Next(int count, WeightBlock* lanes) {
    if (columns_ == nullptr) {
      lanes[0] = {blocks_[0].weights + next_[0], blocks_[0].width};
      next_[0] += count;
      return true;
    }
    bool adjacent = true;
    for (int j = 0; j < count; ++j) {
      const int32_t channel = next_[0] + next_[1];
      const int b = next_[1] < blocks_[1].width && columns_[next_[1]] == channel ? 1 : 0;
      lanes[j] = {blocks_[b].weights + next_[b]++, blocks_[b].width};
      adjacent = adjacent && lanes[j].weights == lanes[0].weights + j;
    }
    return adjacent;
  }

 private:
  const WeightBlock* blocks_;
  const int16_t* columns_;  // channels of the second block, ascending
  int32_t next_[2] = {0, 0};
};
#endif

// Packs the weights of up to four input channels, for the taps of PackGradients. lane: where they
// are, of adjacent ones the first. elements: of the panel.
__attribute__((noinline)) void PackWeights(const Geometry& g, int32_t iy, int32_t ix, int32_t count,
                                           const WeightBlock* lane, bool adjacent, int lanes,
                                           int32_t elements, int16_t* panel) {
  const int32_t tap_elements = PackedElements(g.out_c);
  const int32_t taps = g.k_h * g.k_w;
  const int32_t stride = taps * lane[0].width;
#if defined(TFLM_TRAIN_MVE)
  const bool at_once = adjacent && lanes == kLanes && stride <= EvenLanes::kMaxStride;
  const EvenLanes even(stride);
#elif defined(TFLM_TRAIN_DSP)
  const bool at_once = adjacent && lanes == kLanes;
#else
  const bool at_once = adjacent;
#endif
  ForEachTap(g, iy, ix, count, [&](int32_t tap, int32_t, int32_t) {
    if (at_once) {
      const int8_t* const first = lane[0].weights + tap * lane[0].width;
#if defined(TFLM_TRAIN_MVE)
      even.Pack(first, g.out_c, panel);
#elif defined(TFLM_TRAIN_DSP)
      PackFourLanes(first, stride, g.out_c, panel, panel + LaneStart(2, elements));
#else
      PixelCursor cursor({first, 1, g.out_c, 0, stride});
      PackLanes(&cursor, g.out_c, lanes, 0, panel);
#endif
    } else {
      for (int j = 0; j < lanes; ++j) {
        const WeightBlock& block = lane[adjacent ? 0 : j];
        PackLane(block.weights + tap * block.width + (adjacent ? j : 0), taps * block.width,
                 g.out_c, panel + LaneStart(j, elements));
      }
    }
    panel += tap_elements / kLanes * kInterleaved;
  });
}

// Writes all input channels of a block of pixels. order: see ConvInputGrad; nullptr when all
// weights are in the first block. panel: for weights.
#if defined(TFLM_TRAIN_MVE) || defined(TFLM_TRAIN_DSP)
void WriteChannels(const Geometry& g, int32_t iy, int32_t ix, int32_t count,
                   const WeightBlock (&blocks)[2], const int16_t* order, int16_t* panel,
                   PanelWriter* writer) {
  for (const WeightBlock& block : blocks) {
    int32_t i = 0;
    // Where the only tap leads to no output, the gradients are zero.
    if (g.k_h * g.k_w == 1 && block.width <= PanelWriter::kMaxWidth) {
      i = writer->WritePointwise(block.weights, block.width, g.out_c, order, panel);
    }
    for (; i < block.width; i += kLanes) {
      const int lanes = AtMost(block.width - i, kLanes);
      const WeightBlock first = {block.weights + i, block.width};
      PackWeights(g, iy, ix, count, &first, true, lanes, writer->elements(), panel);
      writer->Write(panel, order, i, lanes);
    }
    if (order != nullptr) order += block.width;
  }
}
#else
void WriteChannels(const Geometry& g, int32_t iy, int32_t ix, int32_t count,
                   const WeightBlock (&blocks)[2], const int16_t* order, int16_t* panel,
                   PanelWriter* writer) {
  ChannelWalk walk(blocks, order);
  for (int32_t i = 0; i < g.in_c; i += kLanes) {
    const int lanes = AtMost(g.in_c - i, kLanes);
    WeightBlock lane[kLanes];
    const bool adjacent = walk.Next(lanes, lane);
    PackWeights(g, iy, ix, count, lane, adjacent, lanes, writer->elements(), panel);
    writer->Write(panel, i, lanes);
  }
}
#endif

// The input gradient with the weights of four channels packed once for as many
// pixels as there is memory for. The sums do not come pixel by pixel.
void InputGradByPanels(const PanelPlan& plan, const WeightBlock (&blocks)[2], const int16_t* order,
                       const int8_t* grad_out, const int8_t* m, const UnorderedWriter& writer,
                       void* scratch) {
  const Geometry& g = plan.g;
  int16_t* const weights = static_cast<int16_t*>(scratch);
  int16_t* const gradients = weights + plan.elements;
  const int32_t most = plan.panels * kLanes;
  const size_t step = static_cast<size_t>(g.stride_w) * g.in_c;
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    for (int32_t phase = 0; phase < g.stride_w && phase < g.in_w; ++phase) {
      for (int32_t ix = phase; ix < g.in_w; ix += most * g.stride_w) {
        const int32_t rest = (g.in_w - ix + g.stride_w - 1) / g.stride_w;
        const int32_t count = rest < most ? rest : most;
        int32_t depth = PackGradients(g, iy, ix, count, grad_out, m, gradients);
        if (depth == 0) {  // between the strides: all zero
          depth = 1;
          std::memset(gradients, 0, sizeof(int16_t) * plan.panels * PackedElements(depth));
          std::memset(weights, 0, sizeof(int16_t) * PackedElements(depth));
        }
        const size_t pixel = (static_cast<size_t>(iy) * g.in_w + ix) * g.in_c;
        PanelWriter panel_writer(writer, gradients, depth, count, pixel, step);
        WriteChannels(g, iy, ix, count, blocks, order, weights, &panel_writer);
      }
    }
  }
}

// Adds to acc[block.width] what output channels [c_begin, c_end) send to input
// (iy, ix) through the block.
void AccumulateChannels(const ConvInputGradParams& params, int32_t c_begin, int32_t c_end,
                        int32_t iy, int32_t ix, const int8_t* grad_out, const WeightBlock& block,
                        const int8_t* m, int32_t* acc) {
  const Geometry& g = params.geometry;
  const int32_t channel_stride = g.k_h * g.k_w * block.width;
  RowSum sum(acc, block.width);
  const auto add = [&](int32_t tap, int32_t oy, int32_t ox) {
    const int8_t* q = grad_out + (oy * g.out_w + ox) * g.out_c;
    const int8_t* row = block.weights + c_begin * channel_stride + tap * block.width;
    for (int32_t c = c_begin; c < c_end; ++c, row += channel_stride) {
      sum.Add(static_cast<int16_t>(q[c] * m[c]), row);
    }
  };
  if (params.transposed) {
    ForEachTransposedTap(g, iy, ix, add);
  } else {
    ForEachTap(g, iy, ix, 1, add);
  }
  sum.Flush();
}

// The input gradient pixel by pixel.
void InputGradByPixels(const ConvInputGradParams& params, const WeightBlock (&blocks)[2],
                       const int16_t* order, const int8_t* grad_out, const int8_t* m,
                       GradientWriter* writer, void* scratch) {
  const Geometry& g = params.geometry;
  const size_t pixel_bytes = sizeof(int32_t) * g.in_c;
  const int32_t rest = blocks[0].width;
  int32_t* total = static_cast<int32_t*>(scratch);
  int32_t* part = total + g.in_c;
  int32_t* in_order = part + (IsSplit(params) ? g.in_c : 0);
  // Sums of one pixel, in the order of the weights.
  const auto accumulate = [&](int32_t c_begin, int32_t c_end, int32_t iy, int32_t ix,
                              int32_t* acc) {
    std::memset(acc, 0, pixel_bytes);
    AccumulateChannels(params, c_begin, c_end, iy, ix, grad_out, blocks[0], m, acc);
    if (params.kept > 0) {
      AccumulateChannels(params, c_begin, c_end, iy, ix, grad_out, blocks[1], m, acc + rest);
    }
  };
  for (int32_t iy = 0; iy < g.in_h; ++iy) {
    for (int32_t ix = 0; ix < g.in_w; ++ix) {
      if (!IsSplit(params)) {
        accumulate(0, g.out_c, iy, ix, total);
      } else {
        std::memset(total, 0, pixel_bytes);
        for (int32_t c = 0; c < g.out_c; c += params.group) {
          const int32_t c_end = g.out_c - c < params.group ? g.out_c : c + params.group;
          accumulate(c, c_end, iy, ix, part);
          AccumulateShifted(total, part, params.group_shift, g.in_c);
        }
      }
      if (params.kept == 0) {
        writer->WritePixel(total);
      } else {
        for (int32_t i = 0; i < g.in_c; ++i) in_order[order[i]] = total[i];
        writer->WritePixel(in_order);
      }
    }
  }
}

}  // namespace

size_t ConvInputGradScratchBytes(const ConvInputGradParams& params) {
  const size_t by_pixels =
      sizeof(int32_t) * params.geometry.in_c * (1 + IsSplit(params) + (params.kept > 0));
  const PanelPlan plan(params);
  return plan.usable && plan.bytes() > by_pixels ? plan.bytes() : by_pixels;
}

void ConvInputGrad(const ConvInputGradParams& params, const int8_t* grad_out, const int8_t* weights,
                   const int8_t* columns, const int16_t* order, const int8_t* m, float* scales,
                   float* ranges, const void* mask, const int8_t* addend, int8_t* grad_in,
                   void* scratch) {
  const Geometry& g = params.geometry;
  const WeightBlock blocks[] = {{weights, g.in_c - params.kept}, {columns, params.kept}};
  GradientWriter writer(
      {params.mask, mask, addend, addend != nullptr ? scales[params.slot_addend] : 0.0f, grad_in,
       static_cast<size_t>(g.in_h) * g.in_w * g.in_c, g.in_c, &scales[params.slot_out],
       &ranges[params.slot_out]},
      scales[params.slot_in] * params.unit_scale, grad_out,
      static_cast<size_t>(g.out_h) * g.out_w * g.out_c);
  if (!writer.flows()) return;
  const PanelPlan plan(params);
  const UnorderedWriter unordered(writer);
  if (plan.usable && unordered.usable()) {
    InputGradByPanels(plan, blocks, params.kept > 0 ? order : nullptr, grad_out, m, unordered,
                      scratch);
    if (writer.FinishSaturated()) return;
  }
  InputGradByPixels(params, blocks, order, grad_out, m, &writer, scratch);
  writer.Finish();
}

}  // namespace tflm_train
