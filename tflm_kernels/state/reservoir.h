// Which samples a store of fixed size keeps: class-balancing reservoir sampling
// (Chrysakis and Moens, "Online Continual Learning from Imbalanced Data", ICML
// 2020). What is balanced is a group: a class in a domain.
//
// While there is room every sample is kept. Then, of c the new sample's group, m
// how many records it has and n how many samples of it came so far, this one
// included: a group is full from the moment when none has more records. If c is
// not full, the sample replaces a random record of the largest groups; if it is,
// with probability m / n a random one of its own.
//
// tflm_train/runtime/latent_store.py is the twin, decision for decision.

#ifndef TFLM_KERNELS_STATE_RESERVOIR_H_
#define TFLM_KERNELS_STATE_RESERVOIR_H_

#include <cstddef>
#include <cstdint>

#include "tflm_kernels/spec/numerics.h"

namespace tflm_train {

// Random numbers that depend only on a seed and on how many were drawn before:
// number k is Hash(Hash(k) + seed), with the hash of docs/NUMERICS.md.
struct CounterRandom {
  uint32_t seed;
  uint32_t draws;

  // In [0, limit): the product with the limit, divided by 2^32.
  uint32_t Below(uint32_t limit) {
    const uint32_t bits = Hash(Hash(draws++) + seed);
    return static_cast<uint32_t>((static_cast<uint64_t>(bits) * limit) >> 32);
  }
};

constexpr uint32_t kMostSeen = 0x7FFFFFFF;   // where counting stops
constexpr uint32_t kGroupFull = 0x80000000;  // beside the count

// What the sampling knows of a class in a domain.
struct LatentGroup {
  int32_t label;
  uint16_t domain;
  uint16_t records;
  uint32_t seen;   // samples of it that came, and kGroupFull
  uint32_t saved;  // `seen` as it was last written to flash

  uint32_t count() const { return seen & kMostSeen; }
  bool is_full() const { return (seen & kGroupFull) != 0; }

  // What is known from elsewhere: the larger count, and full once full.
  void Merge(uint32_t other) {
    const uint32_t larger = (other & kMostSeen) > count() ? other & kMostSeen : count();
    seen = larger | ((seen | other) & kGroupFull);
  }
};

constexpr uint16_t kNone = 0xFFFF;

// A record's place in the index.
struct LatentRecord {
  uint16_t group;  // kNone: there is no record
  uint16_t slot;   // where it lies in flash
  uint16_t order;  // of an epoch: which record comes at this place
};

// A decision, not yet carried out.
struct LatentChoice {
  uint16_t index;  // of the record to write; kNone: the sample is not kept
  uint16_t group;
  uint32_t seen;  // the group's, with this sample
  uint32_t draws_before;
};

class Reservoir {
 public:
  // The memory is the caller's: [capacity] and [most_groups], both below kNone.
  Reservoir(LatentRecord* records, size_t capacity, LatentGroup* groups, size_t most_groups)
      : records_(records), capacity_(capacity), groups_(groups), most_groups_(most_groups) {}

  // Forgets everything.
  void Reset(uint32_t seed);

  // The group of a class in a domain, made if need be; kNone: there are too many.
  // Groups lie in ascending order of (domain, label): those behind a new one move.
  uint16_t Group(int32_t label, uint16_t domain);

  // Decides on a new sample, which counts from Count on. False: it is of one group
  // too many.
  bool Choose(int32_t label, uint16_t domain, LatentChoice* choice);

  // The sample came: what was chosen is done.
  void Count(const LatentChoice& choice);

  // The sample never came, nor its group if that is new: what was chosen could not
  // be written.
  void Undo(const LatentChoice& choice);

  // A record of this group is at this index from now on.
  void Put(size_t index, uint16_t group);

  // The same of a record that was there before: it makes no group full.
  void Restore(size_t index, uint16_t group);

  // Once all are restored.
  void MarkFull();

  // Groups without a record are none any more: those that no sample came of, or all.
  void DropUnseenGroups();
  void DropEmptyGroups();

  // There is no record at this index any more.
  void Remove(size_t index);

  size_t capacity() const { return capacity_; }
  size_t size() const { return size_; }
  bool Has(size_t index) const { return records_[index].group != kNone; }
  LatentRecord* records() { return records_; }
  const LatentRecord* records() const { return records_; }
  LatentGroup* groups() { return groups_; }
  const LatentGroup* groups() const { return groups_; }
  size_t group_count() const { return group_count_; }
  CounterRandom& random() { return random_; }

  // The index of the `number`th record of a group, in ascending order.
  size_t RecordOf(uint16_t group, uint32_t number) const;

 private:
  uint16_t Largest() const;
  void DropGroup(size_t at);
  uint16_t Place(uint16_t number, uint32_t count);

  LatentRecord* records_;
  size_t capacity_;
  LatentGroup* groups_;
  size_t most_groups_;
  size_t size_ = 0;
  size_t group_count_ = 0;
  CounterRandom random_ = {};
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_RESERVOIR_H_
