// Guards of fast paths in passes over bytes that may begin anywhere.

#include "tests/cpp/harness.h"
#include "tflm_kernels/channel_ops.h"
#include "tflm_kernels/data_movement.h"
#include "tflm_kernels/requantize.h"
#include "tflm_kernels/spec/numerics.h"
#include "tflm_kernels/unordered_writer.h"

namespace tflm_train_test {
namespace {

using tflm_train::Extremes;

constexpr size_t kMost = 70;

// int8 [kMost] of either sign, the largest ones at either end of a part.
void Fill(int8_t* values) {
  for (size_t i = 0; i < kMost; ++i) {
    values[i] = static_cast<int8_t>(tflm_train::Hash(static_cast<uint32_t>(i)) % 253) - 126;
  }
}

Extremes<int8_t> OneByOne(const int8_t* values, size_t n) {
  Extremes<int8_t> found = {0, 0};
  for (size_t i = 0; i < n; ++i) {
    found.max = values[i] > found.max ? values[i] : found.max;
    found.min = values[i] < found.min ? values[i] : found.min;
  }
  return found;
}

void ExpectExtremes(size_t offset) {
  alignas(4) int8_t memory[kMost + 4];
  int8_t* const values = memory + offset;
  for (size_t n = 0; n <= kMost; ++n) {
    Fill(values);
    if (n > 0) values[0] = 127;
    if (n > 1) values[n - 1] = -127;
    if (n < kMost) values[n] = -128;  // not to be looked at
    const Extremes<int8_t> want = OneByOne(values, n);
    const Extremes<int8_t> got = tflm_train::FindExtremes(values, n);
    EXPECT_EQ(got.max, want.max);
    EXPECT_EQ(got.min, want.min);
    EXPECT_EQ(tflm_train::MaxAbs(values, n), want.max > -want.min ? want.max : -want.min);
  }
}

TEST(Bounds, ExtremesOfAlignedBytes) { ExpectExtremes(0); }
TEST(Bounds, ExtremesOfUnalignedBytes) {
  for (size_t offset = 1; offset < 4; ++offset) ExpectExtremes(offset);
}

void ExpectMasked(size_t offset) {
  const tflm_train::MaskParams params = {tflm_train::kMaskBits, 0, 0, tflm_train::kNoMark};
  uint8_t bits[(kMost + 7) / 8];
  for (size_t i = 0; i < (kMost + 7) / 8; ++i) {
    bits[i] = static_cast<uint8_t>(tflm_train::Hash(static_cast<uint32_t>(100 + i)));
  }
  alignas(4) int8_t memory[kMost + 4];
  int8_t* const values = memory + offset;
  int8_t want[kMost];
  for (size_t n = 0; n <= kMost; ++n) {
    Fill(values);
    Fill(want);
    for (size_t i = 0; i < n; ++i) {
      if ((bits[i / 8] >> (i % 8) & 1) == 0) want[i] = 0;
    }
    const Extremes<int8_t> got = tflm_train::MaskAndFindExtremes(params, bits, values, n);
    EXPECT_SAME(values, want, kMost);
    EXPECT_EQ(got.max, OneByOne(want, n).max);
    EXPECT_EQ(got.min, OneByOne(want, n).min);
  }
}

TEST(Bounds, MaskOfAlignedBytes) { ExpectMasked(0); }
TEST(Bounds, MaskOfUnalignedBytes) {
  for (size_t offset = 1; offset < 4; ++offset) ExpectMasked(offset);
}

// Rows of a mask, of `width` bits each, that begin `first` bits from its start.
void ExpectClampMask(int32_t first, int32_t width) {
  constexpr int32_t kMin = -60, kMax = 40, kRows = 3;
  int8_t activation[kMost];
  Fill(activation);
  // What lies behind the mask is to stay as it is, too.
  uint8_t bits[kMost] = {}, want[kMost] = {};
  for (int32_t row = 0; row < kRows; ++row) {
    const int32_t begin = first + row * width;
    tflm_train::ClampMaskPart(kMin, kMax, activation, begin, width, bits);
    for (int32_t i = 0; i < width; ++i) {
      const bool inside = activation[i] > kMin && activation[i] < kMax;
      want[(begin + i) / 8] =
          static_cast<uint8_t>(want[(begin + i) / 8] | (inside ? 1 : 0) << ((begin + i) % 8));
    }
  }
  EXPECT_SAME(bits, want, kMost);
}

TEST(Bounds, MaskFromAWholeByteOn) {
  const int32_t widths[] = {8, 16, 24, 56};
  for (const int32_t width : widths) ExpectClampMask(0, width);
}
TEST(Bounds, MaskFromWithinAByteOn) {
  const int32_t widths[] = {1, 7, 15, 17, 33};
  for (const int32_t width : widths) {
    for (int32_t first = 0; first < 8; ++first) ExpectClampMask(first, width);
  }
}

#if defined(TFLM_TRAIN_MVE)
// Whether pixels `step` bytes apart, the first `first` bytes from a word's beginning, are words: what
// emulators do not mind, cores do.
bool HasWords(size_t first, int32_t step) {
  alignas(4) int8_t q[64];
  const int8_t grad[1] = {1};
  float scale, range = 1.0f;
  const tflm_train::MaskParams mask = {};
  const tflm_train::GradientWriter writer(
      {mask, nullptr, nullptr, 0.0f, q, sizeof(q), 4, &scale, &range}, 1.0f, grad, 1);
  return tflm_train::UnorderedWriter(writer).HasWords(first, step);
}

TEST(Bounds, WordsOfAlignedPixels) {
  EXPECT_TRUE(HasWords(0, 8));
  EXPECT_TRUE(HasWords(4, 12));
}
TEST(Bounds, NoWordsOfUnalignedPixels) {
  for (int32_t off = 1; off < 4; ++off) {
    EXPECT_TRUE(!HasWords(static_cast<size_t>(off), 8));
    EXPECT_TRUE(!HasWords(4, 8 + off));
  }
}
#endif

}  // namespace
}  // namespace tflm_train_test
