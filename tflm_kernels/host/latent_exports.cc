// The latent store as plain C functions, so that tests can compare it with its twin in Python.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "tflm_kernels/state/latent_store.h"
#include "tflm_kernels/state/replay.h"

namespace {

using tflm_train::LatentBalance;
using tflm_train::LatentFormat;
using tflm_train::LatentStore;
using tflm_train::LatentStoreSize;
using tflm_train::RamStorage;
using tflm_train::Replay;
using tflm_train::StorageSize;

// A store, its memory, its storage where it has one, and a replay.
struct HostStore {
  HostStore(const LatentFormat& format, const LatentStoreSize& size, size_t bytes, void* memory,
            uint32_t replay_seed)
      : ram(nullptr, {0, 1, 1}),
        store(format, size, memory, bytes),
        replay(&store, replay_seed),
        memory(memory) {}

  HostStore(const LatentFormat& format, const LatentStoreSize& size, const StorageSize& flash,
            void* flash_memory, size_t bytes, void* memory, uint32_t replay_seed)
      : ram(flash_memory, flash),
        store(format, size, ram.storage(), memory, bytes),
        replay(&store, replay_seed),
        memory(memory) {}

  RamStorage ram;
  LatentStore store;
  Replay replay;
  void* memory;
};

}  // namespace

extern "C" {

// Labels are int32 classes. balance: a LatentBalance. flash: bytes, erase block and program unit of a
// storage in `flash_memory`; null for a store in RAM. Fingerprint 0. To be given back to
// TflmTrainLatentClose.
HostStore* TflmTrainLatentNew(uint32_t latent_bytes, uint32_t balance, uint32_t records,
                              uint32_t groups, uint32_t seed, uint32_t replay_seed,
                              const uint32_t* flash, void* flash_memory) {
  const LatentFormat format = {0, 0, latent_bytes, sizeof(int32_t), true};
  const LatentStoreSize size = {static_cast<uint16_t>(records), static_cast<uint16_t>(groups), seed,
                                static_cast<LatentBalance>(balance)};
  void* place = std::malloc(sizeof(HostStore));
  if (flash == nullptr) {
    const size_t bytes = tflm_train::LatentRamBytes(format, records, groups);
    return new (place) HostStore(format, size, bytes, std::malloc(bytes), replay_seed);
  }
  const size_t bytes = tflm_train::LatentFlashBytes(records, groups, flash[2]);
  return new (place) HostStore(format, size, {flash[0], flash[1], flash[2]}, flash_memory, bytes,
                               std::malloc(bytes), replay_seed);
}

void TflmTrainLatentClose(HostStore* store) {
  std::free(store->memory);
  std::free(store);
}

uint32_t TflmTrainLatentCapacity(uint32_t payload_bytes, uint32_t groups, const uint32_t* flash) {
  const StorageSize size = {flash[0], flash[1], flash[2]};
  return static_cast<uint32_t>(tflm_train::PlanLatentLog(size, payload_bytes, groups).capacity);
}

// These return a LatentStatus.
int32_t TflmTrainLatentOpen(HostStore* store) { return static_cast<int32_t>(store->store.Open()); }

int32_t TflmTrainLatentAdd(HostStore* store, const void* latent, const void* label,
                           uint32_t domain) {
  return static_cast<int32_t>(store->store.Add(latent, label, static_cast<uint16_t>(domain)));
}

int32_t TflmTrainLatentRead(HostStore* store, uint32_t index, void* latent, void* label,
                            uint16_t* domain) {
  return static_cast<int32_t>(store->store.Read(index, latent, label, domain));
}

int32_t TflmTrainLatentCheckpoint(HostStore* store) {
  return static_cast<int32_t>(store->store.Checkpoint());
}

// Numbers written, erases, sectors.
void TflmTrainLatentWear(const HostStore* store, uint32_t* wear) {
  const tflm_train::LatentWear now = store->store.wear();
  wear[0] = now.written;
  wear[1] = now.erases;
  wear[2] = now.sectors;
}

// As if no sample had come: the next one is kept, whatever it is.
void TflmTrainLatentForgetCounts(HostStore* store) {
  tflm_train::Reservoir& reservoir = store->store.reservoir();
  for (size_t i = 0; i < reservoir.group_count(); ++i) reservoir.groups()[i].seen = 0;
}

// 0xFFFF: there is none.
uint32_t TflmTrainLatentDraw(HostStore* store) { return store->replay.Draw(); }
void TflmTrainLatentEpoch(HostStore* store) { store->replay.BeginEpoch(); }
uint32_t TflmTrainLatentNext(HostStore* store) { return store->replay.Next(); }

}  // extern "C"
