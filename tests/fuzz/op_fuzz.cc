// Fuzzes the ops: Prepare, and where that accepts the node Invoke, may not do anything undefined,
// whatever options, shapes, lists and wiring a model has, and whichever of TFLM's allocations
// fails. The bytes are a node (node.h); seeds are in seeds/op, a folder for each op.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/node.h"
#include "tflm_kernels/spec/op_params.h"

namespace {

using tflm_train_fuzz::Budget;
using tflm_train_fuzz::FuzzNode;
using tflm_train_fuzz::FuzzTensor;
using tflm_train_fuzz::kLargest;
using tflm_train_fuzz::kPrepareAlone;
using tflm_train_fuzz::Outcome;
using tflm_train_fuzz::ReadNode;
using tflm_train_fuzz::RunNode;
using tflm_train_fuzz::WriteNode;

constexpr size_t kHeaderBytes = sizeof(tflm_train::OpHeader);
constexpr size_t kWord = 4;
constexpr int kRepairs = 10;

bool went_deep = false;

// Most faults show with small tensors and at once, of which a hundred run while a large one does: of
// 4 inputs one is invoked again, of 64 one may be larger, of 4096 one as large as an arena. The input
// decides, so that it does the same when it is replayed.
Budget BudgetOf(const uint8_t* data, size_t size) {
  uint32_t hash = 0x811C9DC5u;  // FNV-1a
  for (size_t i = 0; i < size; ++i) hash = (hash ^ data[i]) * 0x01000193u;
  hash ^= hash >> 15;
  if (hash % 4096 == 0) return kLargest;
  if (hash % 64 == 0) return {size_t{1} << 16, 3e5, 3};
  return {size_t{1} << 12, 2e4, hash % 4 == 0 ? 3 : 1};
}

class Random {
 public:
  explicit Random(uint32_t seed) : state_(seed * 2654435761u + 1) {}
  uint32_t Below(uint32_t limit) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return static_cast<uint32_t>(static_cast<uint64_t>(state_) * limit >> 32);
  }
  bool OneOf(uint32_t count) { return Below(count) == 0; }

 private:
  uint32_t state_;
};

int32_t Number(Random& random, int32_t old) {
  static constexpr int32_t kNumbers[] = {
      0,         1,         -1,           2,   3,    7,     8,     16,     31,    32,      127,
      128,       -128,      255,          256, 1048, 32767, 32768, -32768, 65536, 1 << 20, 1 << 30,
      INT32_MAX, INT32_MIN, INT32_MAX - 1};
  // As floats: infinity, its negative, NaN, denormal, huge, small, -1.
  static constexpr uint32_t kFloats[] = {0x7F800000, 0xFF800000, 0x7FC00000, 0x00000001,
                                         0x7F7FFFFF, 0x00800000, 0xBF800000, 0x3F800000};
  switch (random.Below(6)) {
    case 0:
      return kNumbers[random.Below(sizeof(kNumbers) / sizeof(kNumbers[0]))];
    case 1:
      return static_cast<int32_t>(kFloats[random.Below(sizeof(kFloats) / sizeof(kFloats[0]))]);
    case 2:
      return static_cast<int32_t>(static_cast<uint32_t>(old) + 1);
    case 3:
      return static_cast<int32_t>(static_cast<uint32_t>(old) - 1);
    case 4:
      return static_cast<int32_t>(random.Below(40));
    default:
      return static_cast<int32_t>(random.Below(UINT32_MAX));
  }
}

void ChangeWord(Random& random, std::vector<uint8_t>* bytes, size_t first) {
  if (bytes->size() < first + kWord) return;
  const uint32_t words = static_cast<uint32_t>((bytes->size() - first) / kWord);
  uint8_t* const at = bytes->data() + first + kWord * random.Below(words);
  int32_t word;
  std::memcpy(&word, at, kWord);
  word = Number(random, word);
  if (random.OneOf(6)) std::memcpy(&word, bytes->data() + first + kWord * random.Below(words), 4);
  std::memcpy(at, &word, kWord);
}

void ChangeOptions(Random& random, FuzzNode* node) {
  std::vector<uint8_t>& options = node->options;
  switch (random.Below(16)) {
    case 0:  // the header, too
      return ChangeWord(random, &options, 0);
    case 1:
      return options.resize(random.Below(static_cast<uint32_t>(options.size()) + 9));
    case 2: {  // another stage of a stream
      constexpr size_t kStage = sizeof(tflm_train::StreamStage);
      if (options.size() < kHeaderBytes + kStage || options.size() > 8 * kStage) return;
      const std::vector<uint8_t> stage(options.end() - kStage, options.end());
      options.insert(options.end(), stage.begin(), stage.end());
      const uint32_t size = static_cast<uint32_t>(options.size());
      std::memcpy(options.data() + kWord, &size, sizeof(size));
      return;
    }
    default:
      return ChangeWord(random, &options, kHeaderBytes);
  }
}

void ChangeContents(Random& random, FuzzTensor* tensor) {
  std::vector<uint8_t>& data = tensor->data;
  if (data.empty() || random.OneOf(10)) {
    data.resize(random.Below(65) * (tensor->type == 9 ? 1 : kWord));
    return;
  }
  const uint32_t at = random.Below(static_cast<uint32_t>(data.size()));
  switch (random.Below(4)) {
    case 0:
      return ChangeWord(random, &data, 0);
    case 1:
      data[at] = static_cast<uint8_t>(random.Below(256));
      return;
    case 2: {  // elements of two bytes change places
      const size_t other = random.Below(static_cast<uint32_t>(data.size()));
      for (size_t i = 0; i < 2; ++i) {
        std::swap(data[(at / 2 * 2 + i) % data.size()], data[(other / 2 * 2 + i) % data.size()]);
      }
      return;
    }
    default:
      data[at / 2 * 2] = static_cast<uint8_t>(random.Below(24));
  }
}

