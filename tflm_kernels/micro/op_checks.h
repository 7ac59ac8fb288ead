// The checks of Prepare that the table of an op expresses, and its marks.

#ifndef TFLM_KERNELS_MICRO_OP_CHECKS_H_
#define TFLM_KERNELS_MICRO_OP_CHECKS_H_

#include <cstdint>

#include "tflm_kernels/micro/op_node.h"
#include "tflm_kernels/spec/op_table.h"

namespace tflm_train {

// The value of an expression over the words at `words`, which need no alignment. `end`, where it
// is not nullptr, gets where the code goes on.
int32_t Evaluate(const uint8_t* code, const char* words, const OpNode& node,
                 const uint8_t** end = nullptr);

// Each of these logs one line that names the op, the tensor and what is wrong, and returns false.

bool CheckFields(const FieldTable& table, const char* words, const OpNode& node);
bool CheckPart(CommonPart part, const char* words, const OpNode& node);
// Fields and tensors; the header of `options` has been checked.
bool CheckTable(const OpTable& table, const char* options, const OpNode& node);

// Whether all that the op reads has been written in this step.
bool CheckMarksRead(const OpTable& table, const char* options, const OpNode& node);
// Notes that what the op writes has been written.
void SetMarksWritten(const OpTable& table, const char* options, const OpNode& node);

// Asks for a node's scratch buffer, unless it is of 0 bytes; user_data gets its index.
TfLiteStatus RequestScratch(TfLiteContext* context, TfLiteNode* tflite_node, size_t bytes,
                            const OpNode& node);
// That buffer, nullptr where there is none.
void* ScratchOf(TfLiteContext* context, const TfLiteNode& node);

}  // namespace tflm_train

#endif  // TFLM_KERNELS_MICRO_OP_CHECKS_H_
