// Prints what TFLM's builtin kernels ask the arena for, model by model, on an emulated core.
//
// QEMU's loader puts the models at `model_data`: their number, then each one's size and bytes, all
// of it in steps of 16 bytes. Each model holds one operator. Its lines are `options N` (the struct
// that the flatbuffer's options are parsed into), `init N` and `prepare N` (persistent buffers that
// the kernel asks for in either), `scratch N`, and last `used N`, that is
// arena_used_bytes(), or `refused`.

#include <cstdint>
#include <new>

#include "tensorflow/lite/micro/compatibility.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tests/cpp/harness.h"
#include "tests/target/tflm_messages.h"

extern "C" const uint8_t model_data[];

namespace {

using tflm_train_test::PrintLine;

constexpr size_t kArenaBytes = 256 * 1024;
constexpr size_t kStep = 16;
alignas(16) uint8_t arena[kArenaBytes];
alignas(8) uint8_t interpreter_memory[sizeof(tflite::MicroInterpreter)];
using Resolver = tflite::MicroMutableOpResolver<80>;

void PrintBytes(const char* what, size_t bytes) {
  PrintLine("%s %lu\n", what, static_cast<unsigned long>(bytes));
}

// Kernels reach the arena through the context's functions or through the MicroContext behind them,
// which those call: this one stands before the interpreter's and sees both.
class PrintingContext final : public tflite::MicroContext {
 public:
  PrintingContext(tflite::MicroContext& real, const char* phase) : real_(real), phase_(phase) {}
  void* AllocatePersistentBuffer(size_t bytes) override {
    PrintBytes(phase_, bytes);
    return real_.AllocatePersistentBuffer(bytes);
  }
  TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* index) override {
    PrintBytes("scratch", bytes);
    return real_.RequestScratchBufferInArena(bytes, index);
  }
  void* GetScratchBuffer(int index) override { return real_.GetScratchBuffer(index); }
  TfLiteTensor* AllocateTempTfLiteTensor(int index) override {
    return real_.AllocateTempTfLiteTensor(index);
  }
  void DeallocateTempTfLiteTensor(TfLiteTensor* tensor) override {
    real_.DeallocateTempTfLiteTensor(tensor);
  }
  uint8_t* AllocateTempBuffer(size_t size, size_t alignment) override {
    return real_.AllocateTempBuffer(size, alignment);
  }
  void DeallocateTempBuffer(uint8_t* buffer) override { real_.DeallocateTempBuffer(buffer); }
  TfLiteEvalTensor* GetEvalTensor(int index) override { return real_.GetEvalTensor(index); }
  TfLiteStatus set_external_context(void* payload) override {
    return real_.set_external_context(payload);
  }
  void* external_context() override { return real_.external_context(); }
  tflite::MicroGraph& graph() override { return real_.graph(); }

 private:
  tflite::MicroContext& real_;
  const char* phase_;
  TF_LITE_REMOVE_VIRTUAL_DELETE
};

// The one operator's kernel, and the parser of its options.
TFLMRegistration real_kernel;
tflite::TfLiteBridgeBuiltinParseFunction real_parser;

void* Init(TfLiteContext* context, const char* buffer, size_t length) {
  void* const real = context->impl_;
  PrintingContext printing(*static_cast<tflite::MicroContext*>(real), "init");
  context->impl_ = &printing;
  void* const data = real_kernel.init(context, buffer, length);
  context->impl_ = real;
  return data;
}

TfLiteStatus Prepare(TfLiteContext* context, TfLiteNode* node) {
  void* const real = context->impl_;
  PrintingContext printing(*static_cast<tflite::MicroContext*>(real), "prepare");
  context->impl_ = &printing;
  const TfLiteStatus status = real_kernel.prepare(context, node);
  context->impl_ = real;
  return status;
}

class PrintingAllocator final : public tflite::TfLiteBridgeBuiltinDataAllocator {
 public:
  explicit PrintingAllocator(tflite::TfLiteBridgeBuiltinDataAllocator& real) : real_(real) {}
  void* Allocate(size_t size, size_t alignment) override {
    PrintBytes("options", size);
    return real_.Allocate(size, alignment);
  }
  void Deallocate(void* data) override { real_.Deallocate(data); }

 private:
  tflite::TfLiteBridgeBuiltinDataAllocator& real_;
};