void ChangeTensor(Random& random, FuzzTensor* tensor) {
  static constexpr uint8_t kTypes[] = {1, 2, 3, 7, 9, 4, 10};
  switch (random.Below(8)) {
    case 0:
      tensor->type = kTypes[random.Below(sizeof(kTypes))];
      return;
    case 1:
      if (random.OneOf(4)) tensor->is_misaligned = !tensor->is_misaligned;
      tensor->is_constant = !tensor->is_constant;
      return;
    case 2:
    case 3:
      if (tensor->dims.empty() || random.OneOf(5)) {
        tensor->dims.push_back(static_cast<int32_t>(random.Below(5)));
      } else if (random.OneOf(5)) {
        tensor->dims.pop_back();
      } else {
        int32_t& dim = tensor->dims[random.Below(static_cast<uint32_t>(tensor->dims.size()))];
        dim = Number(random, dim);
      }
      return;
    default:
      return ChangeContents(random, tensor);
  }
}

void ChangeWiring(Random& random, FuzzNode* node) {
  std::vector<int8_t>& list = random.OneOf(4) ? node->outputs : node->inputs;
  const int8_t any = static_cast<int8_t>(
      static_cast<int32_t>(random.Below(static_cast<uint32_t>(node->tensors.size()) + 1)) - 1);
  const uint32_t size = static_cast<uint32_t>(list.size());
  switch (random.Below(4)) {
    case 0:
      if (size < 60) list.insert(list.begin() + random.Below(size + 1), any);
      return;
    case 1:
      if (size > 0) list.erase(list.begin() + random.Below(size));
      return;
    case 2:
      if (size > 1) std::swap(list[random.Below(size)], list[random.Below(size)]);
      return;
    default:
      if (size > 0) list[random.Below(size)] = any;
  }
}

// What a refusal says is wrong with a tensor is mended, so that mutations of the options get
// beyond Prepare. Returns whether there was something to mend.
bool Repair(const char* refusal, FuzzNode* node) {
  const char* at = std::strstr(refusal, ": input ");
  const bool is_input = at != nullptr;
  if (!is_input) at = std::strstr(refusal, ": output ");
  if (at == nullptr) return false;
  const int index = std::atoi(at + (is_input ? 8 : 9));
  std::vector<int8_t>& list = is_input ? node->inputs : node->outputs;
  if (index < 0 || index >= static_cast<int>(list.size()) || list.size() > 60) return false;
  if (std::strstr(at, "is given") != nullptr) {
    list[index] = -1;
    return true;
  }
  if (list[index] < 0) {
    if (node->tensors.size() >= 100) return false;
    list[index] = static_cast<int8_t>(node->tensors.size());
    node->tensors.emplace_back();
    return true;
  }
  FuzzTensor& tensor = node->tensors[list[index]];
  if (const char* const need = std::strstr(at, "parameters need ")) {
    tensor.dims.assign(1, std::atoi(need + 16));
    return true;
  }
  if (const char* const expected = std::strstr(at, ", expected ")) {
    static constexpr struct {
      const char* name;
      uint8_t type;
    } kNames[] = {{"int8", 9}, {"uint8", 3}, {"int16", 7}, {"int32", 2}, {"float32", 1}};
    for (const auto& known : kNames) {
      if (std::strcmp(expected + 11, known.name) == 0) tensor.type = known.type;
    }
    return true;
  }
  if (std::strstr(at, "must be a constant") || std::strstr(at, "must be a variable")) {
    tensor.is_constant = !tensor.is_constant;
    return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static std::vector<char> refusal;
  went_deep = RunNode(ReadNode(data, size), BudgetOf(data, size), &refusal) == Outcome::kInvoked;
  return 0;
}

extern "C" bool WentDeep() { return went_deep; }

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t capacity,
                                          unsigned int seed) {
  Random random(seed);
  FuzzNode node = ReadNode(data, size);
  for (uint32_t changes = 1 + random.Below(3); changes > 0; --changes) {
    switch (random.Below(8)) {
      case 0:
        node.seed = random.Below(UINT32_MAX);
        node.rate = static_cast<uint8_t>(random.Below(8));
        break;
      case 1:
        node.failing_call = random.OneOf(3) ? static_cast<uint8_t>(random.Below(4)) : uint8_t{0};
        break;
      case 2:
        ChangeWiring(random, &node);
        break;
      case 3:
      case 4:
        if (!node.tensors.empty()) {
          const uint32_t count = static_cast<uint32_t>(node.tensors.size());
          ChangeTensor(random, &node.tensors[random.Below(count)]);
        }
        break;
      default:
        ChangeOptions(random, &node);
    }
  }
  if (!random.OneOf(5)) {
    static std::vector<char> refusal;
    for (int i = 0; i < kRepairs; ++i) {
      if (RunNode(node, kPrepareAlone, &refusal) != Outcome::kRefused) break;
      if (!Repair(refusal.data(), &node)) break;
    }
  }
  const std::vector<uint8_t> written = WriteNode(node);
  if (written.size() > capacity) return size;
  std::copy(written.begin(), written.end(), data);
  return written.size();
}
