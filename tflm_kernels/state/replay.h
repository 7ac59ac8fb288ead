// Learns stored samples again, by random numbers of its own.
//
// Between new samples, against forgetting: a random record of a random group, each
// group alike, so that what is rare in the store is not rare in the replay.
//
//   Replay replay(&store, seed);
//   auto learn = [&] { return trainer.TrainFromLatent(label, rate) >= 0.0f; };
//   trainer.Train(new_label, rate);                          // a new sample
//   replay.LearnStored(4, trainer.latent(), &label, learn);  // and four old ones
//
// While idle: all records in shuffled order, one at a time.
//
//   if (replay.AtEnd()) replay.BeginEpoch();
//   replay.LearnNext(trainer.latent(), &label, learn);
//
// tflm_train/runtime/latent_store.py is the twin.

#ifndef TFLM_KERNELS_STATE_REPLAY_H_
#define TFLM_KERNELS_STATE_REPLAY_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/state/latent_store.h"

namespace tflm_train {

class Replay {
 public:
  // One replay at a time goes through epochs: their order lies in the store.
  Replay(LatentStore* store, uint32_t seed) : store_(store), random_{seed, 0} {}

  // The index of a random record of a random group; kNone: there is no record.
  uint16_t Draw();

  // A new order (Fisher and Yates, in Durstenfeld's form) of what is there now.
  void BeginEpoch();

  bool AtEnd() const { return next_ >= count_; }

  // The next record of the epoch; kNone: the epoch is over.
  uint16_t Next();

  // Learns from `count` stored samples.
  //
  //   latent   where they are read to: Trainer::latent()
  //   label    [label_bytes], likewise
  //   learn    bool(): a training step on both; false: it failed
  //
  // Returns how many were learned: fewer where a step failed, or none is stored.
  template <typename Learn>
  size_t LearnStored(size_t count, void* latent, void* label, Learn learn) {
    size_t learned = 0;
    while (learned < count) {
      const uint16_t index = Draw();
      if (index == kNone) break;
      // What cannot be read is no record any more: another is drawn. A store that is not open keeps
      // what it cannot give.
      const LatentStatus status = store_->Read(index, latent, label, nullptr);
      if (status == LatentStatus::kNoRecord) continue;
      if (status != LatentStatus::kOk || !learn()) break;
      ++learned;
    }
    return learned;
  }

  // Learns from the next sample of the epoch. False: a step failed, or the epoch
  // is over.
  template <typename Learn>
  bool LearnNext(void* latent, void* label, Learn learn) {
    for (;;) {
      const uint16_t index = Next();
      if (index == kNone) return false;
      if (store_->Read(index, latent, label, nullptr) == LatentStatus::kOk) return learn();
    }
  }

 private:
  LatentStore* store_;
  CounterRandom random_;
  size_t count_ = 0;
  size_t next_ = 0;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_REPLAY_H_
