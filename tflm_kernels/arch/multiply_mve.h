// Dot products of panels with Helium: vectors of eight elements.

#ifndef TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_
#define TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_

#include <arm_mve.h>

#include <cstdint>

#include "tflm_kernels/panel.h"

namespace tflm_train {

// PackLanes of pixels that are evenly spaced, into all lanes.
class EvenLanes {
 public:
  // The offsets of a gather have 16 bits.
  // FAST-PATH-BOUND: panel-reach
  static constexpr int32_t kMaxStride = (UINT16_MAX - kLanes) / kQuantum;

  explicit EvenLanes(int32_t stride)
      : at0_(vmulq_n_u16(vidupq_n_u16(0, 1), static_cast<uint16_t>(stride))),
        at1_(vaddq_n_u16(at0_, 1)),
        at2_(vaddq_n_u16(at0_, 2)),
        at3_(vaddq_n_u16(at0_, 3)),
        to_next_(kQuantum * stride) {}

  // Byte j of `depth` pixels from `from` on into lane j. The end comes first: what loops leave behind is not needed then.
  TFLM_TRAIN_INLINE void Pack(const int8_t* from, int32_t depth, int16_t* panel) const {
    const int32_t rest = depth % kQuantum, whole = depth - rest;
    // FAST-PATH-BOUND: whole-quanta
    if (rest > 0) {
      const mve_pred16_t inside = vctp16q(static_cast<uint32_t>(rest));
      const int8_t* const last = from + whole / kQuantum * to_next_;
      int16_t* const to = panel + whole * kLanes;
      vst1q_s16(to, vldrbq_gather_offset_z_s16(last, at0_, inside));
      vst1q_s16(to + 8, vldrbq_gather_offset_z_s16(last, at1_, inside));
      vst1q_s16(to + 16, vldrbq_gather_offset_z_s16(last, at2_, inside));
      vst1q_s16(to + 24, vldrbq_gather_offset_z_s16(last, at3_, inside));
    }
    for (int32_t quanta = whole / kQuantum; quanta > 0; --quanta, from += to_next_) {
      vst1q_s16(panel + 8, vldrbq_gather_offset_s16(from, at1_));
      vst1q_s16(panel + 16, vldrbq_gather_offset_s16(from, at2_));
      vst1q_s16(panel + 24, vldrbq_gather_offset_s16(from, at3_));
      vst1q_s16(panel, vldrbq_gather_offset_s16(from, at0_));
      panel += kQuantum * kLanes;
    }
  }

 private:
  uint16x8_t at0_, at1_, at2_, at3_;
  int32_t to_next_;
};

constexpr int kPanelSums = 2 * kLanes;  // of two lanes with one panel

// Panels to be multiplied by another one of their depth.
class PanelRun {
 public:
  // `panels` of them, one after another from `a` on, `steps` quanta deep.
  PanelRun(const int16_t* a, int32_t steps, int32_t panels) {
    const int32_t between = steps > 2 ? steps - 2 : 0;
    const int32_t looped = between > kUnrolled ? between - kUnrolled : 0;
    state_.a = a;
    state_.panels = panels;
    state_.rounds = (looped + kUnrolled - 1) / kUnrolled;
    state_.last_bytes = static_cast<int32_t>(sizeof(int16_t)) * (between + 1) * kQuantum * kLanes;
    entry_ = looped > 0 ? (kUnrolled * state_.rounds - looped) * kStepBytes
                        : (2 * kUnrolled - between) * kStepBytes + kLoopBytes +
                              (steps > 1 ? 0 : kHeldStepBytes);
  }

  int32_t panels() const { return state_.panels; }

  // sums[h][p][r][j] = dot product of lane 2 * h + r of `b` with lane j of panel p. Where there is
  // one step, a second one behind `b` is read.
  void Multiply(const int16_t* b, int32_t* sums);

 private:
  // The first and the last step of `b` stay in registers. Between them come a loop of kUnrolled
  // steps and as many more, entered behind those that are too many.
  static constexpr int32_t kUnrolled = 6;
  static constexpr int32_t kStepBytes = 14 * 4, kHeldStepBytes = 12 * 4, kLoopBytes = 2 * 4;

  struct {
    // As an ldm of r1, r9 and pc wants them.
    const int16_t* second_step;
    int32_t rounds;
    int32_t entry;

