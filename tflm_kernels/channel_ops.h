// The inner loops: plain passes over contiguous channels. Everything that a
// core spends its time on is here and nowhere else, so this is the one file
// that an architecture with SIMD instructions has to replace.
//
// All are exact integer arithmetic, so a variant may sum in any order. Buffers
// of one call do not overlap unless stated; no alignment is assumed for int8.

#ifndef TFLM_KERNELS_CHANNEL_OPS_H_
#define TFLM_KERNELS_CHANNEL_OPS_H_

#include <cstddef>
#include <cstdint>

namespace tflm_train {

// acc[0 .. n) += t[k] * row[k][0 .. n), k = 0 .. 3.
void AccumulateFourRows(int32_t* acc, const int16_t t[4], const int8_t* const row[4], int n);

// acc[0 .. n) += t * row[0 .. n).
void AccumulateRow(int32_t* acc, int16_t t, const int8_t* row, int n);

// sum a[i] * b[i], i = 0 .. n - 1.
int32_t Dot(const int16_t* a, const int8_t* b, int n);

// acc[0 .. n) += a[i] * (b[i] - b_offset), -128 <= b_offset <= 127.
void AccumulateProducts(int32_t* acc, const int8_t* a, const int8_t* b, int32_t b_offset, int n);

// acc[0 .. n) += a[0][i] * b[0][i] + a[1][i] * b[1][i].
void AccumulateTwoProducts(int32_t* acc, const int8_t* const a[2], const int8_t* const b[2], int n);

// acc[0 .. n) += a[i] * table[b[i] + 128].
void AccumulateLookup(int32_t* acc, const int8_t* a, const int8_t* b, const int16_t* table, int n);

// total[0 .. n) += RoundShift(part[i], shift).
void AccumulateShifted(int32_t* total, const int32_t* part, int shift, int n);

// acc[i] = RoundShift(acc[i], shift) + RoundShift(addend[i] * factor, 8),
// 0 <= factor <= 2^24.
void MergeAddend(int32_t* acc, int shift, const int8_t* addend, int32_t factor, int n);

// The largest and smallest of some values and 0.
template <typename T>
struct Extremes {
  T max, min;
};

Extremes<int32_t> FindExtremes(const int32_t* values, size_t n);
Extremes<int8_t> FindExtremes(const int8_t* values, size_t n);

// max |values[0 .. n)|, 0 when n is 0.
uint32_t MaxAbs(const int32_t* values, size_t n);
uint32_t MaxAbs(const int8_t* values, size_t n);

// out[i] = RoundShift(values[i], shift); every result must fit int8.
void RoundShiftRow(const int32_t* values, int shift, int8_t* out, int n);

// out[i] = RoundShift(sum t[k] * row[k][i], shift), k = 0 .. count - 1; 2 <= count <= 4.
// 0 <= t[k] <= 2^14; every result must fit int8.
void WeightedSum(const int16_t* t, const int8_t* const* row, int count, int shift, int8_t* out,
                 size_t n);

// values[i] = RoundAway(values[i], shift): half away from zero, since a tensor of small numbers
// that all round up would be of another mean. 1 <= shift; no value is -128.
void RoundAwayInPlace(int8_t* values, int shift, size_t n);

// Collects the rows of a weighted sum and adds them four at a time, which saves
// three of four passes over the accumulators. Zero factors cost nothing.
class RowSum {
 public:
  // acc: int32 [n], holds the sum after Flush(); owned by the caller.
  RowSum(int32_t* acc, int n) : acc_(acc), n_(n) {}

  // Adds t * row[0 .. n). The row must stay valid until Flush().
  void Add(int16_t t, const int8_t* row) {
    if (t == 0) return;
    t_[pending_] = t;
    row_[pending_] = row;
    if (++pending_ == 4) {
      AccumulateFourRows(acc_, t_, row_, n_);
      pending_ = 0;
    }
  }

  void Flush() {
    for (int k = 0; k < pending_; ++k) AccumulateRow(acc_, t_[k], row_[k], n_);
    pending_ = 0;
  }

 private:
  int32_t* acc_;
  int n_;
  int pending_ = 0;
  int16_t t_[4];
  const int8_t* row_[4];
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_CHANNEL_OPS_H_
