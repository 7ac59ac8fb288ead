#include "tflm_kernels/spec/numerics.h"

#include "tests/cpp/golden.h"

namespace tflm_train_test {
namespace {

// Columns of operands and results of one scalar function.
template <typename Operand, typename Result>
struct UnaryTable {
  const char* name;
  size_t count;
  const Operand* operands;
  const Result* results;
};

struct BinaryTable {
  const char* name;
  size_t count;
  const int32_t* left;
  const int32_t* right;
  const int32_t* results;
};

struct RequantizeTable {
  const char* name;
  size_t count;
  const int32_t* acc;
  const int32_t* multiplier;
  const int32_t* shift;
  const int32_t* results;
};

using RoundShiftTable = BinaryTable;
using HighMulTable = BinaryTable;
using SqrtTable = UnaryTable<uint32_t, uint32_t>;
using HashTable = UnaryTable<uint32_t, uint32_t>;
// Floats as bit patterns.
using RoundToInt32Table = UnaryTable<uint32_t, int32_t>;
using Exp2NegTable = UnaryTable<uint32_t, uint32_t>;
using LogTable = UnaryTable<uint32_t, uint32_t>;

#include "tests/cpp/generated/exp2_neg.inc"
#include "tests/cpp/generated/hash.inc"
#include "tests/cpp/generated/high_mul.inc"
#include "tests/cpp/generated/log.inc"
#include "tests/cpp/generated/requantize.inc"
#include "tests/cpp/generated/round_shift.inc"
#include "tests/cpp/generated/round_to_int32.inc"
#include "tests/cpp/generated/sqrt.inc"

template <typename Function>
void CheckBinary(const BinaryTable& table, Function function) {
  for (size_t i = 0; i < table.count; ++i) {
    EXPECT_EQ(function(table.left[i], table.right[i]), table.results[i]);
  }
}

template <typename Operand, typename Result, typename Function>
void CheckUnary(const UnaryTable<Operand, Result>& table, Function function) {
  for (size_t i = 0; i < table.count; ++i) {
    EXPECT_EQ(function(table.operands[i]), table.results[i]);
  }
}

TEST(Numerics, RoundShift) { CheckBinary(kRoundShiftTables[0], tflm_train::RoundShift); }

TEST(Numerics, HighMul) { CheckBinary(kHighMulTables[0], tflm_train::HighMul); }

TEST(Numerics, Requantize) {
  const RequantizeTable& table = kRequantizeTables[0];
  for (size_t i = 0; i < table.count; ++i) {
    EXPECT_EQ(tflm_train::Requantize(table.acc[i], table.multiplier[i], table.shift[i]),
              table.results[i]);
  }
}

TEST(Numerics, Sqrt) { CheckUnary(kSqrtTables[0], tflm_train::Sqrt); }

TEST(Numerics, Hash) { CheckUnary(kHashTables[0], tflm_train::Hash); }

TEST(Numerics, RoundToInt32) {
  CheckUnary(kRoundToInt32Tables[0],
             [](uint32_t bits) { return tflm_train::RoundToInt32(Float(bits)); });
}

TEST(Numerics, RoundBelow30Bits) {
  constexpr int32_t kLimit = 1 << 30;
  const auto is_below = [](int32_t a) { return a < kLimit && a > -kLimit; };
  const auto& table = kRoundToInt32Tables[0];
  for (size_t i = 0; i < table.count; ++i) {
    const int32_t rounded = tflm_train::RoundBelow30Bits(Float(table.operands[i]));
    EXPECT_EQ(is_below(rounded), is_below(table.results[i]));
    if (is_below(rounded)) EXPECT_EQ(rounded, table.results[i]);
  }
}

// Without an FPU as with one: all exponents, and significands of all sizes.
TEST(Numerics, SoftFloat) {
  constexpr float kReciprocals[] = {1.0f,        1.0f / 2.0f, 1.0f / 3.0f, 1.0f / 4.0f,
                                    1.0f / 5.0f, 1.0f / 6.0f, 1.0f / 7.0f};
  constexpr uint32_t kStride = 0x3fff7;
  for (uint64_t bits = 0; bits <= UINT32_MAX; bits += kStride) {
    const float x = tflm_train::soft::FloatOf(static_cast<uint32_t>(bits));
    EXPECT_EQ(tflm_train::soft::RoundToInt32(x), tflm_train::RoundToInt32InSteps(x));
    if (!(x >= 0.0f)) continue;
    EXPECT_EQ(tflm_train::soft::BitsOf(tflm_train::soft::Exp2Neg(x, kReciprocals)),
              tflm_train::soft::BitsOf(tflm_train::Exp2Neg(x)));
  }
}

TEST(Numerics, Exp2Neg) {
  CheckUnary(kExp2NegTables[0],
             [](uint32_t bits) { return Bits(tflm_train::Exp2Neg(Float(bits))); });
}

TEST(Numerics, Log) {
  CheckUnary(kLogTables[0], [](uint32_t bits) { return Bits(tflm_train::Log(Float(bits))); });
}

}  // namespace
}  // namespace tflm_train_test