TfLiteStatus Parse(const tflite::Operator* op, tflite::ErrorReporter* reporter,
                   tflite::TfLiteBridgeBuiltinDataAllocator* allocator, void** data) {
  PrintingAllocator printing(*allocator);
  return real_parser(op, reporter, &printing, data);
}

// Gives the interpreter kernels and parsers that print what they ask for.
class PrintingResolver final : public tflite::MicroOpResolver {
 public:
  explicit PrintingResolver(const Resolver& real) : real_(real) {}
  const TFLMRegistration* FindOp(tflite::BuiltinOperator op) const override {
    const TFLMRegistration* found = real_.FindOp(op);
    if (found == nullptr) return nullptr;
    real_kernel = *found;
    static TFLMRegistration printing;
    printing = *found;
    if (found->init != nullptr) printing.init = Init;
    if (found->prepare != nullptr) printing.prepare = Prepare;
    return &printing;
  }
  const TFLMRegistration* FindOp(const char* name) const override { return real_.FindOp(name); }
  tflite::TfLiteBridgeBuiltinParseFunction GetOpDataParser(
      tflite::BuiltinOperator op) const override {
    real_parser = real_.GetOpDataParser(op);
    return real_parser == nullptr ? nullptr : Parse;
  }

 private:
  const Resolver& real_;
};

bool AddOps(Resolver& r) {
  const TfLiteStatus results[] = {
      r.AddAdd(),
      r.AddArgMax(),
      r.AddArgMin(),
      r.AddAveragePool2D(),
      r.AddBatchMatMul(),
      r.AddBatchToSpaceNd(),
      r.AddConcatenation(),
      r.AddConv2D(),
      r.AddDepthToSpace(),
      r.AddDequantize(),
      r.AddDepthwiseConv2D(),
      r.AddDiv(),
      r.AddExpandDims(),
      r.AddFullyConnected(),
      r.AddHardSwish(),
      r.AddL2Normalization(),
      r.AddLeakyRelu(),
      r.AddLogistic(),
      r.AddMaxPool2D(),
      r.AddMaximum(),
      r.AddMean(),
      r.AddMinimum(),
      r.AddMul(),
      r.AddPack(),
      r.AddPad(),
      r.AddPadV2(),
      r.AddPrelu(),
      r.AddQuantize(),
      r.AddReduceMax(),
      r.AddReduceMin(),
      r.AddRelu(),
      r.AddRelu6(),
      r.AddReshape(),
      r.AddResizeBilinear(),
      r.AddResizeNearestNeighbor(),
      r.AddSlice(),
      r.AddSoftmax(),
      r.AddSpaceToDepth(),
      r.AddSplit(),
      r.AddSplitV(),
      r.AddSqueeze(),
      r.AddStridedSlice(),
      r.AddSub(),
      r.AddSum(),
      r.AddSvdf(),
      r.AddTanh(),
      r.AddTranspose(),
      r.AddTransposeConv(),
      r.AddUnidirectionalSequenceLSTM(),
      r.AddUnpack(),
      r.AddRsqrt(),
      r.AddSquaredDifference(),
      r.AddAbs(),
      r.AddCos(),
      r.AddCumSum(),
      r.AddElu(),
      r.AddExp(),
      r.AddGather(),
      r.AddLog(),
      r.AddNeg(),
      r.AddSin(),
      r.AddSqrt(),
      r.AddSquare(),
  };
  for (const TfLiteStatus result : results) {
    if (result != kTfLiteOk) return false;
  }
  return true;
}

void Show(const uint8_t* model, const PrintingResolver& resolver) {
  auto* interpreter = new (interpreter_memory)
      tflite::MicroInterpreter(tflite::GetModel(model), resolver, arena, kArenaBytes);
  if (interpreter->AllocateTensors() != kTfLiteOk) {
    tflm_train_test::Print("refused\n");
    return;
  }
  PrintBytes("used", interpreter->arena_used_bytes());
}

}  // namespace

int main() {
  static Resolver resolver;
  if (!AddOps(resolver)) return 1;
  const PrintingResolver printing(resolver);
  const uint8_t* next = model_data;
  const uint32_t count = *reinterpret_cast<const uint32_t*>(next);
  next += kStep;
  for (uint32_t left = count; left > 0; --left) {
    const uint32_t bytes = *reinterpret_cast<const uint32_t*>(next);
    Show(next + kStep, printing);
    next += kStep + (bytes + kStep - 1) / kStep * kStep;
  }
  tflm_train_test::Print("done\n");
  return 0;
}
