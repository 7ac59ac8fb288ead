// Products of panels as gradients: up to four channels of a block of pixels at a time.
//
//   PanelWriter panel_writer(...);
//   for all input channels i, four at a time: pack their weights; panel_writer.Write(weights, i, 4);

#ifndef TFLM_KERNELS_PANEL_WRITER_H_
#define TFLM_KERNELS_PANEL_WRITER_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/panel.h"
#include "tflm_kernels/unordered_writer.h"

namespace tflm_train {

#if defined(TFLM_TRAIN_MVE)
class PanelWriter {
 public:
  static constexpr int32_t kMaxPanels = 16;  // this lies on the stack

  // `count` pixels, `step` elements apart from `first` on, whose gradients are in the panels.
  PanelWriter(const UnorderedWriter& writer, const int16_t* gradients, int32_t depth, int32_t count,
              size_t first, size_t step)
      : writer_(writer),
        run_(gradients, (depth + kQuantum - 1) / kQuantum, (count + kLanes - 1) / kLanes),
        count_(count),
        step_(static_cast<int32_t>(step)),
        first_(first),
        has_words_(writer.HasWords(first, step_)) {}

  static constexpr int32_t kMaxWidth = EvenLanes::kMaxStride;  // for WritePointwise

  // Of a panel, as far as LaneStart needs to know.
  static constexpr int32_t elements() { return 0; }

  // Channels of a pointwise layer as far as there are four more; returns how many.
  // weights: int8 [out_c][width], width at most kMaxWidth. channels: see Write.
  // panel: room for one.
  __attribute__((noinline)) int32_t WritePointwise(const int8_t* weights, int32_t width,
                                                   int32_t out_c, const int16_t* channels,
                                                   int16_t* panel) {
    const EvenLanes lanes(width);
    const bool as_words = has_words_ && channels == nullptr;
    int32_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      lanes.Pack(weights + i, out_c, panel);
      Write(panel, channels, i, kLanes, as_words);
    }
    return i;
  }

  // Writes channels[i] and so on, or, without a list, channels from i on; i a multiple of 4.
  void Write(const int16_t* weights, const int16_t* channels, int32_t i, int lanes) {
    Write(weights, channels, i, lanes, has_words_ && channels == nullptr && lanes == kLanes);
  }

 private:
  TFLM_TRAIN_INLINE void Write(const int16_t* weights, const int16_t* channels, int32_t i,
                               int lanes, bool as_words) {
    const int32_t* const second = sums_ + run_.panels() * kPanelSums;
    run_.Multiply(weights, sums_);
    if (as_words) {
      writer_.WriteWords(sums_, second, count_, first_ + i, step_);
    } else if (channels != nullptr) {
      writer_.Write(sums_, second, count_, first_, step_, channels + i, lanes);
    } else {
      writer_.Write(sums_, second, count_, first_ + i, step_, nullptr, lanes);
    }
  }

  const UnorderedWriter writer_;
  PanelRun run_;
  int32_t count_, step_;
  size_t first_;
  bool has_words_;
  int32_t sums_[2 * kMaxPanels * kPanelSums];
};
#elif defined(TFLM_TRAIN_DSP)
class PanelWriter {
 public:
  static constexpr int32_t kMaxPanels = INT32_MAX;

  PanelWriter(const UnorderedWriter& writer, const int16_t* gradients, int32_t depth, int32_t count,
              size_t first, size_t step)
      : writer_(writer),
        half_(dsp::StepsOf(depth) * dsp::kStepElements),
        count_(count),
        paired_(count & ~1),
        joining_(writer.joining()),
        first_(first) {
    run_.rounding = writer.rounding();
    run_.step = step;
    run_.joining = writer.is_plain() ? nullptr : &joining_;
    run_.gradients = gradients;
    run_.gradients_end = gradients + paired_ / 2 * half_;
    run_.code = dsp::ManySteps(dsp::StepsOf(depth) - 1);
  }

  static constexpr int32_t kMaxWidth = INT32_MAX;  // for WritePointwise

  // Of a panel.
  int32_t elements() const { return 2 * half_; }

  // Channels of a pointwise layer as far as there are four more; returns how many.
  // weights: int8 [out_c][width]. channels: see Write. panel: room for one.
  __attribute__((noinline)) int32_t WritePointwise(const int8_t* weights, int32_t width,
                                                   int32_t out_c, const int16_t* channels,
                                                   int16_t* panel) {
    int32_t i = 0;
    for (; i + kLanes <= width; i += kLanes) {
      PackFourLanes(weights + i, width, out_c, panel, panel + half_);
      Write(panel, channels, i, kLanes);
    }
    return i;
  }

