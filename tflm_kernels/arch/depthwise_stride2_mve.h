// The input gradient of depthwise layers with kernel 3x3 and stride 2 with Helium: all four
// phases of the inputs at once. Only for depthwise_input_grad.cc.
//
// Output (y, x) meets inputs (2 y, 2 x) and below and beside it with taps 0, 1, 3 and 4 of 9, the
// next two of each row or column with those behind them. So four outputs beside each other and
// those above and to the left of them give two rows of eight inputs.

#ifndef TFLM_KERNELS_ARCH_DEPTHWISE_STRIDE2_MVE_H_
#define TFLM_KERNELS_ARCH_DEPTHWISE_STRIDE2_MVE_H_

#include <arm_mve.h>

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/arch/features.h"
#include "tflm_kernels/arch/fill_mve.h"
#include "tflm_kernels/arch/lanes_mve.h"
#include "tflm_kernels/depthwise_windows.h"
#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {
namespace mve {

class Stride2InputGrad {
 public:
  Stride2InputGrad(const DepthwiseInputGradParams& params, size_t scratch_bytes)
      : g_(params.geometry) {
    const int32_t room = static_cast<int32_t>(scratch_bytes) - kLanes * kTapBytes;
    const int32_t fitting = room / kRowBytes - 1;
    rows_ = fitting < g_.out_h ? fitting : g_.out_h;
    // FAST-PATH-BOUND: stride2-shape stride2-reach
    usable_ = params.multiplier == 1 && g_.k_h == 3 && g_.k_w == 3 && g_.stride_h == 2 &&
              g_.stride_w == 2 && g_.dil_h == 1 && g_.dil_w == 1 && g_.pad_t == 0 &&
              g_.pad_l == 0 && g_.out_c >= kLanes && g_.in_h == 2 * g_.out_h &&
              g_.in_w == 2 * g_.out_w && rows_ > 0 && (g_.in_w + 7) * g_.in_c <= UINT16_MAX;
  }

  // exponent: of the results.
  bool usable(int exponent) const { return usable_ && exponent >= kMinExponent; }

  // Writes the whole input gradient, saturated. scratch: 4-byte aligned.
  void Run(const int8_t* grad_out, const DepthwiseWeights& weights, int8_t* grad_in,
           void* scratch) const {
    int32_t* const taps = static_cast<int32_t*>(scratch);
    int8_t* const plane = reinterpret_cast<int8_t*>(taps + kLanes * kTapWords);
    const int32_t row_bytes = g_.out_w * g_.out_c;
    const uint8x16_t at = vmulq_n_u8(vidupq_n_u8(0, 1), kColumns + 1);
    for (int32_t y = 0; y < g_.out_h; y += rows_) {
      const int32_t rows = g_.out_h - y < rows_ ? g_.out_h - y : rows_;
      for (int32_t x = 0; x < g_.out_w; x += kColumns) {
        Fill(plane, 0, (rows + 1) * kRowBytes);
        const int32_t top = y > 0 ? 1 : 0, left = x > 0 ? 1 : 0;
        const int32_t columns = g_.out_w - x < kColumns ? g_.out_w - x : kColumns;
        const int8_t* from = grad_out + (y - top) * row_bytes + (x - left) * g_.out_c;
        int8_t* const to = plane + (1 - top) * kRowBytes + 1 - left;
        int8_t* const q = grad_in + (y * g_.in_w + x) * 2 * g_.in_c;
        const LaneRows image(rows + top, columns + left, g_.out_c, row_bytes, 2, kRowBytes);
        int32_t kept = 0;
        for (int32_t n = 0; n < g_.out_c; n += kLanes) {
          // The last ones overlap those before.
          const int32_t c = g_.out_c - n < kLanes ? g_.out_c - kLanes : n;
          image.Move(from + c, kLanes, at, vaddq_n_u8(at, 1), to);
          WidenTaps(weights, c, taps);
          while (kept > 0 && weights.channels[kept - 1] >= c) --kept;
          for (; kept < weights.kept && weights.channels[kept] < c + kLanes; ++kept) {
            WidenKept(weights, kept, taps + (weights.channels[kept] - c) * kTapWords);
          }
          const Strip strip = {plane, taps, q + c, rows, (1u << (4 * columns)) - 1};
          if (columns == kColumns) {
            Sum<true>(strip);
          } else {
            Sum<false>(strip);
          }
        }
      }
    }
  }

 private:
  static constexpr int32_t kTaps = 9;
  static constexpr int32_t kCentre = 4;
  // So that the centre's weight and the factor can be multiplied beforehand, and all results fit
  // 16 bits.
  // FAST-PATH-BOUND: stride2-exponent
  static constexpr int kMinExponent = 7;

  // Channels at once: for each, the taps and what sums are multiplied with, half of the factors
  // of LaneScales since products are doubled.
  static constexpr int32_t kLanes = 16;
  static constexpr int32_t kTapWords = kTaps + 1;
  static constexpr int32_t kTapBytes = kTapWords * static_cast<int32_t>(sizeof(int32_t));

