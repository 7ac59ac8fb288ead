// The store in flash. Only this file leads to the log: a store in RAM links without it.

#include "tflm_kernels/state/latent_store.h"

namespace tflm_train {
namespace {

LatentStatus Open(LatentLog* log, size_t most_groups) { return log->Open(most_groups); }

LatentStatus Clear(LatentLog* log) { return log->Clear(); }

LatentStatus Write(LatentLog* log, const LatentChoice& choice, const void* latent,
                   const void* label) {
  return log->Write(choice, latent, label);
}

LatentStatus Read(LatentLog* log, size_t index, void* latent, void* label, uint16_t* domain) {
  return log->Read(index, latent, label, domain);
}

LatentStatus WriteNotes(LatentLog* log, bool all) { return log->WriteNotes(all); }

constexpr LatentLogCalls kLogCalls = {Open, Clear, Write, Read, WriteNotes};

}  // namespace

LatentStore::LatentStore(const LatentFormat& format, const LatentStoreSize& size,
                         const Storage& storage, void* memory, size_t bytes)
    : LatentStore(
          format, size, storage, &kLogCalls,
          LatentFlashBytes(size.records, size.groups, storage.size(storage.context).program_unit),
          memory, bytes) {}

}  // namespace tflm_train