  // Writes channels[i] and so on, or, without a list, channels from i on.
  void Write(const int16_t* weights, const int16_t* channels, int32_t i, int lanes) {
    const auto element = [=](int32_t j) {
      return first_ + static_cast<size_t>(channels == nullptr ? i + j : channels[i + j]);
    };
    int32_t done = 0;
    // FAST-PATH-BOUND: panel-lanes pixel-pairs
    if (lanes == kLanes && paired_ > 0) {
      done = paired_;
      run_.q[0] = writer_.At(element(0));
      run_.q[1] = writer_.At(element(1));
      run_.next_q[0] = writer_.At(element(2));
      run_.next_q[1] = writer_.At(element(3));
      run_.weights = weights;
      run_.half = weights + half_;
      run_.weights_end = run_.half + half_;
      dsp::WritePairs(run_);
    }
    if (done < count_) WriteFrom(done, weights, channels, i, lanes);
  }

 private:
  // Write of pixels from an even one on, one sum at a time.
  __attribute__((noinline)) void WriteFrom(int32_t pixel, const int16_t* weights,
                                           const int16_t* channels, int32_t i, int lanes) const {
    const int32_t steps = half_ / dsp::kStepElements;
    const int16_t* gradients = run_.gradients + pixel / 2 * half_;
    size_t at = first_ + static_cast<size_t>(pixel) * run_.step;
    for (; pixel < count_; pixel += 2, gradients += half_, at += 2 * run_.step) {
      const int32_t pixels = count_ - pixel < 2 ? 1 : 2;
      int32_t sums[2 * kLanes];  // lane by lane, of two pixels
      dsp::SumHalves(weights, gradients, steps, sums);
      if (lanes > 2) dsp::SumHalves(weights + half_, gradients, steps, sums + kLanes);
      for (int32_t j = 0; j < lanes; ++j) {
        const size_t channel = static_cast<size_t>(channels == nullptr ? i + j : channels[i + j]);
        for (int32_t k = 0; k < pixels; ++k) {
          writer_.WriteOne(sums[2 * j + k], at + static_cast<size_t>(k) * run_.step + channel);
        }
      }
    }
  }

  const UnorderedWriter& writer_;
  dsp::PairRun run_;
  int32_t half_;  // elements of half a panel
  int32_t count_;
  int32_t paired_;  // pixels, for WritePairs
  dsp::Joining joining_;
  size_t first_;
};
#else
class PanelWriter {
 public:
  static constexpr int32_t kMaxPanels = INT32_MAX;

  PanelWriter(const UnorderedWriter& writer, const int16_t* gradients, int32_t depth, int32_t count,
              size_t first, size_t step)
      : writer_(writer),
        gradients_(gradients),
        depth_(depth),
        count_(count),
        first_(first),
        step_(step) {}

  // Of a panel.
  int32_t elements() const { return PackedElements(depth_); }

  void Write(const int16_t* weights, int32_t i, int lanes) const {
    if (writer_.is_plain() && lanes == kLanes) {
      WriteAs<true>(weights, first_ + i, lanes);
    } else {
      WriteAs<false>(weights, first_ + i, lanes);
    }
  }

 private:
  template <bool kPlain>
  void WriteAs(const int16_t* weights, size_t at, int lanes) const {
    const UnorderedWriter local = writer_;
    const int16_t* gradients = gradients_;
    const int32_t depth = depth_;
    const size_t step = step_;
    int32_t to_next = 2 * kQuantum;
    for (int32_t left = count_; left > 0; left -= 2) {
      int32_t sums[2 * kLanes];
      MultiplyPanels(gradients, weights, depth, sums);
      local.Write<kPlain>(sums, at, lanes);
      at += step;
      if (left > 1) local.Write<kPlain>(sums + kLanes, at, lanes);
      at += step;
      // To the panel's other two lanes, then to the next panel's first two.
      gradients += to_next;
      to_next = PackedElements(depth) - to_next;
    }
  }

  const UnorderedWriter& writer_;
  const int16_t* gradients_;
  int32_t depth_, count_;
  size_t first_, step_;
};
#endif

}  // namespace tflm_train

#endif  // TFLM_KERNELS_PANEL_WRITER_H_
