// As much of TFLM as the ops use: the context of one node. Each tensor and buffer is a block of
// just its size, which AddressSanitizer guards.

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/node.h"
#include "tflm_kernels/micro/train_ops.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace tflm_train {

// The blocks of one context, one behind the other with a gap between, of which nothing else may be
// touched: a heap that AddressSanitizer guards takes as long as all else. What has no room is in
// the heap.
class Blocks {
 public:
  Blocks() = default;
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;
  ~Blocks() {
    for (void* const data : heap_) std::free(data);
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(Room(), used_);
#endif
  }

  void* Allocate(size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    const size_t all = (bytes + 2 * kGap - 1) / kGap * kGap;
    if (all <= kRoom - used_) {
      uint8_t* const block = Room() + used_;
      used_ += all;
      __asan_unpoison_memory_region(block, bytes);
      return block;
    }
#endif
    heap_.push_back(std::malloc(bytes == 0 ? 1 : bytes));
    return heap_.back();
  }

 private:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr size_t kGap = 16;
  static constexpr size_t kRoom = size_t{1} << 20;
  static uint8_t* Room() {
    alignas(kGap) static uint8_t room[kRoom];
    static const bool is_ready = (__asan_poison_memory_region(room, kRoom), true);
    static_cast<void>(is_ready);
    return room;
  }
  size_t used_ = 0;
#endif
  std::vector<void*> heap_;
};

struct TfLiteContext {
  std::vector<TfLiteEvalTensor> tensors;
  Blocks blocks;
  std::vector<size_t> scratch_sizes;
  std::vector<void*> scratch;
  int calls = 0;
  int failing_call = 0;
  std::vector<char>* log = nullptr;

  void* Allocate(size_t bytes) { return blocks.Allocate(bytes); }
  bool CallFails(size_t bytes) { return ++calls == failing_call || bytes > kArenaBytes; }
  static constexpr size_t kArenaBytes = tflm_train_fuzz::kLargest.bytes;
};

namespace {
std::vector<char>* current_log = nullptr;
}  // namespace

TfLiteEvalTensor* MicroContextGetEvalTensor(const TfLiteContext* context, int index) {
  // The harness asks for no other; an op that does is found here.
  if (index < 0 || static_cast<size_t>(index) >= context->tensors.size()) std::abort();
  return const_cast<TfLiteEvalTensor*>(&context->tensors[index]);
}

void* MicroContextAllocatePersistentBuffer(TfLiteContext* context, size_t bytes) {
  return context->CallFails(bytes) ? nullptr : context->Allocate(bytes);
}

TfLiteStatus MicroContextRequestScratchBufferInArena(TfLiteContext* context, size_t bytes,
                                                     int* index) {
  if (context->CallFails(bytes)) return kTfLiteError;
  *index = static_cast<int>(context->scratch_sizes.size());
  context->scratch_sizes.push_back(bytes);
  return kTfLiteOk;
}

void* MicroContextGetScratchBuffer(TfLiteContext* context, int index) {
  return context->scratch.at(index);
}

void MicroPrintf(const char* format, ...) {
  if (current_log == nullptr) return;
  va_list arguments;
  va_start(arguments, format);
  current_log->resize(512);
  std::vsnprintf(current_log->data(), current_log->size(), format, arguments);
  va_end(arguments);
}

OpTimer::OpTimer(OpKind kind) : kind_(kind), start_(0) {}
OpTimer::~OpTimer() {
  static_cast<void>(kind_);
  static_cast<void>(start_);
}

}  // namespace tflm_train

namespace tflm_train_fuzz {
namespace {

using namespace tflm_train;  // NOLINT

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761u + 1) {}
  uint32_t Next() {  // xorshift
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_;
  }

 private:
  uint32_t state_;
};

size_t BytesOf(uint8_t type) {
  return type == kTfLiteFloat32 || type == kTfLiteInt32 ? 4 : type == kTfLiteInt16 ? 2 : 1;
}

