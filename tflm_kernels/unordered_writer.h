// Streamed requantisation of sums that do not come pixel by pixel.

#ifndef TFLM_KERNELS_UNORDERED_WRITER_H_
#define TFLM_KERNELS_UNORDERED_WRITER_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/requantize.h"
#include "tflm_kernels/spec/numerics.h"

#if defined(TFLM_TRAIN_MVE)
#include <arm_mve.h>

#include "tflm_kernels/panel.h"
#elif defined(TFLM_TRAIN_DSP)
#include "tflm_kernels/arch/multiply_dsp.h"
#endif

namespace tflm_train {

// Writes what GradientWriter does in any order, as long as the predicted exponent
// holds: values are saturated, and GradientWriter::FinishSaturated() applies the mask
// and sees whether any was. That is rare; then start again with the GradientWriter,
// of which nothing has been used up.
//
//   const UnorderedWriter unordered(writer);
//   if (unordered.usable()) {
//     for all parts: unordered.Write<false>(acc, first, 4);
//     if (writer.FinishSaturated()) return;
//   }
//   for each pixel: writer.WritePixel(acc);
//
// Small and without pointers to itself: in an inner loop a local copy is best.
class UnorderedWriter {
 public:
  explicit UnorderedWriter(const GradientWriter& writer)
      : addend_(writer.target_.addend),
        q_(writer.target_.q),
        addend_shift_(writer.addend_shift_),
        addend_factor_(writer.addend_factor_),
        exponent_(writer.exponent_),
        rounding_(usable() ? 1 << (32 - exponent_) : 0) {}

  // 2^(32 - e) has to fit int32.
  // FAST-PATH-BOUND: unordered-exponent
  bool usable() const { return exponent_ >= 2; }

  // Whether the sums are written as they are: no gradient joins them.
  bool is_plain() const { return addend_ == nullptr; }

#if defined(TFLM_TRAIN_MVE)
  // Whether the first elements of pixels `step` elements apart are words, and those at first + 4 k.
  bool HasWords(size_t first, int32_t step) const {
    // FAST-PATH-BOUND: word-writes
    return is_plain() && (reinterpret_cast<uintptr_t>(q_ + first) | step) % sizeof(int32_t) == 0;
  }

  // Writes four channels of `count` pixels, `step` elements apart from `first` on. HasWords().
  // sums, second: the halves of what PanelRun::Multiply writes.
  TFLM_TRAIN_INLINE void WriteWords(const int32_t* sums, const int32_t* second, int32_t count,
                                    size_t first, int32_t step) const {
    const uint32x4_t at = vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(step));
    const int32_t shift = -exponent_, to_next = kLanes * step;
    int8_t* q = q_ + first;
    const uint32_t rest = static_cast<uint32_t>(count) % kLanes;
    uint32_t whole = static_cast<uint32_t>(count) / kLanes;
    if (rest > 0) {
      const int32_t* last = sums + whole * kPanelSums;
      const int32_t* last_second = second + whole * kPanelSums;
      vstrwq_scatter_offset_p_s32(reinterpret_cast<int32_t*>(q + whole * to_next), at,
                                  Words(&last, &last_second, shift), vctp32q(rest));
    }
    for (; whole > 0; --whole, q += to_next) {
      vstrwq_scatter_offset_s32(reinterpret_cast<int32_t*>(q), at, Words(&sums, &second, shift));
    }
  }

  // The same for n channels, n <= 4, wherever they are, with what joins them. channels: which
  // from `first` on; nullptr: the next n.
  __attribute__((noinline)) void Write(const int32_t* sums, const int32_t* second, int32_t count,
                                       size_t first, int32_t step, const int16_t* channels,
                                       int n) const {
    if (is_plain()) {
      WriteChannels<true>(sums, second, count, first, step, channels, n);
    } else {
      WriteChannels<false>(sums, second, count, first, step, channels, n);
    }
  }
#elif defined(TFLM_TRAIN_DSP)
  // Writes one element of the target.
  void WriteOne(int32_t acc, size_t element) const {
    q_[element] = Saturated(addend_ == nullptr ? acc : Joined(acc, element));
  }

  // For dsp::PairRun.
  int32_t rounding() const { return rounding_; }
  int8_t* At(size_t first) const { return q_ + first; }
  dsp::Joining joining() const {
    const intptr_t distance = reinterpret_cast<intptr_t>(addend_) - reinterpret_cast<intptr_t>(q_);
    return {distance, addend_shift_, addend_factor_, 128};
  }
#else
  // Writes elements [first, first + n) of the target, n <= 4; acc has four.
  // kPlain: is_plain(), and n is 4.
  template <bool kPlain>
  TFLM_TRAIN_INLINE void Write(const int32_t* acc, size_t first, int n) const {
    int8_t* const q = q_ + first;
    if (kPlain) return WriteFour(acc[0], acc[1], acc[2], acc[3], q);
    int32_t v[4] = {acc[0], acc[1], acc[2], acc[3]};
    if (addend_ != nullptr) {
      for (int i = 0; i < n; ++i) v[i] = Joined(v[i], first + i);
    }
    if (n == 4) return WriteFour(v[0], v[1], v[2], v[3], q);
    for (int i = 0; i < n; ++i) q[i] = Saturated(v[i]);
  }
#endif