  // The plane: int8 [rows + 1][kLanes][kColumns + 1], from the output to the upper left on.
  static constexpr int32_t kColumns = 4;
  static constexpr int32_t kRowBytes = kLanes * (kColumns + 1);

  struct Strip {
    const int8_t* plane;
    const int32_t* taps;
    int8_t* q;
    int32_t rows;
    uint32_t live;  // of eight inputs
  };

  void WidenTaps(const DepthwiseWeights& weights, int32_t c, int32_t* to) const {
    const uint32x4_t at = vmulq_n_u32(vidupq_n_u32(0, 1), kTapBytes);
    const uint32x4_t at4 = vaddq_n_u32(at, 4 * kTapBytes);
    const uint32x4_t at8 = vaddq_n_u32(at, 8 * kTapBytes);
    const uint32x4_t at12 = vaddq_n_u32(at, 12 * kTapBytes);
    const int8_t* from = weights.all + c;
    int32_t* tap = to;
    int32x4_t a, b;
    // clang-format off
#define TFLM_TRAIN_WIDEN_TAP               \
  "vldrb.s32 %q[a], [%[from]]\n\t"         \
  "vldrb.s32 %q[b], [%[from], #4]\n\t"     \
  "vstrw.32 %q[a], [%[tap], %q[at]]\n\t"   \
  "vstrw.32 %q[b], [%[tap], %q[at4]]\n\t"  \
  "vldrb.s32 %q[a], [%[from], #8]\n\t"     \
  "vldrb.s32 %q[b], [%[from], #12]\n\t"    \
  "add %[from], %[from], %[stride]\n\t"    \
  "vstrw.32 %q[a], [%[tap], %q[at8]]\n\t"  \
  "vstrw.32 %q[b], [%[tap], %q[at12]]\n\t" \
  "add %[tap], %[tap], #4\n\t"
#define TFLM_TRAIN_WIDEN_THREE TFLM_TRAIN_WIDEN_TAP TFLM_TRAIN_WIDEN_TAP TFLM_TRAIN_WIDEN_TAP
    asm volatile(
        TFLM_TRAIN_WIDEN_THREE TFLM_TRAIN_WIDEN_THREE TFLM_TRAIN_WIDEN_THREE
        : [from] "+l"(from), [tap] "+r"(tap), [a] "=&w"(a), [b] "=&w"(b)
        : [stride] "r"(g_.out_c), [at] "w"(at), [at4] "w"(at4), [at8] "w"(at8), [at12] "w"(at12)
        : "memory");
#undef TFLM_TRAIN_WIDEN_TAP
#undef TFLM_TRAIN_WIDEN_THREE
    // clang-format on
    static_assert(kTaps == 9 && sizeof(*tap) == 4);
    const int shift = kScaleBits - 1 - weights.exponent;
    const int32_t* m = weights.m + c;
    const int8_t* const centre = weights.all + kCentre * g_.out_c + c;
#pragma GCC unroll 1
    for (int32_t i = 0; i < kLanes; i += 4, to += 4 * kTapWords) {
      const int32x4_t factor = vshlq_r_s32(vld1q_s32(m + i), shift);
      vstrwq_scatter_offset_s32(to + kCentre, at, vmulq_s32(vldrbq_s32(centre + i), factor));
      vstrwq_scatter_offset_s32(to + kTaps, at, factor);
    }
  }

