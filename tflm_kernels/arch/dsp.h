// Words of four int8 and pairs of int16 on cores with the DSP extension.

#ifndef TFLM_KERNELS_ARCH_DSP_H_
#define TFLM_KERNELS_ARCH_DSP_H_

#include <arm_acle.h>

#include <cstdint>
#include <cstring>

namespace tflm_train {
namespace dsp {

// Unaligned loads are one instruction.
inline uint32_t LoadWord(const void* from) {
  uint32_t word;
  std::memcpy(&word, from, sizeof(word));
  return word;
}

inline void StoreWord(void* to, uint32_t word) { std::memcpy(to, &word, sizeof(word)); }

// (low, high) of two int16: PKHBT.
inline uint32_t Pack(int32_t low, int32_t high) {
  return (static_cast<uint32_t>(low) & 0xffffu) | static_cast<uint32_t>(high) << 16;
}

// (low half of a, low half of b) and (high half of a, high half of b).
inline uint32_t LowHalves(uint32_t a, uint32_t b) { return (a & 0xffffu) | b << 16; }
inline uint32_t HighHalves(uint32_t a, uint32_t b) { return (b & 0xffff0000u) | a >> 16; }

// Bytes 0 and 2, 1 and 3 of a word as a pair, sign extended.
inline int32_t Bytes02(uint32_t word) { return __sxtb16(static_cast<int32_t>(word)); }
inline int32_t Bytes13(uint32_t word) {
  return __sxtb16(static_cast<int32_t>(word >> 8 | word << 24));
}

// Products of the low and of the high halves (SMULBB, SMULTT).
inline int32_t MultiplyLow(int32_t a, int32_t b) {
  return static_cast<int16_t>(a) * static_cast<int16_t>(b);
}
inline int32_t MultiplyHigh(int32_t a, int32_t b) { return (a >> 16) * (b >> 16); }

// Stores four pairs, (byte j of even, byte j of odd) - offsets.
inline void StorePairs(uint32_t even, uint32_t odd, uint32_t offsets, int16_t* to) {
  const int32_t minus = static_cast<int32_t>(offsets);
  const uint32_t low = LowHalves(even, odd);
  const uint32_t high = HighHalves(even, odd);
  const int32_t pairs[] = {__ssub16(Bytes02(low), minus), __ssub16(Bytes13(low), minus),
                           __ssub16(Bytes02(high), minus), __ssub16(Bytes13(high), minus)};
  std::memcpy(to, pairs, sizeof(pairs));
}

}  // namespace dsp
}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_DSP_H_