 private:
#if defined(TFLM_TRAIN_MVE)
  // The next four pixels: in each word channels 0 and 1, from `first`, 2 and 3.
  static TFLM_TRAIN_INLINE int32x4_t Words(const int32_t** first, const int32_t** second,
                                           int32_t shift) {
    int32x4_t c0, c1, c2, c3;
    // Intrinsics copy what they narrow.
    asm("vldrw.u32 %q[c1], [%[first], #16]\n\t"
        "vldrw.u32 %q[c0], [%[first]], #32\n\t"
        "vrshl.s32 %q[c1], %[shift]\n\t"
        "vldrw.u32 %q[c3], [%[second], #16]\n\t"
        "vrshl.s32 %q[c0], %[shift]\n\t"
        "vldrw.u32 %q[c2], [%[second]], #32\n\t"
        "vrshl.s32 %q[c3], %[shift]\n\t"
        "vqmovnb.s32 %q[c1], %q[c1]\n\t"
        "vrshl.s32 %q[c2], %[shift]\n\t"
        "vqmovnb.s32 %q[c0], %q[c0]\n\t"
        "vqmovnt.s32 %q[c1], %q[c3]\n\t"
        "vqmovnt.s32 %q[c0], %q[c2]\n\t"
        "vqmovnb.s16 %q[c0], %q[c0]\n\t"
        "vqmovnt.s16 %q[c0], %q[c1]"
        : [first] "+r"(*first), [second] "+r"(*second), [c0] "=&w"(c0), [c1] "=&w"(c1),
          [c2] "=&w"(c2), [c3] "=&w"(c3)
        : [shift] "r"(shift)
        : "memory");
    return c0;
  }

  template <bool kPlain>
  void WriteChannels(const int32_t* sums, const int32_t* second, int32_t count, size_t first,
                     int32_t step, const int16_t* channels, int n) const {
    const uint32x4_t at = vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(step));
    const int32_t shift = -exponent_, addend_shift = -addend_shift_, factor = addend_factor_;
    const int32_t to_next = kLanes * step;
    const int32_t whole = count / kLanes, rest = count % kLanes;
    const mve_pred16_t live = vctp32q(static_cast<uint32_t>(rest));
    const auto rounded = [&](int32x4_t acc, int32x4_t joining) {
      if (!kPlain) {
        joining = vrshrq_n_s32(vmulq_n_s32(joining, factor), 8);
        acc = vaddq_s32(vrshlq_n_s32(acc, addend_shift), joining);
      }
      // Intrinsics copy what they narrow.
      asm("vrshl.s32 %q0, %1\n\t"
          "vqmovnb.s32 %q0, %q0\n\t"
          "vqmovnb.s16 %q0, %q0"
          : "+w"(acc)
          : "r"(shift));
      return acc;
    };
    for (int j = 0; j < n; ++j) {
      const int32_t* from = (j < 2 ? sums : second) + j % 2 * kLanes;
      const size_t element = first + (channels == nullptr ? j : channels[j]);
      const int8_t* addend = addend_ + element;
      int8_t* q = q_ + element;
      int32x4_t joining = {};
      if (rest > 0) {
        const int32_t done = whole * to_next;
        if (!kPlain) joining = vldrbq_gather_offset_z_s32(addend + done, at, live);
        const int32x4_t v = rounded(vld1q_s32(from + whole * kPanelSums), joining);
        vstrbq_scatter_offset_p_s32(q + done, at, v, live);
      }
      for (int32_t left = whole; left > 0; --left, q += to_next) {
        if (!kPlain) {
          joining = vldrbq_gather_offset_s32(addend, at);
          addend += to_next;
        }
        vstrbq_scatter_offset_s32(q, at, rounded(vld1q_s32(from), joining));
        from += kPanelSums;
      }
    }
  }

#else
#if !defined(TFLM_TRAIN_DSP)
  TFLM_TRAIN_INLINE void WriteFour(int32_t v0, int32_t v1, int32_t v2, int32_t v3,
                                   int8_t* q) const {
    q[0] = Saturated(v0);
    q[1] = Saturated(v1);
    q[2] = Saturated(v2);
    q[3] = Saturated(v3);
  }
#endif

  // A sum and what joins it.
  TFLM_TRAIN_INLINE int32_t Joined(int32_t acc, size_t element) const {
    return RoundShift(acc, addend_shift_) + RoundShift(addend_[element] * addend_factor_, 8);
  }

  // RoundShift(value, exponent) as far as it fits.
  int8_t Saturated(int32_t value) const {
    const int32_t q = HighMul(value, rounding_);
    return static_cast<int8_t>(q > 127 ? 127 : q < -128 ? -128 : q);
  }
#endif

  const int8_t* addend_;
  int8_t* q_;
  int addend_shift_;
  int32_t addend_factor_;
  int exponent_;
  int32_t rounding_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_UNORDERED_WRITER_H_
