#include "tflm_kernels/state/state.h"

#include <cfloat>
#include <cstring>

#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/little_endian.h"

namespace tflm_train {
namespace {

constexpr uint32_t kBlobMagic = 0x56535454;  // "TTSV"
constexpr uint32_t kBlobVersion = 1;
constexpr size_t kChecksumOffset = 28;

TrainState CopyOf(const TrainState* state) {
  TrainState copy;
  // Byte by byte: a caller's copy of the tensor may lie at any address.
  std::memcpy(static_cast<void*>(&copy), static_cast<const void*>(state), sizeof(copy));
  return copy;
}

// The table that a state tensor or its copy leads to; nullptr before the first
// Invoke.
VariableTable* TableOf(const TrainState* state) {
  const TrainState copy = CopyOf(state);
  if (copy.magic != kStateMagic || copy.abi_version != kAbiVersion) return nullptr;
  const uint64_t address = (static_cast<uint64_t>(copy.table_hi) << 32) | copy.table_lo;
  return reinterpret_cast<VariableTable*>(static_cast<uintptr_t>(address));
}

// As TableOf, and the live tensor holds weights too (a copy may be stale).
VariableTable* ReadyTableOf(const TrainState* state) {
  VariableTable* table = TableOf(state);
  return table != nullptr && table->state->magic == kStateMagic ? table : nullptr;
}

// Everything about a header but its checksum.
StateStatus CheckHeader(const uint8_t* header, const TrainState& state, size_t blob_size) {
  if (GetWord(header, 0) != kBlobMagic) return StateStatus::kNotABlob;
  if (GetWord(header, 4) != (kBlobVersion | kStateHeaderBytes << 16)) {
    return StateStatus::kWrongVersion;
  }
  if (GetWord(header, 8) != state.fingerprint_lo || GetWord(header, 12) != state.fingerprint_hi) {
    return StateStatus::kWrongModel;
  }
  if (GetWord(header, 24) != state.payload_bytes ||
      blob_size - kStateHeaderBytes != state.payload_bytes) {
    return StateStatus::kWrongSize;
  }
  return StateStatus::kOk;
}

// The variables' values. crc: of the header before its checksum.
StateStatus CheckPayload(const VariableTable& table, const BlobSource& source, uint32_t crc,
                         uint32_t checksum) {
  bool valid = true;
  size_t at = kStateHeaderBytes;
  for (uint32_t i = 0; i < table.count; ++i) {
    const VariableEntry& entry = table.entries[i];
    for (size_t done = 0; done < entry.bytes;) {
      uint8_t piece[64];
      const size_t left = entry.bytes - done;
      const size_t bytes = left < sizeof(piece) ? left : sizeof(piece);
      if (!source.read(source.context, at + done, piece, bytes)) return StateStatus::kStorageFailed;
      crc = UpdateCrc32(crc, piece, bytes);
      valid = valid && (!entry.are_weights || AreReachable(piece, bytes));
      done += bytes;
    }
    at += entry.bytes;
  }
  if (checksum != ~crc) return StateStatus::kWrongChecksum;
  return valid ? StateStatus::kOk : StateStatus::kWrongValues;
}

struct MemoryCursor {
  uint8_t* at;
};

bool WriteMemory(void* context, const void* data, size_t size) {
  MemoryCursor* cursor = static_cast<MemoryCursor*>(context);
  std::memcpy(cursor->at, data, size);
  cursor->at += size;
  return true;
}

bool ReadMemory(void* context, size_t offset, void* data, size_t size) {
  std::memcpy(data, static_cast<const uint8_t*>(context) + offset, size);
  return true;
}

}  // namespace

void StateInitialize(const RestoreParams& params, VariableTable* table) {
  StepState* const live = table->state;
  std::memset(static_cast<void*>(live), 0, sizeof(*live));
  live->abi_version = kAbiVersion;
  live->seed = params.seed;
  live->magic = kStateMagic;
}

void StateDescribe(const RestoreParams& params, const VariableTable& table, TrainState* state) {
  const StepState live = *table.state;
  const uint64_t address = reinterpret_cast<uintptr_t>(&table);
  std::memset(static_cast<void*>(state), 0, sizeof(*state));
  static_cast<StepState&>(*state) = live;
  state->fingerprint_lo = params.fingerprint_lo;
  state->fingerprint_hi = params.fingerprint_hi;
  state->table_lo = static_cast<uint32_t>(address);
  state->table_hi = static_cast<uint32_t>(address >> 32);
  state->variable_count = table.count;
  for (uint32_t i = 0; i < table.count; ++i) state->payload_bytes += table.entries[i].bytes;
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
    case StateStatus::kStorageFailed:
      return "the storage failed";
    case StateStatus::kInvokeFailed:
      return "Invoke() failed: the interpreter's log says why";
    case StateStatus::kWrongValues:
      return "not of this program's training: it holds weights of -128";
  }
  return "unknown status";
}

