// Which of the variants of an inner loop this core takes, from the compiler's
// architecture macros. Their results are the same bits. Those written by hand need
// all registers: a build without optimisation, whose frame pointer takes one, takes
// the portable variant.

#ifndef TFLM_KERNELS_ARCH_FEATURES_H_
#define TFLM_KERNELS_ARCH_FEATURES_H_

// Helium with integers: Cortex-M55, M85.
#if defined(__OPTIMIZE__) && defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define TFLM_TRAIN_MVE
#endif

// The DSP extension: Cortex-M4, M7, M33, and those with Helium.
#if defined(__OPTIMIZE__) && defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32) && \
    defined(__thumb2__)
#define TFLM_TRAIN_DSP
#endif

// ARMv6-M: Cortex-M0, M0+.
#if defined(__GNUC__) && defined(__ARM_ARCH_ISA_THUMB) && __ARM_ARCH_ISA_THUMB == 1
#define TFLM_TRAIN_V6M
#endif

// No FPU: float operations are calls.
#if (defined(__arm__) && !defined(__ARM_FP)) || (defined(__riscv) && !defined(__riscv_flen))
#define TFLM_TRAIN_SOFT_FLOAT
#endif

// AVX2, if the processor turns out to have it.
#if defined(__OPTIMIZE__) && defined(__x86_64__) && defined(__GNUC__)
#define TFLM_TRAIN_AVX2
#endif

// For the parts of an inner loop, whose sums would go through memory otherwise.
#if defined(__GNUC__)
#define TFLM_TRAIN_INLINE inline __attribute__((always_inline))
#define TFLM_TRAIN_INLINE_LAMBDA __attribute__((always_inline))
#else
#define TFLM_TRAIN_INLINE inline
#define TFLM_TRAIN_INLINE_LAMBDA
#endif

namespace tflm_train {

// Of ARMv6-M: no product of 64 bits, and signed bytes are loaded by an index in a register.
#if defined(TFLM_TRAIN_V6M)
constexpr bool kHasLongMultiply = false;
constexpr bool kHasByteOffsets = false;
#else
constexpr bool kHasLongMultiply = true;
constexpr bool kHasByteOffsets = true;
#endif

}  // namespace tflm_train

#endif  // TFLM_KERNELS_ARCH_FEATURES_H_