// What a variable of a kind may hold: weights and biases are checked where they enter (RESTORE,
// StateLoad), floats are not.
void FillRam(uint8_t type, size_t bytes, Random* random, void* data) {
  uint8_t* const at = static_cast<uint8_t*>(data);
  static constexpr float kFloats[] = {0.0f,   1.0f,     1e-3f, 1e-30f, 1e30f, -1.0f,
                                      1e-40f, INFINITY, NAN,   0.05f,  3.0f,  2e-6f};
  if (type == kTfLiteFloat32) {
    const bool is_wild = random->Next() % 4 == 0;
    for (size_t i = 0; i + 4 <= bytes; i += 4) {
      const float value = is_wild ? kFloats[random->Next() % 12]
                                  : static_cast<float>(random->Next() % 4096) * 1e-5f;
      std::memcpy(at + i, &value, 4);
    }
  } else if (type == kTfLiteInt32) {
    const uint32_t span = random->Next() % 2 == 0 ? 2000 : (1u << 31) + 1;
    for (size_t i = 0; i + 4 <= bytes; i += 4) {
      const int32_t value =
          static_cast<int32_t>(random->Next() % span) - static_cast<int32_t>(span / 2);
      std::memcpy(at + i, &value, 4);
    }
  } else {
    for (size_t i = 0; i < bytes; i += 4) {
      const uint32_t four = random->Next();
      std::memcpy(at + i, &four, std::min<size_t>(4, bytes - i));
    }
    // Gradients that overflow their prediction are made of the largest values.
    if (random->Next() % 4 == 0) std::memset(at, random->Next() % 2 == 0 ? 127 : 129, bytes);
  }
}

// Random numbers between two, both included.
void FillUniform(uint8_t type, const uint8_t* limits, size_t bytes, Random* random, void* data) {
  uint8_t* const at = static_cast<uint8_t*>(data);
  if (type == kTfLiteFloat32) {
    float low, high;
    std::memcpy(&low, limits, 4);
    std::memcpy(&high, limits + 4, 4);
    for (size_t i = 0; i + 4 <= bytes; i += 4) {
      const float share = static_cast<float>(random->Next() >> 8) * (1.0f / (1 << 24));
      const float value = low + (high - low) * share;
      std::memcpy(at + i, &value, 4);
    }
    return;
  }
  int32_t low, high;
  std::memcpy(&low, limits, 4);
  std::memcpy(&high, limits + 4, 4);
  const uint64_t span = static_cast<uint64_t>(static_cast<int64_t>(high) - low) + 1;
  const size_t step = BytesOf(type);
  for (size_t i = 0; i + step <= bytes; i += step) {
    const int64_t value = low + static_cast<int64_t>(random->Next() * span >> 32);
    std::memcpy(at + i, &value, step);  // little endian: its low bytes
  }
}

void Fill(const FuzzTensor& tensor, size_t bytes, Random* random, void* to) {
  const std::vector<uint8_t>& data = tensor.data;
  if (tensor.is_uniform && data.size() == 2 * sizeof(int32_t)) {
    return FillUniform(tensor.type, data.data(), bytes, random, to);
  }
  if (!tensor.is_constant || data.empty()) return FillRam(tensor.type, bytes, random, to);
  for (size_t i = 0; i < bytes; i += data.size()) {
    std::memcpy(static_cast<uint8_t*>(to) + i, data.data(), std::min(data.size(), bytes - i));
  }
}

// FNV-1a over words, which tells any two contents that differ in one word.
uint32_t AddToSum(uint32_t sum, uint8_t type, const void* data, size_t bytes) {
  const uint8_t* const at = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < bytes; i += 4) {
    uint32_t word = 0;
    std::memcpy(&word, at + i, std::min<size_t>(4, bytes - i));
    if (type == kTfLiteFloat32 && (word & 0x7FFFFFFFu) > 0x7F800000u) word = 0x7FC00000u;
    sum = (sum ^ word) * 0x01000193u;
  }
  return sum;
}

float LearningRate(uint8_t choice) {
  static constexpr float kRates[] = {1e-3f, 0.0f, 1.0f, 1e-40f, 1e30f, 3e38f, NAN, -1.0f};
  return kRates[choice % 8];
}

double WorkOf(const Geometry& g) {
  return 1.0 * g.in_h * g.in_w * g.k_h * g.k_w + 1.0 * g.out_h * g.out_w * g.k_h * g.k_w +
         1.0 * g.out_h * g.out_w * g.k_h * g.k_w * g.in_c +
         1.0 * g.in_h * g.in_w * g.k_h * g.k_w * g.out_c;
}

template <typename Params>
Params ParamsOf(const FuzzNode& node) {
  Params params;
  std::memset(static_cast<void*>(&params), 0, sizeof(params));
  std::memcpy(static_cast<void*>(&params), node.options.data(),
              std::min(sizeof(params), node.options.size()));
  return params;
}