size_t StateSize(const TrainState* state) {
  const VariableTable* table = ReadyTableOf(state);
  return table == nullptr ? 0 : kStateHeaderBytes + CopyOf(state).payload_bytes;
}

StateStatus StateSaveTo(const TrainState* state, const BlobSink& sink) {
  const VariableTable* table = ReadyTableOf(state);
  if (table == nullptr) return StateStatus::kNotReady;
  const TrainState copy = CopyOf(state);
  const StepState& live = *table->state;
  uint8_t header[kStateHeaderBytes];
  PutWord(header, 0, kBlobMagic);
  PutWord(header, 4, kBlobVersion | kStateHeaderBytes << 16);
  PutWord(header, 8, copy.fingerprint_lo);
  PutWord(header, 12, copy.fingerprint_hi);
  PutWord(header, 16, live.step);
  PutWord(header, 20, live.seed);
  PutWord(header, 24, copy.payload_bytes);
  uint32_t crc = UpdateCrc32(kCrc32Start, header, kChecksumOffset);
  for (uint32_t i = 0; i < table->count; ++i) {
    crc = UpdateCrc32(crc, table->entries[i].data, table->entries[i].bytes);
  }
  PutWord(header, kChecksumOffset, ~crc);
  if (!sink.write(sink.context, header, sizeof(header))) return StateStatus::kStorageFailed;
  for (uint32_t i = 0; i < table->count; ++i) {
    const VariableEntry& entry = table->entries[i];
    if (!sink.write(sink.context, entry.data, entry.bytes)) return StateStatus::kStorageFailed;
  }
  return StateStatus::kOk;
}

StateStatus StateSave(const TrainState* state, void* blob, size_t capacity) {
  const size_t size = StateSize(state);
  if (size == 0) return StateStatus::kNotReady;
  if (capacity < size) return StateStatus::kTooSmall;
  MemoryCursor cursor = {static_cast<uint8_t*>(blob)};
  return StateSaveTo(state, {WriteMemory, &cursor});
}

StateStatus StateLoadFrom(const TrainState* state, const BlobSource& source) {
  const VariableTable* table = ReadyTableOf(state);
  if (table == nullptr) return StateStatus::kNotReady;
  StepState& live = *table->state;
  uint8_t header[kStateHeaderBytes];
  if (source.size < sizeof(header)) return StateStatus::kNotABlob;
  if (!source.read(source.context, 0, header, sizeof(header))) return StateStatus::kStorageFailed;
  const StateStatus status = CheckHeader(header, CopyOf(state), source.size);
  if (status != StateStatus::kOk) return status;
  const StateStatus payload =
      CheckPayload(*table, source, UpdateCrc32(kCrc32Start, header, kChecksumOffset),
                   GetWord(header, kChecksumOffset));
  if (payload != StateStatus::kOk) return payload;
  size_t at = sizeof(header);
  for (uint32_t i = 0; i < table->count; ++i) {
    const VariableEntry& entry = table->entries[i];
    if (!source.read(source.context, at, entry.data, entry.bytes)) {
      StateReset(state);
      return StateStatus::kStorageFailed;
    }
    at += entry.bytes;
  }
  live.step = GetWord(header, 16);
  live.seed = GetWord(header, 20);
  return StateStatus::kOk;
}

StateStatus StateLoad(const TrainState* state, const void* blob, size_t size) {
  return StateLoadFrom(state, {ReadMemory, const_cast<void*>(blob), size});
}

StateStatus StateReset(const TrainState* state) {
  VariableTable* table = TableOf(state);
  if (table == nullptr) return StateStatus::kNotReady;
  table->state->magic = 0;
  return StateStatus::kOk;
}

Latent StateLatent(const TrainState* state) {
  if (ReadyTableOf(state) == nullptr) return {nullptr, 0};
  const TrainState copy = CopyOf(state);
  const uint64_t address = (static_cast<uint64_t>(copy.latent_hi) << 32) | copy.latent_lo;
  return {reinterpret_cast<int8_t*>(static_cast<uintptr_t>(address)), copy.latent_bytes};
}

uint32_t StateStep(const TrainState* state) {
  const VariableTable* table = ReadyTableOf(state);
  return table == nullptr ? 0 : table->state->step;
}

}  // namespace tflm_train
