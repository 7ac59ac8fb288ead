// Power cuts in a row: of the record whose mark was being programmed at the first one, and of
// whatever the store does with it afterwards; and of anything, up to sixteen times.

#if !defined(TFLM_TRAIN_SMALL_TARGET) && !defined(TFLM_TRAIN_MEDIUM_TARGET)

#include "tests/cpp/campaign.h"
#include "tests/cpp/flash_simulator.h"
#include "tests/cpp/harness.h"
#include "tests/cpp/latent_device.h"

namespace tflm_train_test {
namespace {

using tflm_train::LogLayout;
using tflm_train::LogRoundUp;
using tflm_train::PlanLatentLog;

// Every unit with words of 4 bytes, every few with others; emulated boards go through a part.
#if defined(__arm__) || defined(__riscv) || defined(__aarch64__)
constexpr size_t kUnits[] = {1, 8, 64};
constexpr size_t kCutEvery = 32;
constexpr uint32_t kHistoriesEach = 4;
constexpr uint32_t kGapHistories = 100;
#else
constexpr size_t kUnits[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
constexpr size_t kCutEvery = 4;
constexpr uint32_t kHistoriesEach = 40;
constexpr uint32_t kGapHistories = 4000;
#endif
constexpr uint32_t kHistories[] = {3, 9, 10, 11, 13};
constexpr size_t kSectors[] = {2, 4};
constexpr Cut kCuts[] = {Cut::kTorn, Cut::kEcc, Cut::kMarginal, Cut::kHeld};
constexpr const char* kCutNames[] = {"torn", "unreadable", "marginal", "held for a power-up"};
constexpr size_t kPayloadBytes = kFormat.label_bytes + kFormat.latent_bytes;

// A few sectors with a number of slots each.
constexpr StorageSize Sectors(size_t sectors, size_t slots, size_t unit) {
  const size_t header =
      LogRoundUp(tflm_train::kLogHeaderBytes + kGroups * tflm_train::kLogGroupBytes, unit) +
      tflm_train::CommitMarks::Bytes(unit);
  const size_t slot = LogRoundUp(tflm_train::kLogEntryBytes + kPayloadBytes, unit) +
                      LogRoundUp(tflm_train::kLogMarkBytes, unit);
  const size_t bytes = header + slots * slot;
  return {sectors * bytes, bytes, unit};
}

// The records whose writing was cut, each with what was there before: where their marks are in doubt
// they may come and go.
constexpr int kMostCuts = 4;
constexpr int kMostInARow = 16;
struct InDoubt {
  int cuts = 0;
  uint32_t numbers[kMostInARow];
  Contents before[kMostInARow];
  Contents now;

  // As if none of them had come.
  Contents Without(Contents contents) const {
    for (int cut = cuts - 1; cut >= 0; --cut) {
      for (size_t i = 0; i < kRecords; ++i) {
        if (contents.numbers[i] == numbers[cut]) contents.numbers[i] = before[cut].numbers[i];
      }
    }
    return contents;
  }

  void Cut(uint32_t number) {
    numbers[cuts] = number;
    before[cuts++] = now;
  }
};

// Samples until the supply fails, or every sector was erased. Nothing gets lost on the way.
void AddUntilOff(Device& device, InDoubt* doubt, uint32_t number, size_t budget) {
  device.flash.Power(budget);
  const uint64_t enough = device.flash.erased() + device.size().bytes;
  LatentStore store = device.Store();
  EXPECT_EQ(store.Open(), LatentStatus::kOk);
  doubt->now = doubt->Without(ContentsOf(store));
  while (device.flash.erased() < enough) {
    const LatentStatus status = AddNumber(store, ++number);
    if (device.flash.off()) return doubt->Cut(number);
    if (status != LatentStatus::kNotKept) EXPECT_EQ(status, LatentStatus::kOk);
    const Contents now = doubt->Without(ContentsOf(store));
    EXPECT_TRUE(IsBeforeOrAfter(now, doubt->now, number));
    doubt->now = now;
  }
}

// Adds a sample and cuts the power while its mark is programmed.
bool CutMark(Device& device, uint32_t number) {
  const LogLayout layout = PlanLatentLog(device.size(), kPayloadBytes, kGroups);
  size_t cost = SIZE_MAX;
  for (size_t budget = 0; budget < cost; budget += device.size().program_unit) {
    device.Restore();
    device.flash.Seed(static_cast<uint32_t>(budget) + number);
    device.flash.Power(kNoCut);
    LatentStore store = device.Store();
    store.Open();
    device.flash.Power(budget);
    AddNumber(store, number);
    if (!device.flash.off()) break;
    const size_t at = device.flash.cut_at();
    if (at == kNoCut) continue;
    const size_t in_sector = at % layout.sector_bytes;
    if (in_sector < layout.header_bytes ||
        (in_sector - layout.header_bytes) % layout.slot_bytes != layout.entry_bytes) {
      continue;
    }
    device.flash.Power(kNoCut);
    // Behind the slot's header and the label the latent begins with its number.
    constexpr size_t kNumberAt = tflm_train::kLogEntryBytes + kFormat.label_bytes;
    uint8_t slot[kNumberAt + sizeof(uint32_t)] = {};
    const auto storage = device.flash.storage();
    storage.read(storage.context, at - layout.entry_bytes, slot, sizeof(slot));
    const bool is_note = slot[0] == (tflm_train::kLogNote & 0xFF) && slot[1] == 0xFF;
    if (!is_note && std::memcmp(slot + kNumberAt, &number, sizeof(number)) == 0) return true;
  }
  return false;
}

// The store keeps what has no mark where its copy was cut, and all the rest.
void CutMarkAndThenEverywhere(Device& device, uint32_t history) {
  device.flash.Power(kNoCut);
  {
    LatentStore store = device.Store();
    store.Open();
    EXPECT_EQ(store.Clear(), LatentStatus::kOk);
    for (uint32_t number = 1; number <= history; ++number) AddNumber(store, number);
  }
  device.Snapshot();
  const uint32_t first = history + 1;
  InDoubt one_cut = {};
  one_cut.now = device.Reopened();
  EXPECT_TRUE(CutMark(device, first));
  one_cut.Cut(first);
  device.Snapshot();
  InDoubt none = one_cut;
  AddUntilOff(device, &none, first, kNoCut);
  const size_t cost = device.flash.cost();
  const size_t unit = device.size().program_unit;
  tflm_train::CounterRandom random = {history, 0};
#if defined(__arm__) || defined(__riscv) || defined(__aarch64__)
  const size_t step = unit * kCutEvery;
#else
  const size_t step = unit == 4 ? unit : unit * kCutEvery;
#endif
  for (size_t budget = history * unit % step; budget < cost; budget += step) {
    device.Restore();
    device.flash.Seed(static_cast<uint32_t>(budget) * 97 + history);
    InDoubt doubt = one_cut;
    AddUntilOff(device, &doubt, first, budget);
    // Nothing is lost later either, wherever it fails again.
    for (uint32_t again = 1; doubt.cuts < kMostCuts; ++again) {
      for (int twice = 0; twice < 2; ++twice) {
        EXPECT_EQ(Changes(doubt.Without(device.Reopened()), doubt.now), 0);
      }
      const size_t further = random.Below(static_cast<uint32_t>(cost / unit / 2)) * unit;
      AddUntilOff(device, &doubt, first + 1000 * again, further);
    }
    AddUntilOff(device, &doubt, first + 1000 * kMostCuts, kNoCut);
  }
}

// Some samples, then as many cuts in a row as there may be: half of them within the next few slots,
// where the store still recovers. Then all is there that was, for good.
class History {
 public:
  History(Device& device, uint32_t seed) : device_(device), random_{seed, 0} {
    device.flash.Seed(seed);
    device.flash.Power(kNoCut);
    LatentStore store = device.Store();
    store.Open();
    EXPECT_EQ(store.Clear(), LatentStatus::kOk);
    AddSome(store, 1 + random_.Below(40));
    now_ = ContentsOf(store);
  }

  // Returns how many cuts there were.
  int Go() {
    const int cuts = 1 + static_cast<int>(random_.Below(kMostInARow));
    InDoubt doubt = {};
    doubt.now = now_;
    while (doubt.cuts < cuts) {
      AddUntilOff(device_, &doubt, Numbers(), Budget());
      // Now and then all sectors are written again in between.
      if (random_.Below(8) == 0) AddUntilOff(device_, &doubt, Numbers(), kNoCut);
    }
    for (int again = 0; again < 3; ++again) {
      EXPECT_EQ(Changes(doubt.Without(device_.Reopened()), doubt.now), 0);
    }
    AddUntilOff(device_, &doubt, Numbers(), kNoCut);
    EXPECT_EQ(Changes(doubt.Without(device_.Reopened()), doubt.now), 0);
    LatentStore store = device_.Store();
    store.Open();
    now_ = ContentsOf(store);
    return cuts;
  }

 private:
  void AddSome(LatentStore& store, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) AddNumber(store, ++number_);
  }

  // Of a power-up.
  uint32_t Numbers() { return number_ += 1000; }

  size_t Budget() {
    const LogLayout layout = PlanLatentLog(device_.size(), kPayloadBytes, kGroups);
    const size_t most[] = {6 * layout.unit, 3 * layout.slot_bytes, layout.sector_bytes,
                           device_.size().bytes};
    const uint32_t bytes = static_cast<uint32_t>(most[random_.Below(4)]);
    return random_.Below(bytes);
  }

  Device& device_;
  tflm_train::CounterRandom random_;
  uint32_t number_ = 0;
  Contents now_;
};

TEST(LatentStore, LosesNothingInManyCutsInARow) {
  uint64_t histories = 0;
  uint64_t cuts = 0;
  for (const size_t unit : kUnits) {
    for (size_t kind = 0; kind < 4; ++kind) {
      for (const size_t sectors : kSectors) {
        Case scope("LatentStore.CutsInARow", kCutNames[kind]);
        Device device(Sectors(sectors, sectors == 2 ? 9 : 6, unit), kCuts[kind]);
        const uint32_t count = unit > 256 ? 1 + kHistoriesEach / 8 : kHistoriesEach;
        for (uint32_t number = 0; number < count * Campaign(); ++number) {
          History history(device, number * 64 + static_cast<uint32_t>(unit));
          for (int i = 0; i < 3; ++i) cuts += static_cast<uint64_t>(history.Go());
          ++histories;
        }
      }
    }
  }
  if (Campaign() > 1) {
    PrintNumber("histories: ", histories);
    PrintNumber("power cuts in them: ", cuts);
  }
}

// Each power-up fails one program unit later than the one before, and what it had begun looks blank
// or does not.
TEST(LatentStore, LeavesAGapThatCutsInARowDoNotUseUp) {
  constexpr size_t kSomeUnits[] = {1, 16, 64};
  for (const size_t unit : kSomeUnits) {
    Case scope("LatentStore.Gap", kCutNames[3]);
    Device device(Sectors(2, 9, unit), Cut::kHeld);
    device.flash.Power(kNoCut);
    {
      LatentStore store = device.Store();
      store.Open();
      for (uint32_t number = 1; number <= 3; ++number) AddNumber(store, number);
    }
    device.Snapshot();
    for (uint32_t seed = 0; seed < kGapHistories; ++seed) {
      device.Restore();
      device.flash.Seed(seed);
      InDoubt doubt = {};
      uint32_t number = 1000;
      const size_t cuts = 1 + seed % tflm_train::kCutsBorne;
      for (size_t cut = 0; cut < cuts; ++cut) {
        AddUntilOff(device, &doubt, number += 1000, cut * unit);
      }
      device.flash.Power(kNoCut);
      LatentStore store = device.Store();
      store.Open();
      AddNumber(store, ++number);
      doubt.now = doubt.Without(ContentsOf(store));
      for (int again = 0; again < 3; ++again) {
        EXPECT_EQ(Changes(doubt.Without(device.Reopened()), doubt.now), 0);
      }
    }
  }
}

TEST(LatentStore, KeepsWhatHasNoMarkWhereItsCopyWasCut) {
  for (const size_t unit : kUnits) {
    for (size_t kind = 0; kind < 3; ++kind) {
      for (const size_t sectors : kSectors) {
        Case scope("LatentStore.Cuts", kCutNames[kind]);
        Device device(Sectors(sectors, sectors == 2 ? 9 : 6, unit), kCuts[kind]);
        for (const uint32_t history : kHistories) CutMarkAndThenEverywhere(device, history);
      }
    }
  }
}

}  // namespace
}  // namespace tflm_train_test

#endif
