#include "tflm_kernels/state/replay.h"

namespace tflm_train {

uint16_t Replay::Draw() {
  const Reservoir& reservoir = store_->reservoir();
  uint32_t groups = 0;
  for (size_t i = 0; i < reservoir.group_count(); ++i) {
    groups += reservoir.groups()[i].records > 0;
  }
  if (groups == 0) return kNone;
  uint32_t left = random_.Below(groups);
  uint16_t group = 0;
  while (reservoir.groups()[group].records == 0 || left-- > 0) ++group;
  const uint32_t number = random_.Below(reservoir.groups()[group].records);
  return static_cast<uint16_t>(reservoir.RecordOf(group, number));
}

void Replay::BeginEpoch() {
  LatentRecord* records = store_->reservoir().records();
  count_ = next_ = 0;
  for (size_t i = 0; i < store_->capacity(); ++i) {
    if (store_->Has(i)) records[count_++].order = static_cast<uint16_t>(i);
  }
  for (size_t last = count_; last-- > 1;) {
    const size_t other = random_.Below(static_cast<uint32_t>(last + 1));
    const uint16_t index = records[last].order;
    records[last].order = records[other].order;
    records[other].order = index;
  }
}

uint16_t Replay::Next() {
  while (!AtEnd()) {
    const uint16_t index = store_->reservoir().records()[next_++].order;
    if (store_->Has(index)) return index;
  }
  return kNone;
}

}  // namespace tflm_train