  // A channel with weights of its own.
  static void WidenKept(const DepthwiseWeights& weights, int32_t kept, int32_t* to) {
    for (int32_t tap = 0; tap < kTaps; ++tap) to[tap] = weights.columns[tap * weights.kept + kept];
    to[kCentre] *= to[kTaps];
  }

// clang-format off
#define TFLM_TRAIN_NARROW                  \
  "vsli.32 q4, q5, #16\n\t"                \
  "vqmovnb.s16 q4, q4\n\t"
#define TFLM_TRAIN_STORE(RESULTS) "vstrb.16 q4, [r2, " RESULTS "]\n\t"
#define TFLM_TRAIN_STORE_LIVE(RESULTS) "vpst\n\tvstrbt.16 q4, [r2, " RESULTS "]\n\t"
// r3, r4 ...: taps, then the factor. Even columns go through q4, odd ones through q5.
#define TFLM_TRAIN_ROW(HERE, LEFT, ABOVE, ABOVE_LEFT, STORE) \
  "vldrb.s32 " HERE ", [r1, #1]\n\t"       \
  "vldrb.s32 " LEFT ", [r1], #80\n\t"      \
  "vmul.i32 q4, " HERE ", r3\n\t"          \
  "vmul.i32 q5, " HERE ", r4\n\t"          \
  "vmla.s32 q4, " LEFT ", r5\n\t"          \
  "vmla.s32 q5, " ABOVE ", r10\n\t"        \
  "vmla.s32 q4, " ABOVE ", r9\n\t"         \
  "vmla.s32 q4, " ABOVE_LEFT ", r11\n\t"   \
  "vqrdmulh.s32 q5, q5, r12\n\t"           \
  "vqrdmulh.s32 q4, q4, r12\n\t"           \
  TFLM_TRAIN_NARROW                        \
  STORE("q6")                              \
  "vmul.i32 q4, " HERE ", r6\n\t"          \
  "vqrdmulh.s32 q5, " HERE ", r7\n\t"      \
  "vmla.s32 q4, " LEFT ", r8\n\t"          \
  "vqrdmulh.s32 q4, q4, r12\n\t"           \
  TFLM_TRAIN_NARROW                        \
  STORE("q7")                              \
  "add r2, r0\n\t"
#define TFLM_TRAIN_EVEN_ROW(STORE) TFLM_TRAIN_ROW("q0", "q1", "q2", "q3", STORE)
#define TFLM_TRAIN_ODD_ROW(STORE) TFLM_TRAIN_ROW("q2", "q3", "q0", "q1", STORE)
#define TFLM_TRAIN_LANES(STORE)            \
  "ldr r0, %[live]\n\t"                    \
  "vmsr p0, r0\n"                          \
  "1:\n\t"                                 \
  "ldr r0, %[taps]\n\t"                    \
  "vldrb.s32 q2, [r1, #1]\n\t"             \
  "ldm r0!, {r3, r4, r5, r6, r7, r8, r9, r10, r11, r12}\n\t" \
  "vldrb.s32 q3, [r1], #80\n\t"            \
  "str r0, %[taps]\n\t"                    \
  "ldrd lr, r0, %[loop]\n\t"               \
  "wls lr, lr, 3f\n"                       \
  "2:\n\t"                                 \
  TFLM_TRAIN_EVEN_ROW(STORE)               \
  TFLM_TRAIN_ODD_ROW(STORE)                \
  "le lr, 2b\n"                            \
  "3:\n\t"                                 \
  "ldr lr, %[odd]\n\t"                     \
  "wls lr, lr, 4f\n\t"                     \
  TFLM_TRAIN_EVEN_ROW(STORE)               \
  "4:\n\t"                                 \
  "ldrd r3, r4, %[next_lane]\n\t"          \
  "ldr r5, %[end]\n\t"                     \
  "add r1, r3\n\t"                         \
  "add r2, r4\n\t"                         \
  "cmp r1, r5\n\t"                         \
  "bne 1b"

  template <bool kWhole>
  __attribute__((noinline)) void Sum(const Strip& strip) const {
    register const int8_t* from asm("r1") = strip.plane;
    register int8_t* to asm("r2") = strip.q;
    const int32_t* taps = strip.taps;
    const uint32_t live = strip.live;
    const int32_t two_rows = 2 * g_.in_w * g_.in_c, odd = strip.rows % 2;
    const struct {
      int32_t pairs, two_rows;
    } loop = {strip.rows / 2, two_rows};
    const struct {
      int32_t from, to;
    } next_lane = {kColumns + 1 - (strip.rows + 1) * kRowBytes, 1 - strip.rows * two_rows};
    const int8_t* const end = strip.plane + kLanes * (kColumns + 1);
    const uint16x8_t beside = vmulq_n_u16(vidupq_n_u16(0, 1), static_cast<uint16_t>(g_.in_c));
    register uint16x8_t upper asm("q6") = beside;
    register uint16x8_t lower asm("q7") = vaddq_n_u16(beside, static_cast<uint16_t>(two_rows / 2));
#define TFLM_TRAIN_RUN(STORE)                                                                    \
  asm volatile(TFLM_TRAIN_LANES(STORE)                                                           \
      : "+r"(from), "+r"(to), [taps] "+m"(taps)                                                  \
      : [live] "m"(live), [loop] "m"(loop), [odd] "m"(odd),                                    \
        [next_lane] "m"(next_lane), [end] "m"(end), "w"(upper), "w"(lower)                       \
      : "r0", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr",   \
        "q0", "q1", "q2", "q3", "q4", "q5", "cc", "memory")
    if constexpr (kWhole) {
      TFLM_TRAIN_RUN(TFLM_TRAIN_STORE);
    } else {
      TFLM_TRAIN_RUN(TFLM_TRAIN_STORE_LIVE);
    }
  }

#undef TFLM_TRAIN_NARROW
#undef TFLM_TRAIN_STORE
#undef TFLM_TRAIN_STORE_LIVE
#undef TFLM_TRAIN_ROW
#undef TFLM_TRAIN_EVEN_ROW
#undef TFLM_TRAIN_ODD_ROW
#undef TFLM_TRAIN_LANES
#undef TFLM_TRAIN_RUN
  // clang-format on

  const Geometry& g_;
  int32_t rows_;  // of outputs at once
  bool usable_;
};

}  // namespace mve
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DEPTHWISE_STRIDE2_MVE_H_
