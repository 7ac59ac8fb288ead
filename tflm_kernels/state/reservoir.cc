#include "tflm_kernels/state/reservoir.h"

namespace tflm_train {

void Reservoir::Reset(uint32_t seed) {
  for (size_t i = 0; i < capacity_; ++i) records_[i] = {kNone, kNone, 0};
  size_ = group_count_ = 0;
  random_ = {seed, 0};
}

uint16_t Reservoir::Group(int32_t label, uint16_t domain) {
  size_t at = 0;
  while (at < group_count_ && (groups_[at].domain < domain ||
                               (groups_[at].domain == domain && groups_[at].label < label))) {
    ++at;
  }
  if (at < group_count_ && groups_[at].domain == domain && groups_[at].label == label) {
    return static_cast<uint16_t>(at);
  }
  if (group_count_ == most_groups_) return kNone;
  for (size_t i = group_count_; i > at; --i) groups_[i] = groups_[i - 1];
  ++group_count_;
  groups_[at] = {label, domain, 0, 0, 0};
  for (size_t i = 0; i < capacity_; ++i) {
    if (records_[i].group != kNone && records_[i].group >= at) ++records_[i].group;
  }
  return static_cast<uint16_t>(at);
}

bool Reservoir::Choose(int32_t label, uint16_t domain, LatentChoice* choice) {
  const uint16_t number = Group(label, domain);
  if (number == kNone) return false;
  const LatentGroup& group = groups_[number];
  choice->group = number;
  choice->seen = group.count() < kMostSeen ? group.seen + 1 : group.seen;
  choice->draws_before = random_.draws;
  choice->index = Place(number, choice->seen & kMostSeen);
  return true;
}

void Reservoir::Count(const LatentChoice& choice) { groups_[choice.group].Merge(choice.seen); }

void Reservoir::Undo(const LatentChoice& choice) {
  random_.draws = choice.draws_before;
  DropUnseenGroups();
}

uint16_t Reservoir::Largest() const {
  uint16_t most = 0;
  for (size_t i = 0; i < group_count_; ++i) {
    if (groups_[i].records > most) most = groups_[i].records;
  }
  return most;
}

uint16_t Reservoir::Place(uint16_t number, uint32_t count) {
  const LatentGroup& group = groups_[number];
  if (size_ < capacity_) {
    uint16_t vacant = 0;
    while (Has(vacant)) ++vacant;
    return vacant;
  }
  if (group.is_full() && group.records > 0) {
    if (random_.Below(count) >= group.records) return kNone;
    return static_cast<uint16_t>(RecordOf(number, random_.Below(group.records)));
  }
  const uint16_t most = Largest();
  uint32_t candidates = 0;
  for (size_t i = 0; i < capacity_; ++i) candidates += groups_[records_[i].group].records == most;
  uint32_t left = random_.Below(candidates);
  for (uint16_t i = 0;; ++i) {
    if (groups_[records_[i].group].records == most && left-- == 0) return i;
  }
}

size_t Reservoir::RecordOf(uint16_t group, uint32_t number) const {
  for (size_t i = 0;; ++i) {
    if (records_[i].group == group && number-- == 0) return i;
  }
}

void Reservoir::Put(size_t index, uint16_t group) {
  Restore(index, group);
  MarkFull();
}

void Reservoir::Restore(size_t index, uint16_t group) {
  Remove(index);
  records_[index].group = group;
  ++groups_[group].records;
  ++size_;
}

void Reservoir::MarkFull() {
  if (size_ < capacity_) return;
  const uint16_t most = Largest();
  for (size_t i = 0; i < group_count_; ++i) {
    if (groups_[i].records == most) groups_[i].seen |= kGroupFull;
  }
}

void Reservoir::DropUnseenGroups() {
  for (size_t at = group_count_; at-- > 0;) {
    if (groups_[at].count() == 0 && groups_[at].records == 0) DropGroup(at);
  }
}

void Reservoir::DropEmptyGroups() {
  for (size_t at = group_count_; at-- > 0;) {
    if (groups_[at].records == 0) DropGroup(at);
  }
}

void Reservoir::DropGroup(size_t at) {
  --group_count_;
  for (size_t i = at; i < group_count_; ++i) groups_[i] = groups_[i + 1];
  for (size_t i = 0; i < capacity_; ++i) {
    if (Has(i) && records_[i].group > at) --records_[i].group;
  }
}

void Reservoir::Remove(size_t index) {
  if (!Has(index)) return;
  --groups_[records_[index].group].records;
  records_[index].group = kNone;
  --size_;
}

}  // namespace tflm_train