double WorkOf(const FuzzNode& node, OpKind kind) {
  switch (kind) {
    case OpKind::kConvInputGrad:
    case OpKind::kConvUpdate:
    case OpKind::kSplitConv: {
      const Geometry g = ParamsOf<ConvInputGradParams>(node).geometry;
      return WorkOf(g) * std::min(g.in_c, g.out_c);
    }
    case OpKind::kDepthwiseInputGrad:
    case OpKind::kDepthwiseUpdate:
    case OpKind::kSplitDepthwise:
    case OpKind::kPoolGrad:
    case OpKind::kMaxPoolGrad:
      return WorkOf(ParamsOf<PoolGradParams>(node).geometry);
    case OpKind::kStream: {
      double work = 0;
      for (size_t at = sizeof(OpHeader); at + sizeof(StreamStage) <= node.options.size();
           at += sizeof(StreamStage)) {
        StreamStage stage;
        std::memcpy(&stage, node.options.data() + at, sizeof(stage));
        const double depthwise = WorkOf(stage.geometry);
        work += depthwise * std::min(stage.geometry.in_c, stage.geometry.out_c);
      }
      return work;
    }
    case OpKind::kProductGrad: {
      const ProductGradParams params = ParamsOf<ProductGradParams>(node);
      double work = 1;
      for (const ProductAxis& axis : params.kept) work *= axis.size;
      for (const ProductAxis& axis : params.reduced) work *= axis.size;
      return work;
    }
    case OpKind::kResizeGrad: {
      const ResizeGradParams p = ParamsOf<ResizeGradParams>(node);
      return 1.0 * p.in_h * p.in_w * p.out_h * p.out_w;
    }
    case OpKind::kChannelSave:  // of which a position may have no channels
      return ParamsOf<ChannelSaveParams>(node).positions;
    default:
      return 0;
  }
}

TFLMRegistration RegistrationOf(const std::string& op) {
  for (const auto& registration : TrainOpList<>::kAll) {
    if ("TFLM_TRAIN_" + op == registration().custom_name) return registration();
  }
  return {};
}

class Runner {
 public:
  Runner(const FuzzNode& node, const Budget& budget, std::vector<char>* refusal, uint32_t* sum)
      : node_(node),
        budget_(budget),
        sum_(sum),
        registration_(RegistrationOf(node.op)),
        random_(node.seed) {
    refusal->assign(1, '\0');
    current_log = refusal;
    context_.failing_call = node.failing_call;
    context_.tensors.reserve(node.tensors.size());
  }
  ~Runner() { current_log = nullptr; }

  Outcome Run() {
    if (registration_.invoke == nullptr || !AddTensors()) return Outcome::kRefused;
    // custom_options of just their size, at an address that nothing aligns.
    uint8_t* const options = static_cast<uint8_t*>(context_.Allocate(node_.options.size() + 1)) + 1;
    if (!node_.options.empty()) std::memcpy(options, node_.options.data(), node_.options.size());
    TfLiteNode tflite_node = {List(node_.inputs),
                              List(node_.outputs),
                              nullptr,
                              nullptr,
                              nullptr,
                              options,
                              static_cast<int>(node_.options.size())};
    if (registration_.prepare(&context_, &tflite_node) != kTfLiteOk) return Outcome::kRefused;
    const OpKind kind = static_cast<OpKind>(ParamsOf<LossParams>(node_).header.kind);
    size_t bytes = total_bytes_;
    for (const size_t more : context_.scratch_sizes) bytes += more;
    if (bytes > budget_.bytes || WorkOf(node_, kind) >= budget_.work) return Outcome::kPrepared;
    for (size_t i = 0; i < node_.tensors.size(); ++i) {
      TfLiteEvalTensor& tensor = context_.tensors[i];
      if (tensor.data.data == nullptr) tensor.data.data = context_.Allocate(bytes_[i]);
    }
    for (const size_t bytes : context_.scratch_sizes) {
      context_.scratch.push_back(context_.Allocate(bytes));
    }
    if (registration_.reset != nullptr) registration_.reset(&context_, tflite_node.user_data);
    for (int i = 0; i < budget_.invokes; ++i) {
      if (i == 0 || kind != OpKind::kRestore) FillTensors(kind, i == 0);
      registration_.invoke(&context_, &tflite_node);
      if (kind == OpKind::kRestore) UseState(tflite_node);
      if (sum_ != nullptr) AddTensorsToSum();
    }
    return Outcome::kInvoked;
  }

