// What the table of an op is made of (spec/op_tables.h has the tables).
//
// Numbers that depend on an op's parameters are expressions in postfix code, a
// few bytes each, over the words of custom_options behind the header. A row
// names an expression by where it begins in its table's code.

#ifndef TFLM_KERNELS_SPEC_OP_TABLE_H_
#define TFLM_KERNELS_SPEC_OP_TABLE_H_

#include <cstdint>

#include "tflm_kernels/spec/op_params.h"

namespace tflm_train {

constexpr uint8_t kNoExpression = 255;

// A value that has to lie in [low, high], where there are such expressions.
struct FieldRow {
  const char* name;  // as messages call it
  uint8_t value, low, high;
};

struct FieldTable {
  const uint8_t* code;
  const FieldRow* rows;
  uint8_t count;
};

enum TensorTraits : uint8_t {
  kTypeBits = 15,  // TfLiteType; 0: an expression behind that of the size
  kMustBeConstant = 16,
  kMustBeVariable = 32,
  kAtLeast = 64,  // it may have more elements
  kRun = 128,     // any number of tensors stands here
};

// The values of TensorRow::present.
constexpr int32_t kMustBeAbsent = 0;
constexpr int32_t kMayBeAbsent = 2;

struct TensorRow {
  const char* label;  // as messages call it
  uint8_t present;    // expression: 1, kMustBeAbsent or kMayBeAbsent; of a run, how many there are
  uint8_t size;       // expression: its elements; none: the op looks at it itself
  // Of a constant, three expressions: the smallest and the largest value of its integers, and
  // how many come before the second of two ascending runs, -1: they do not ascend. Of others the
  // word with their mark (op_params.h); of a run the first one's.
  uint8_t extra;
  uint8_t traits;
};

// Structs of op_params.h that have a table of their own, wherever they lie.
enum CommonPart { kGeometryPart, kMaskPart, kOutputPart, kCommonParts };

struct OpTable {
  const char* name;
  FieldTable fields;
  const TensorRow* tensors;  // inputs, then outputs
  OpKind kind;
  uint16_t size;  // of the parameters in bytes
  uint8_t inputs, outputs;
  bool has_state;                 // as its last input
  uint8_t part_at[kCommonParts];  // the first word of each part, kNoExpression: it has none
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_SPEC_OP_TABLE_H_
