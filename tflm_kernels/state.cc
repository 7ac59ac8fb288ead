#include "tflm_kernels/state.h"

#include <cfloat>
#include <cstring>

namespace tflm_train {
namespace {

constexpr uint32_t kBlobMagic = 0x56535454;  // "TTSV"
constexpr uint32_t kBlobVersion = 1;
constexpr size_t kHeaderBytes = 32;
constexpr size_t kChecksumOffset = 28;

// CRC-32 as in zlib, a nibble at a time: 64 bytes of table.
uint32_t UpdateCrc(uint32_t crc, const void* data, size_t size) {
  static constexpr uint32_t kTable[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                          0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                          0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                          0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  const uint8_t* bytes = static_cast<const uint8_t*>(data);
  for (size_t i = 0; i < size; ++i) {
    crc ^= bytes[i];
    crc = (crc >> 4) ^ kTable[crc & 15];
    crc = (crc >> 4) ^ kTable[crc & 15];
  }
  return crc;
}

uint32_t Checksum(const uint8_t* header, const void* payload, size_t payload_bytes) {
  return ~UpdateCrc(UpdateCrc(~uint32_t{0}, header, kChecksumOffset), payload, payload_bytes);
}

void PutWord(uint8_t* header, size_t offset, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) header[offset + i] = static_cast<uint8_t>(value >> (8 * i));
}

uint32_t GetWord(const uint8_t* header, size_t offset) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value |= static_cast<uint32_t>(header[offset + i]) << (8 * i);
  return value;
}

// The table that a state tensor or its copy leads to; nullptr before the first
// Invoke.
VariableTable* TableOf(const void* state) {
  TrainState copy;
  std::memcpy(&copy, state, sizeof(copy));
  if (copy.magic != kStateMagic || copy.abi_version != kAbiVersion) return nullptr;
  const uint64_t address = (static_cast<uint64_t>(copy.table_hi) << 32) | copy.table_lo;
  return reinterpret_cast<VariableTable*>(static_cast<uintptr_t>(address));
}

// As TableOf, and the live tensor holds weights too (a copy may be stale).
VariableTable* ReadyTableOf(const void* state) {
  VariableTable* table = TableOf(state);
  return table != nullptr && table->state->magic == kStateMagic ? table : nullptr;
}

}  // namespace

void StateInitialize(const RestoreParams& params, VariableTable* table) {
  TrainState* state = table->state;
  const uint64_t address = reinterpret_cast<uintptr_t>(table);
  std::memset(state, 0, sizeof(*state));
  state->abi_version = kAbiVersion;
  state->seed = params.seed;
  state->fingerprint_lo = params.fingerprint_lo;
  state->fingerprint_hi = params.fingerprint_hi;
  state->table_lo = static_cast<uint32_t>(address);
  state->table_hi = static_cast<uint32_t>(address >> 32);
  state->variable_count = table->count;
  for (uint32_t i = 0; i < table->count; ++i) state->payload_bytes += table->entries[i].bytes;
  state->magic = kStateMagic;
}

bool IsValidLearningRate(float learning_rate) {
  return learning_rate >= 0.0f && learning_rate <= FLT_MAX;  // false for NaN
}

const char* StateStatusMessage(StateStatus status) {
  switch (status) {
    case StateStatus::kOk:
      return "ok";
    case StateStatus::kNotReady:
      return "the interpreter has no weights yet: call Invoke() once first";
    case StateStatus::kTooSmall:
      return "the buffer is smaller than StateSize()";
    case StateStatus::kNotABlob:
      return "not a saved training state";
    case StateStatus::kWrongVersion:
      return "saved by an incompatible version";
    case StateStatus::kWrongModel:
      return "saved from another model";
    case StateStatus::kWrongSize:
      return "the size differs from what this model saves: cut off or damaged";
    case StateStatus::kWrongChecksum:
      return "damaged: the checksum does not match";
  }
  return "unknown status";
}

size_t StateSize(const void* state) {
  const VariableTable* table = ReadyTableOf(state);
  return table == nullptr ? 0 : kHeaderBytes + table->state->payload_bytes;
}

StateStatus StateSave(const void* state, void* blob, size_t capacity) {
  const VariableTable* table = ReadyTableOf(state);
  if (table == nullptr) return StateStatus::kNotReady;
  const TrainState& live = *table->state;
  if (capacity < kHeaderBytes + live.payload_bytes) return StateStatus::kTooSmall;
  uint8_t* header = static_cast<uint8_t*>(blob);
  uint8_t* payload = header + kHeaderBytes;
  for (uint32_t i = 0; i < table->count; ++i) {
    std::memcpy(payload, table->entries[i].data, table->entries[i].bytes);
    payload += table->entries[i].bytes;
  }
  PutWord(header, 0, kBlobMagic);
  PutWord(header, 4, kBlobVersion | kHeaderBytes << 16);
  PutWord(header, 8, live.fingerprint_lo);
  PutWord(header, 12, live.fingerprint_hi);
  PutWord(header, 16, live.step);
  PutWord(header, 20, live.seed);
  PutWord(header, 24, live.payload_bytes);
  PutWord(header, kChecksumOffset, Checksum(header, header + kHeaderBytes, live.payload_bytes));
  return StateStatus::kOk;
}

StateStatus StateLoad(const void* state, const void* blob, size_t size) {
  const VariableTable* table = ReadyTableOf(state);
  if (table == nullptr) return StateStatus::kNotReady;
  TrainState& live = *table->state;
  const uint8_t* header = static_cast<const uint8_t*>(blob);
  const uint8_t* payload = header + kHeaderBytes;
  if (size < kHeaderBytes || GetWord(header, 0) != kBlobMagic) return StateStatus::kNotABlob;
  if (GetWord(header, 4) != (kBlobVersion | kHeaderBytes << 16)) return StateStatus::kWrongVersion;
  if (GetWord(header, 8) != live.fingerprint_lo || GetWord(header, 12) != live.fingerprint_hi) {
    return StateStatus::kWrongModel;
  }
  if (GetWord(header, 24) != live.payload_bytes || size - kHeaderBytes != live.payload_bytes) {
    return StateStatus::kWrongSize;
  }
  if (GetWord(header, kChecksumOffset) != Checksum(header, payload, live.payload_bytes)) {
    return StateStatus::kWrongChecksum;
  }
  for (uint32_t i = 0; i < table->count; ++i) {
    std::memcpy(table->entries[i].data, payload, table->entries[i].bytes);
    payload += table->entries[i].bytes;
  }
  live.step = GetWord(header, 16);
  live.seed = GetWord(header, 20);
  return StateStatus::kOk;
}

StateStatus StateReset(const void* state) {
  VariableTable* table = TableOf(state);
  if (table == nullptr) return StateStatus::kNotReady;
  table->state->magic = 0;
  return StateStatus::kOk;
}

uint32_t StateStep(const void* state) {
  const VariableTable* table = ReadyTableOf(state);
  return table == nullptr ? 0 : table->state->step;
}

}  // namespace tflm_train
