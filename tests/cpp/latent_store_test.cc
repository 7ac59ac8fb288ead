// The latent store in flash, with the power cut at every byte that it programs or erases, and with
// an error at every call of the storage.

#if !defined(TFLM_TRAIN_SMALL_TARGET) && !defined(TFLM_TRAIN_MEDIUM_TARGET)

#include "tflm_kernels/state/latent_store.h"

#include "tests/cpp/campaign.h"
#include "tests/cpp/flash_simulator.h"
#include "tests/cpp/harness.h"
#include "tests/cpp/latent_device.h"
#include "tflm_kernels/state/replay.h"

namespace tflm_train_test {
namespace {

using tflm_train::LatentFlashCapacity;
using tflm_train::LatentRamBytes;

// Emulated boards go through a part.
#if defined(__arm__)
constexpr uint32_t kSamples = 8;
constexpr size_t kGoOnEvery = 64;
#else
constexpr uint32_t kSamples = 10;
constexpr size_t kGoOnEvery = 12;
#endif

struct Geometry {
  const char* name;
  StorageSize size;
  LatentFormat format = kFormat;
};

constexpr Geometry kGeometries[] = {
    {"two large blocks", {2 * 1024, 1024, 4}},
    {"many small blocks", {24 * 128, 128, 8}},
#if !defined(__arm__)
    {"wide program units", {6 * 512, 512, 32}},
    {"units of a byte", {4 * 600 + 77, 200, 1}},
    {"units larger than a record", {6 * 1280, 1280, 128}},
    {"long records", {4 * 2048, 2048, 8}, kLong},
#endif
};

constexpr Cut kCuts[] = {Cut::kTorn, Cut::kEcc, Cut::kMarginal};
constexpr const char* kCutNames[] = {"torn", "unreadable", "marginal"};

// The record whose writing was cut may come and go where its mark is in doubt: it is taken for the
// one before it.
Contents WithoutCut(Contents contents, const Contents& before, uint32_t cut) {
  for (size_t i = 0; i < kRecords; ++i) {
    if (contents.numbers[i] == cut) contents.numbers[i] = before.numbers[i];
  }
  return contents;
}

// Goes on after a cut until every sector has been written again; nothing may get lost on the way.
void GoOn(Device& device, const Contents& before, uint32_t cut) {
  Contents contents = before;
  const uint64_t enough = device.flash.erased() + 2 * device.size().bytes;
  uint32_t number = cut + 1000;
  for (int power_ups = 0; power_ups < 3; ++power_ups) {
    device.flash.Power(kNoCut);
    LatentStore store = device.Store();
    const LatentStatus opened = store.Open();
    EXPECT_TRUE(opened == LatentStatus::kOk || opened == LatentStatus::kEmpty);
    EXPECT_EQ(Changes(WithoutCut(ContentsOf(store), before, cut), contents), 0);
    for (int samples = 0; samples < 200; ++samples) {
      if (device.flash.erased() > enough || (power_ups == 0 && samples == 1)) break;
      const LatentStatus status = AddNumber(store, ++number);
      EXPECT_TRUE(status == LatentStatus::kOk || status == LatentStatus::kNotKept);
      const Contents now = WithoutCut(ContentsOf(store), before, cut);
      EXPECT_TRUE(IsBeforeOrAfter(now, contents, number));
      contents = now;
    }
  }
}

// Cuts the power at every byte of one Add. Returns the number of cuts.
size_t CutEverywhere(Device& device, uint32_t number) {
  const Contents before = device.Reopened();
  device.Snapshot();
  for (size_t budget = 0;; ++budget) {
    device.Restore();
    device.flash.Seed(static_cast<uint32_t>(budget) * 97 + number);
    device.flash.Power(kNoCut);
    LatentStore store = device.Store();
    store.Open();
    device.flash.Power(budget);
    AddNumber(store, number);
    if (!device.flash.off()) return budget;
    // What is in doubt may be read differently: at no power-up anything is lost.
    for (int again = 0; again < 3; ++again) {
      EXPECT_TRUE(IsBeforeOrAfter(device.Reopened(), before, number));
    }
    if ((budget + number) % kGoOnEvery == 0) GoOn(device, before, number);
  }
}

TEST(LatentStore, SurvivesACutAtEveryByte) {
  for (const Geometry& geometry : kGeometries) {
    for (size_t kind = 0; kind < 3; ++kind) {
      Case scope(geometry.name, kCutNames[kind]);
      Device device(geometry.size, kCuts[kind], geometry.format);
      size_t cuts = 0;
      for (uint32_t number = 1; number <= kSamples; ++number) {
        cuts += CutEverywhere(device, number);
        // The history goes on without the cut.
        device.Restore();
        device.flash.Power(kNoCut);
        LatentStore store = device.Store();
        store.Open();
        const LatentStatus status = AddNumber(store, number);
        EXPECT_TRUE(status == LatentStatus::kOk || status == LatentStatus::kNotKept);
      }
      EXPECT_TRUE(cuts > kSamples * kFormat.latent_bytes);
    }
  }
}

// Power fails at random, often while a store recovers from the time before.
TEST(LatentStore, SurvivesCutsAtRandom) {
  for (const Geometry& geometry : kGeometries) {
    for (size_t kind = 0; kind < 2; ++kind) {
      Case scope(geometry.name, kCutNames[kind]);
      Device device(geometry.size, kCuts[kind], geometry.format);
      tflm_train::CounterRandom random = {static_cast<uint32_t>(kind), 0};
      Contents contents = device.Reopened();
      uint32_t number = 0;
      for (uint32_t power_up = 0; power_up < 60 * kSamples; ++power_up) {
        device.flash.Seed(power_up);
        device.flash.Power(kNoCut);
        LatentStore store = device.Store();
        store.Open();
        device.flash.Power(random.Below(random.Below(4) == 0 ? 2000 : 200));
        const uint32_t first = number + 1;
        while (!device.flash.off() && number < first + 20) AddNumber(store, ++number);
        // Nothing is there but what was, or what came since; and no place is empty again.
        const Contents now = device.Reopened();
        for (size_t i = 0; i < kRecords; ++i) {
          EXPECT_TRUE(now.numbers[i] == contents.numbers[i] || now.numbers[i] >= first);
        }
        contents = now;
      }
    }
  }
}

// A driver that reports an error at one call, whichever: nothing is lost, and the next sample is
// taken as ever.
TEST(LatentStore, SurvivesAnErrorAtEveryCall) {
  uint64_t failures = 0;
  for (const Geometry& geometry : kGeometries) {
    Case scope("LatentStore.Error", geometry.name);
    Device device(geometry.size, Cut::kTorn, geometry.format);
    for (uint32_t number = 1; number <= kSamples; ++number) {
      const Contents before = device.Reopened();
      device.Snapshot();
      for (uint64_t call = 0;; ++call) {
        device.Restore();
        device.flash.Seed(static_cast<uint32_t>(call));
        device.flash.FailAt(call);
        LatentStore store = device.Store();
        const LatentStatus opened = store.Open();
        EXPECT_TRUE(opened == LatentStatus::kOk || opened == LatentStatus::kEmpty);
        AddNumber(store, number);
        const bool failed = device.flash.calls() > call;
        device.flash.FailAt(kNoError);
        EXPECT_TRUE(IsBeforeOrAfter(ContentsOf(store), before, number));
        EXPECT_TRUE(IsBeforeOrAfter(device.Reopened(), before, number));
        LatentStore next = device.Store();
        next.Open();
        const LatentStatus status = AddNumber(next, number);
        EXPECT_TRUE(status == LatentStatus::kOk || status == LatentStatus::kNotKept);
        if (!failed) break;
        ++failures;
      }
    }
  }
  if (Campaign() > 1) PrintNumber("storage calls that failed: ", failures);
}

// A class whose first sample could not be written takes no place among the groups, nor after a
// restart: the head's header may have been written before the record failed.
TEST(LatentStore, ForgetsAGroupWhoseFirstSampleFailed) {
  constexpr LatentStoreSize kTwoGroups = {2, 2, 77};
  const StorageSize size = kGeometries[1].size;
  const size_t bytes = LatentFlashBytes(2, 2, size.program_unit);
  uint8_t* memory = Guarded<uint8_t>(bytes);
  uint8_t latent[kMostLatent] = {};
  Device device(size, Cut::kTorn);
  device.Snapshot();
  const auto store_of = [&] {
    return LatentStore(kFormat, kTwoGroups, device.flash.storage(), memory, bytes);
  };
  int failed = 0;
  for (size_t budget = 0;; ++budget) {
    device.Restore();
    device.flash.Seed(static_cast<uint32_t>(budget));
    device.flash.Power(kNoCut);
    LatentStore store = store_of();
    EXPECT_EQ(store.Open(), LatentStatus::kEmpty);
    int32_t label = 10;
    device.flash.Power(budget);
    // Some of these fail, and then all.
    for (int i = 0; i < 6 && !device.flash.off(); ++i) store.Add(latent, &label, 0);
    if (!device.flash.off()) break;
    ++failed;
    const size_t there = store.size();
    device.flash.Power(kNoCut);
    for (label = 11; label < 13 - (there > 0 ? 1 : 0); ++label) {
      EXPECT_EQ(store.Add(latent, &label, 0), LatentStatus::kOk);
    }
    LatentStore again = store_of();
    EXPECT_EQ(again.Open(), LatentStatus::kOk);
    EXPECT_EQ(again.reservoir().group_count(), 2);
    EXPECT_EQ(again.size(), 2);
  }
  EXPECT_TRUE(failed > 100);
}

// Records and sector headers that go to flash in several pieces: what follows a piece that failed
// goes nowhere.
TEST(LatentStore, SurvivesAnErrorWithinALongRecord) {
  constexpr StorageSize kFlash = {4 * 2048, 2048, 8};
  constexpr uint32_t kAdded = 30;  // so that sectors are erased and records are moved
  uint8_t* flash_memory = Guarded<uint8_t>(2 * kFlash.bytes + kFlash.bytes / kFlash.program_unit);
  const size_t bytes = LatentFlashBytes(kRecords, kGroups, kFlash.program_unit);
  uint8_t* memory = Guarded<uint8_t>(bytes);
  int failed = 0;
  for (uint64_t call = 0;; call += kGoOnEvery / 4) {
    FlashSimulator flash(kFlash, Cut::kTorn, flash_memory, flash_memory + kFlash.bytes,
                         flash_memory + 2 * kFlash.bytes);
    flash.Seed(static_cast<uint32_t>(call));
    flash.Power(kNoCut);
    LatentStore store(kLong, kSize, flash.storage(), memory, bytes);
    EXPECT_EQ(store.Open(), LatentStatus::kEmpty);
    flash.FailAt(call);
    size_t kept = 0;
    for (uint32_t number = 0; number < kAdded; ++number) {
      uint8_t latent[kLong.latent_bytes];
      std::memset(latent, static_cast<int>(number), sizeof(latent));
      const int32_t label = static_cast<int32_t>(number % kGroups);
      const LatentStatus status = store.Add(latent, &label, 0);
      kept += status == LatentStatus::kOk;
      failed += status == LatentStatus::kStorageFailed;
      EXPECT_TRUE(status != LatentStatus::kWornOut);
      EXPECT_EQ(store.size(), kept < kRecords ? kept : kRecords);
    }
    for (size_t i = 0; i < store.size(); ++i) {
      uint8_t latent[kLong.latent_bytes];
      int32_t label = -1;
      EXPECT_EQ(store.Read(i, latent, &label, nullptr), LatentStatus::kOk);
      EXPECT_EQ(label, latent[0] % kGroups);
      EXPECT_EQ(latent[0], latent[kLong.latent_bytes - 1]);
    }
    if (flash.calls() <= call) break;
  }
  EXPECT_TRUE(failed < 10);  // most are written again at once
}

// Program units that can never be read: their records are not there, the store goes on.
TEST(LatentStore, GoesOnWithDeadUnits) {
  for (const Geometry& geometry : kGeometries) {
    Case scope("LatentStore.Dead", geometry.name);
    const StorageSize& size = geometry.size;
    const size_t units = size.bytes / size.program_unit;
    Device device(size, Cut::kTorn, geometry.format);
    device.Snapshot();
    for (size_t dead = 0; dead < units; dead += 1 + units / 50) {
      device.Restore();
      device.flash.Power(kNoCut);
      Contents before;
      {
        LatentStore store = device.Store();
        store.Open();
        for (uint32_t number = 1; number <= 12; ++number) AddNumber(store, number);
        before = ContentsOf(store);
        device.flash.Kill(dead);
        // Where a restart finds an older record in its place, so does the store as it goes on.
        const Contents found = ContentsOf(store);
        EXPECT_TRUE(Changes(found, before) <= 1);
        const Contents reopened = device.Reopened();
        for (size_t i = 0; i < kRecords; ++i) {
          EXPECT_TRUE(found.numbers[i] != 0 || reopened.numbers[i] == 0);
        }
      }
      LatentStore store = device.Store();
      EXPECT_EQ(store.Open(), LatentStatus::kOk);
      for (uint32_t number = 13; number < 60; ++number) AddNumber(store, number);
      const Contents after = device.Reopened();
      int there = 0;
      for (size_t i = 0; i < kRecords; ++i) there += after.numbers[i] != 0;
      EXPECT_EQ(there, kRecords);
    }
  }
}

TEST(LatentStore, RefusesAnotherModelUntilItIsCleared) {
  const StorageSize size = kGeometries[0].size;
  Device device(size, Cut::kTorn);
  device.flash.Power(kNoCut);
  LatentStore store = device.Store();
  EXPECT_EQ(AddNumber(store, 1), LatentStatus::kNotOpen);
  EXPECT_EQ(store.Open(), LatentStatus::kEmpty);
  for (uint32_t number = 1; number <= 4; ++number) EXPECT_EQ(AddNumber(store, number), 0);
  LatentFormat formats[] = {kFormat, kFormat, kFormat};
  formats[0].fingerprint_hi ^= 1;
  formats[1].latent_bytes -= 1;
  formats[2].label_bytes = 3;
  formats[2].is_class = false;
  uint8_t* memory = Guarded<uint8_t>(LatentFlashBytes(kRecords, kGroups, 4));
  for (const LatentFormat& format : formats) {
    LatentStore other(format, kSize, device.flash.storage(), memory,
                      LatentFlashBytes(kRecords, kGroups, 4));
    EXPECT_EQ(other.Open(), LatentStatus::kOtherModel);
    EXPECT_EQ(other.size(), 0);
    EXPECT_EQ(AddNumber(other, 5), LatentStatus::kNotOpen);
  }
  EXPECT_EQ(device.Reopened().numbers[3], 4);  // it is all there still
  LatentStore other(formats[0], kSize, device.flash.storage(), memory,
                    LatentFlashBytes(kRecords, kGroups, 4));
  EXPECT_EQ(other.Open(), LatentStatus::kOtherModel);
  EXPECT_EQ(other.Clear(), LatentStatus::kOk);
  EXPECT_EQ(AddNumber(other, 6), LatentStatus::kOk);
  EXPECT_EQ(ContentsOf(other).numbers[0], 6);
  EXPECT_EQ(store.Open(), LatentStatus::kOtherModel);
}

// The store is not open then, and has its records all the same: nothing is drawn for ever.
TEST(LatentStore, ReplaysNothingAfterAClearThatFailed) {
  Device device(kGeometries[0].size, Cut::kTorn);
  device.flash.Power(kNoCut);
  LatentStore store = device.Store();
  EXPECT_EQ(store.Open(), LatentStatus::kEmpty);
  EXPECT_EQ(AddNumber(store, 1), LatentStatus::kOk);
  tflm_train::Replay replay(&store, 5);
  uint8_t latent[kFormat.latent_bytes];
  int32_t label = 0;
  int learned = 0;
  const auto learn = [&] { return ++learned > 0; };
  EXPECT_EQ(replay.LearnStored(2, latent, &label, learn), 2);
  replay.BeginEpoch();
  device.flash.Power(0);
  EXPECT_EQ(store.Clear(), LatentStatus::kStorageFailed);
  EXPECT_EQ(replay.LearnStored(2, latent, &label, learn), 0);
  EXPECT_TRUE(!replay.LearnNext(latent, &label, learn));
  EXPECT_EQ(learned, 2);
}

TEST(LatentStore, RefusesWhatDoesNotFit) {
  const StorageSize size = kGeometries[0].size;
  const size_t most = LatentFlashCapacity(size, kFormat, kGroups);
  EXPECT_TRUE(most >= kRecords);
  const LatentStoreSize too_many = {static_cast<uint16_t>(most + 1), kGroups, 0};
  Device device(size, Cut::kTorn);
  device.flash.Power(kNoCut);
  const size_t bytes = LatentFlashBytes(most + 1, kGroups, 4);
  uint8_t* memory = Guarded<uint8_t>(bytes);
  LatentStore store(kFormat, too_many, device.flash.storage(), memory, bytes);
  EXPECT_EQ(store.Open(), LatentStatus::kBadStorage);
  EXPECT_EQ(store.Clear(), LatentStatus::kNotOpen);
  LatentStore small(kFormat, kSize, device.flash.storage(), memory,
                    LatentFlashBytes(kRecords, kGroups, 4) - 1);
  EXPECT_EQ(small.Open(), LatentStatus::kTooSmall);
  constexpr StorageSize kImpossible[] = {
      {4096, 0, 4}, {4096, 1024, 0}, {4096, 1024, 3}, {65536, 8192, 8192}, {1024, 1024, 4}};
  for (const StorageSize& impossible : kImpossible) {
    EXPECT_EQ(LatentFlashCapacity(impossible, kFormat, kGroups), 0);
  }
  const int32_t label = 0;
  uint8_t latent[kFormat.latent_bytes] = {};
  LatentStore one_group(kFormat, {kRecords, 1, 0}, memory, bytes);
  EXPECT_EQ(one_group.Open(), LatentStatus::kEmpty);
  EXPECT_EQ(one_group.Add(latent, &label, 0), LatentStatus::kOk);
  EXPECT_EQ(one_group.Add(latent, &label, 1), LatentStatus::kTooManyGroups);
}

// What a restart finds after a checkpoint is all that there was: the same decisions follow.
TEST(LatentStore, GoesOnWhereItWas) {
  for (const Geometry& geometry : kGeometries) {
    Case scope("LatentStore.Restart", geometry.name);
    Device device(geometry.size, Cut::kTorn, geometry.format);
    device.flash.Power(kNoCut);
    const size_t bytes = LatentRamBytes(geometry.format, kRecords, kGroups);
    LatentStore in_ram(geometry.format, kSize, Guarded<uint8_t>(bytes), bytes);
    EXPECT_EQ(in_ram.Open(), LatentStatus::kEmpty);
    for (uint32_t number = 1; number <= 150;) {
      LatentStore store = device.Store();
      store.Open();
      for (uint32_t end = number + 1 + number % 7; number < end; ++number) {
        EXPECT_EQ(AddNumber(store, number * number), AddNumber(in_ram, number * number));
      }
      EXPECT_EQ(store.Checkpoint(), LatentStatus::kOk);
      EXPECT_EQ(Changes(device.Reopened(), ContentsOf(in_ram)), 0);
    }
  }
}

// Every sector is erased as often as any other, give or take one.
TEST(LatentStore, WearsTheSectorsEvenly) {
  const StorageSize size = kGeometries[1].size;
  Device device(size, Cut::kTorn);
  device.flash.Power(kNoCut);
  LatentStore store = device.Store();
  store.Open();
  for (uint32_t number = 1; number < 2000; ++number) AddNumber(store, number);
  const tflm_train::LatentWear wear = store.wear();
  EXPECT_TRUE(wear.erases > 4 * wear.sectors);
  const tflm_train::LogLayout layout = tflm_train::PlanLatentLog(size, 28, kGroups);
  EXPECT_EQ(device.flash.erased(), wear.erases * layout.sector_bytes);
  EXPECT_TRUE(device.flash.MostErased() - device.flash.LeastErased() <= 1);
}

}  // namespace
}  // namespace tflm_train_test

#endif