    int32_t last_bytes;
    const int16_t* a;
    int32_t panels;
    const int16_t* second_half;
    int32_t* end;
  } state_;
  int32_t entry_;  // from the loop's begin
};

__attribute__((noinline)) inline void PanelRun::Multiply(const int16_t* b, int32_t* sums) {
  state_.second_half = b + 2 * kQuantum;
  state_.end = sums + 2 * state_.panels * kPanelSums;
  register int32_t r9 asm("r9") = entry_;
  register const int16_t* r1 asm("r1") = b;
  register int32_t* r5 asm("r5") = sums;
  register void* r11 asm("r11") = &state_;
  // Eight sums need all even registers, that of hardware loops included; left to the compiler
  // they are moved about in the loop.
  // clang-format off
#define TFLM_TRAIN_PANEL_HELD(VMLADAV, y0, y1) \
  "vldrh.u16 q6, [r3, #16]\n\t"                \
  "vldrh.u16 q7, [r3, #32]\n\t"                \
  VMLADAV " r2, " y0 ", q6\n\t"                \
  VMLADAV " r10, " y1 ", q6\n\t"               \
  "vldrh.u16 q6, [r3, #48]\n\t"                \
  VMLADAV " r4, " y0 ", q7\n\t"                \
  VMLADAV " r12, " y1 ", q7\n\t"               \
  "vldrh.u16 q7, [r3], #64\n\t"                \
  VMLADAV " r6, " y0 ", q6\n\t"                \
  VMLADAV " lr, " y1 ", q6\n\t"                \
  VMLADAV " r0, " y0 ", q7\n\t"                \
  VMLADAV " r8, " y1 ", q7\n\t"
// Loads and products take turns: the core overlaps them.
#define TFLM_TRAIN_PANEL_STEP                  \
  "vldrh.u16 q6, [r3, #16]\n\t"                \
  "vldrh.u16 q5, [r1, #16]\n\t"                \
  "vldrh.u16 q4, [r1], #64\n\t"                \
  "vmladava.s16 r10, q5, q6\n\t"               \
  "vldrh.u16 q7, [r3, #32]\n\t"                \
  "vmladava.s16 r2, q4, q6\n\t"                \
  "vldrh.u16 q6, [r3, #48]\n\t"                \
  "vmladava.s16 r4, q4, q7\n\t"                \
  "vmladava.s16 r12, q5, q7\n\t"               \
  "vldrh.u16 q7, [r3], #64\n\t"                \
  "vmladava.s16 r6, q4, q6\n\t"                \
  "vmladava.s16 lr, q5, q6\n\t"                \
  "vmladava.s16 r0, q4, q7\n\t"                \
  "vmladava.s16 r8, q5, q7\n\t"
  // r7 may be the frame pointer.
  asm volatile(
      ".p2align 2\n\t"  // of the function, too: adr counts from a multiple of 4
      "push {r7}\n\t"
      "adr.w r7, 2f\n\t"
      "add r9, r7\n\t"
      "orr r9, #1\n\t"
      "str r9, [r11, #8]\n"
      "0:\n\t"  // for two lanes of b
      "ldr r9, [r11, #12]\n\t"
      "vldrh.u16 q1, [r1, #16]\n\t"
      "add r9, r1\n\t"
      "vldrh.u16 q0, [r1], #64\n\t"
      "vldrh.u16 q2, [r9]\n\t"
      "vldrh.u16 q3, [r9, #16]\n\t"
      "str r1, [r11]\n\t"
      "ldrd r3, r7, [r11, #16]\n"
      "1:\n\t"  // for each panel
      TFLM_TRAIN_PANEL_HELD("vmladav.s16", "q0", "q1")
      "ldm r11, {r1, r9, pc}\n"
      "2:\n\t"
      TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP
      TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP
      "subs.w r9, #1\n\t"
      "bne.w 2b\n\t"
      TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP
      TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP TFLM_TRAIN_PANEL_STEP
      TFLM_TRAIN_PANEL_HELD("vmladava.s16", "q2", "q3")
      "stm r5!, {r0, r2, r4, r6, r8, r10, r12, lr}\n\t"
      "subs r7, #1\n\t"
      "bne 1b\n\t"
      "ldrd r1, r9, [r11, #24]\n\t"
      "cmp r5, r9\n\t"
      "bne 0b\n\t"
      "pop {r7}"
      : "+r"(r1), "+r"(r5), "+r"(r9)
      : "r"(r11)
      : "r0", "r2", "r3", "r4", "r6", "r8", "r10", "r12", "lr", "q0", "q1", "q2", "q3",
        "q4", "q5", "q6", "q7", "cc", "memory");
#undef TFLM_TRAIN_PANEL_STEP
#undef TFLM_TRAIN_PANEL_HELD
  // clang-format on
}

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_MULTIPLY_MVE_H_
