// Fuzzes StateLoad: no input may crash, read outside of the blob, or change the weights unless it
// is a valid blob of this model.
//
// A target of libFuzzer; where there is none, campaign.cc makes the inputs (tools/fuzz.py).

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/little_endian.h"
#include "tflm_kernels/state/state.h"

namespace {

using tflm_train::StateStatus;

constexpr uint32_t kSizes[] = {24, 1, 7, 4};
constexpr size_t kCount = sizeof(kSizes) / sizeof(kSizes[0]);
constexpr size_t kPayloadBytes = 36;
constexpr size_t kBlobBytes = tflm_train::kStateHeaderBytes + kPayloadBytes;

void Require(bool condition) {
  if (!condition) std::abort();
}

// A model whose variables are separate heap blocks, so that AddressSanitizer guards each.
class Model {
 public:
  Model()
      : table_(static_cast<tflm_train::VariableTable*>(
            std::malloc(tflm_train::VariableTableBytes(kCount)))) {
    table_->state = &state_;
    table_->count = kCount;
    for (size_t i = 0; i < kCount; ++i) {
      table_->entries[i] = {std::malloc(kSizes[i]), kSizes[i], false};
      std::memset(table_->entries[i].data, static_cast<int>(i) + 1, kSizes[i]);
    }
    tflm_train::RestoreParams params = {};
    params.fingerprint_lo = 0x11223344;
    params.fingerprint_hi = 0x55667788;
    tflm_train::StateInitialize(params, table_);
    tflm_train::StateDescribe(params, *table_, &state_);
  }
  ~Model() {
    for (size_t i = 0; i < kCount; ++i) std::free(table_->entries[i].data);
    std::free(table_);
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const tflm_train::TrainState* state() const { return &state_; }

  void Save(uint8_t* blob) const {
    Require(StateSave(&state_, blob, kBlobBytes) == StateStatus::kOk);
  }

 private:
  tflm_train::TrainState state_;
  tflm_train::VariableTable* table_;
};

void Check(const uint8_t* data, size_t size) {
  const Model model;
  uint8_t before[kBlobBytes];
  uint8_t after[kBlobBytes];
  model.Save(before);
  // A copy of exactly this size: a read beyond it is found.
  uint8_t* copy = static_cast<uint8_t*>(std::malloc(size == 0 ? 1 : size));
  if (size > 0) std::memcpy(copy, data, size);
  const StateStatus status = StateLoad(model.state(), copy, size);
  model.Save(after);
  if (status == StateStatus::kOk) {
    Require(size == kBlobBytes && std::memcmp(after, copy, size) == 0);
  } else {
    Require(std::memcmp(after, before, sizeof(before)) == 0);
  }
  Require(tflm_train::StateStatusMessage(status)[0] != '\0');
  std::free(copy);
}

}  // namespace

// A valid blob, for drivers that start from one.
extern "C" size_t SeedInput(uint8_t* data, size_t capacity) {
  Require(capacity >= kBlobBytes);
  Model().Save(data);
  return kBlobBytes;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Check(data, size);
  if (size >= tflm_train::kStateHeaderBytes) {
    // Chance does not find a checksum: the same input with its own reaches what lies behind it.
    uint8_t* signed_copy = static_cast<uint8_t*>(std::malloc(size));
    std::memcpy(signed_copy, data, size);
    uint32_t crc = tflm_train::UpdateCrc32(tflm_train::kCrc32Start, signed_copy, 28);
    crc = tflm_train::UpdateCrc32(crc, signed_copy + 32, size - 32);
    tflm_train::PutWord(signed_copy, 28, ~crc);
    Check(signed_copy, size);
    std::free(signed_copy);
  }
  return 0;
}