 private:
  bool AddTensors() {
    for (const FuzzTensor& tensor : node_.tensors) {
      size_t elements = 1;
      for (const int32_t dim : tensor.dims) {
        if (dim < 0) return false;  // TFLM's own planner stumbles over such a shape
        elements = std::min<size_t>(elements * static_cast<size_t>(dim), size_t{1} << 31);
      }
      const size_t bytes = elements * BytesOf(tensor.type);
      TfLiteEvalTensor eval = {{nullptr}, List(tensor.dims), static_cast<TfLiteType>(tensor.type)};
      if (tensor.is_constant) {
        if (bytes > budget_.bytes) return false;
        eval.data.data = static_cast<char*>(context_.Allocate(bytes + tensor.is_misaligned)) +
                         tensor.is_misaligned;
        Fill(tensor, bytes, &random_, eval.data.data);
      }
      context_.tensors.push_back(eval);
      bytes_.push_back(bytes);
      total_bytes_ += bytes;
    }
    return true;
  }

  template <typename T>
  TfLiteIntArray* List(const std::vector<T>& numbers) {
    TfLiteIntArray* const list =
        static_cast<TfLiteIntArray*>(context_.Allocate(sizeof(int) * (numbers.size() + 1)));
    list->size = static_cast<int>(numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) list->data[i] = numbers[i];
    return list;
  }

  void FillTensors(OpKind kind, bool is_first) {
    for (size_t i = 0; i < node_.tensors.size(); ++i) {
      const FuzzTensor& tensor = node_.tensors[i];
      if (!tensor.is_constant && (is_first || !tensor.is_kept)) {
        Fill(tensor, bytes_[i], &random_, context_.tensors[i].data.data);
      }
    }
    const float rate = LearningRate(node_.rate);
    if (kind == OpKind::kRestore) {
      if (node_.inputs[0] >= 0) std::memcpy(Data(node_.inputs[0]), &rate, sizeof(rate));
      std::memset(Data(node_.outputs[0]), 0, bytes_[node_.outputs[0]]);  // as AllocateTensors does
      return;
    }
    const int8_t last = node_.inputs.empty() ? int8_t{-1} : node_.inputs.back();
    if (last < 0 || node_.tensors[last].is_constant || node_.tensors[last].type != kTfLiteInt32 ||
        bytes_[last] < sizeof(LiveState) + 4) {
      return;
    }
    // A step of which all has run.
    std::memset(Data(last), 0xFF, bytes_[last]);
    LiveState live = {};
    live.magic = kStateMagic;
    live.abi_version = kAbiVersion;
    live.training = node_.rate % 8 != 1;
    live.step = random_.Next();
    live.seed = random_.Next();
    live.learning_rate = node_.rate % 8 < 6 ? rate : 1e-3f;
    std::memcpy(Data(last), static_cast<const void*>(&live), sizeof(live));
  }

  void AddTensorsToSum() {
    for (size_t i = 0; i < node_.tensors.size(); ++i) {
      const FuzzTensor& tensor = node_.tensors[i];
      if (tensor.is_constant || tensor.is_private) continue;
      *sum_ = AddToSum(*sum_, tensor.type, context_.tensors[i].data.data, bytes_[i]);
    }
  }

  void* Data(int8_t id) { return context_.tensors[id].data.data; }

  // Saves, loads and resets what RESTORE has made ready.
  void UseState(const TfLiteNode& tflite_node) {
    if (tflite_node.outputs->size < 2) return;
    const TrainState* const handle = static_cast<const TrainState*>(Data(node_.outputs[1]));
    const size_t size = StateSize(handle);
    if (size == 0) return;
    uint8_t* const blob = static_cast<uint8_t*>(context_.Allocate(size));
    if (StateSave(handle, blob, size) != StateStatus::kOk) std::abort();
    StateLoad(handle, blob, size);
    if (random_.Next() % 2 == 0) StateReset(handle);
  }

  const FuzzNode& node_;
  const Budget budget_;
  uint32_t* const sum_;
  TFLMRegistration registration_;
  Random random_;
  TfLiteContext context_;
  std::vector<size_t> bytes_;
  size_t total_bytes_ = 0;
};

}  // namespace

Outcome RunNode(const FuzzNode& node, const Budget& budget, std::vector<char>* refusal,
                uint32_t* sum) {
  return Runner(node, budget, refusal, sum).Run();
}

}  // namespace tflm_train_fuzz
