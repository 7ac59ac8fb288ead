// The store in flash. Only this file leads to the log: a store in RAM links without it.

#include "tflm_kernels/state/latent_store.h"

namespace tflm_train {
namespace {

constexpr LatentLogCalls kLogCalls = {
    [](LatentLog* log, size_t most_groups) { return log->Open(most_groups); },
    [](LatentLog* log) { return log->Clear(); },
    [](LatentLog* log, const LatentChoice& choice, const void* latent, const void* label) {
      return log->Write(choice, latent, label);
    },
    [](LatentLog* log, size_t index, void* latent, void* label, uint16_t* domain) {
      return log->Read(index, latent, label, domain);
    },
    [](LatentLog* log, bool all) { return log->WriteNotes(all); },
};

}  // namespace

LatentStore::LatentStore(const LatentFormat& format, const LatentStoreSize& size,
                         const Storage& storage, void* memory, size_t bytes)
    : LatentStore(
          format, size, storage, &kLogCalls,
          LatentFlashBytes(size.records, size.groups, storage.size(storage.context).program_unit),
          memory, bytes) {}

}  // namespace tflm_train
