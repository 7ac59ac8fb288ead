// One op with its tensors, as bytes and back: what the fuzz targets of the ops run.
//
// A node is the op's name, a few numbers for the harness, custom_options, tensors
// and the lists of inputs and outputs, all little endian. Any bytes are a node: what is missing at
// the end is zero.

#ifndef TESTS_FUZZ_NODE_H_
#define TESTS_FUZZ_NODE_H_

#include <cstdint>
#include <string>
#include <vector>

namespace tflm_train_fuzz {

struct FuzzTensor {
  uint8_t type = 9;  // TfLiteType
  bool is_constant = false;
  bool is_misaligned = false;  // a constant that no 2 divides the address of
  bool is_uniform = false;     // random numbers between the two, of its type, that `data` is
  bool is_kept = false;        // what an Invoke leaves is there in the next one
  bool is_private = false;     // holds addresses: not part of a sum
  std::vector<int32_t> dims;
  std::vector<uint8_t> data;  // of a constant, repeated as often as needed
};

struct FuzzNode {
  std::string op;            // its name, without the prefix of our ops
  uint8_t failing_call = 0;  // of TFLM's allocations the one that fails, counted from 1; 0: none
  uint8_t rate = 0;          // which learning rate
  uint32_t seed = 0;         // of what lies in RAM
  std::vector<uint8_t> options;
  std::vector<FuzzTensor> tensors;
  std::vector<int8_t> inputs, outputs;  // -1: left out
};

FuzzNode ReadNode(const uint8_t* data, size_t size);
std::vector<uint8_t> WriteNode(const FuzzNode& node);

enum class Outcome { kRefused, kPrepared, kInvoked };

// What a run may take: bytes of its constants and of all of its tensors, and multiplications,
// roughly (none: Prepare alone); and how often it is invoked.
struct Budget {
  size_t bytes;
  double work;
  int invokes;
};
constexpr Budget kPrepareAlone = {size_t{1} << 12, 0, 0};
constexpr Budget kLargest = {size_t{1} << 23, 3e6, 3};

// Prepare, then Invoke within the budget. What Prepare refuses is said in `refusal`. `sum`, where it
// is not nullptr, gets a checksum of all tensors after each Invoke, in which every NaN is the same.
Outcome RunNode(const FuzzNode& node, const Budget& budget, std::vector<char>* refusal,
                uint32_t* sum = nullptr);

}  // namespace tflm_train_fuzz

#endif  // TESTS_FUZZ_NODE_H_
