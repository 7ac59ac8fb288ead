// The journal, with the power cut at every byte that a write erases or programs.

#include "tflm_kernels/state/journal.h"

#include <cstdlib>

#include "tests/cpp/flash_simulator.h"
#include "tests/cpp/harness.h"
#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/little_endian.h"

namespace tflm_train_test {
namespace {

using tflm_train::Journal;
using tflm_train::JournalStatus;
using tflm_train::RamStorage;
using tflm_train::StateStatus;
using tflm_train::Storage;
using tflm_train::StorageSize;

// Records are a run of bytes that depends on their number.
void Fill(uint8_t* record, size_t bytes, uint32_t number) {
  for (size_t i = 0; i < bytes; ++i) {
    record[i] = static_cast<uint8_t>(i * 31 + number * 7 + (number >> 3));
  }
}

size_t BytesOf(uint32_t number) { return 70 + number % 3 * 9; }

JournalStatus WriteRecord(Journal& journal, uint32_t number) {
  uint8_t record[96];
  Fill(record, BytesOf(number), number);
  return journal.Write(record, BytesOf(number));
}

bool Holds(const Journal& journal, uint32_t number) {
  uint8_t expected[96];
  uint8_t got[96];
  if (journal.size() != BytesOf(number)) return false;
  Fill(expected, journal.size(), number);
  return journal.Read(0, got, journal.size()) == JournalStatus::kOk &&
         std::memcmp(got, expected, journal.size()) == 0;
}

#if !defined(TFLM_TRAIN_SMALL_TARGET)  // its flash is full

constexpr Cut kCuts[] = {Cut::kTorn, Cut::kEcc, Cut::kMarginal};
constexpr const char* kCutNames[] = {"torn", "unreadable", "marginal"};

struct Geometry {
  const char* name;
  StorageSize size;
};

constexpr Geometry kGeometries[] = {
    {"two large blocks", {2 * 256, 256, 4}},
    {"blocks of one word", {12 * 64, 64, 4}},
    {"an odd rest at the end", {2 * 256 + 60, 256, 8}},
#if !defined(__arm__)
    {"wide program units", {8 * 192, 192, 32}},
    {"units of a byte", {2 * 240, 240, 1}},
    {"pages", {2 * 4096, 4096, 256}},
    {"large pages", {2 * 65536, 65536, 4096}},
#endif
};

// Emulated boards go through a part of the histories, and TFLM_TRAIN_HISTORIES times as many make a
// campaign on the host.
#if defined(__arm__)
constexpr uint32_t kHistories = 40;
constexpr size_t kStageBytes = tflm_train::kMaxProgramUnit;
#else
constexpr uint32_t kHistories = 400;
constexpr size_t kStageBytes = tflm_train::kLargestProgramUnit;
#endif

uint32_t Campaign() {
#if defined(__arm__)
  return 1;
#else
  const char* const times = std::getenv("TFLM_TRAIN_HISTORIES");
  return times == nullptr ? 1 : static_cast<uint32_t>(std::atoi(times));
#endif
}

// Flash, and the stage of the journals in it.
class Device {
 public:
  Device(const StorageSize& size, Cut cut)
      : memory_(Guarded<uint8_t>(2 * size.bytes + size.bytes / size.program_unit)),
        stage_(Guarded<uint8_t>(kStageBytes)),
        size_(size),
        cut_(cut) {}

  FlashSimulator New() {
    return FlashSimulator(size_, cut_, memory_, memory_ + size_.bytes, memory_ + 2 * size_.bytes);
  }
  uint8_t* stage() { return stage_; }

 private:
  uint8_t* memory_;
  uint8_t* stage_;
  StorageSize size_;
  Cut cut_;
};

// What is known of a journal: the record that has to be there, and those that may be instead.
struct Known {
  uint32_t newest = 0;  // 0: none
  uint32_t last = 0;    // that was begun

  // Opens the journal, whose supply may fail after some bytes. What it shows stays.
  void Open(FlashSimulator& flash, Device& device, size_t budget) {
    flash.Power(budget);
    Journal journal(flash.storage(), device.stage(), kStageBytes);
    const JournalStatus status = journal.Open();
    if (flash.off()) return;
    if (status != JournalStatus::kOk) {
      EXPECT_TRUE(status == JournalStatus::kEmpty || status == JournalStatus::kUnreadable);
      EXPECT_EQ(newest, 0);
      return;
    }
    uint32_t shown = 0;
    for (uint32_t number = newest == 0 ? 1 : newest; number <= last && shown == 0; ++number) {
      if (Holds(journal, number)) shown = number;
    }
    EXPECT_TRUE(shown != 0);
    newest = shown;
  }

  // Opens it and writes the next record.
  void Write(FlashSimulator& flash, Device& device, size_t budget) {
    flash.Power(kNoCut);
    Journal journal(flash.storage(), device.stage(), kStageBytes);
    journal.Open();
    if (newest != 0) EXPECT_TRUE(Holds(journal, newest) || ShowsLater(journal));
    flash.Power(budget);
    ++last;
    const JournalStatus written = WriteRecord(journal, last);
    EXPECT_TRUE(flash.off() || written == JournalStatus::kOk);
    if (written == JournalStatus::kOk) newest = last;
  }

  bool ShowsLater(const Journal& journal) const {
    for (uint32_t number = newest + 1; number <= last; ++number) {
      if (Holds(journal, number)) return true;
    }
    return false;
  }
};

// The supply fails at every byte of the fourth write, then at some byte of what follows it.
TEST(Journal, SurvivesACutAtEveryByte) {
  for (const Geometry& geometry : kGeometries) {
    for (int kind = 0; kind < 3; ++kind) {
      Case scope(geometry.name, kCutNames[kind]);
      Device device(geometry.size, kCuts[kind]);
      const size_t step = geometry.size.bytes > 2048 ? geometry.size.bytes / 512 : 1;
      size_t cuts = 0;
      for (uint32_t before = 0; before < 4; before += 3) {
        for (size_t budget = 0;; budget += step) {
          FlashSimulator flash = device.New();
          flash.Seed(static_cast<uint32_t>(budget) * 2 + before);
          Known known;
          for (uint32_t n = 0; n < before; ++n) known.Write(flash, device, kNoCut);
          known.Write(flash, device, budget);
          if (!flash.off()) break;
          ++cuts;
          known.Open(flash, device, budget % 97 * geometry.size.program_unit / 4);
          known.Open(flash, device, kNoCut);
          known.Write(flash, device, budget * 31 % (2 * geometry.size.erase_block));
          known.Open(flash, device, kNoCut);
          known.Open(flash, device, kNoCut);
          known.Write(flash, device, kNoCut);
          known.Open(flash, device, kNoCut);
          EXPECT_EQ(known.newest, known.last);
        }
      }
      EXPECT_TRUE(cuts * step >= 2 * (BytesOf(0) + 32));
    }
  }
}

// Histories of twelve writes and as many power-ups, half of which are cut anywhere.
TEST(Journal, LosesNothingInRandomHistories) {
  for (const Geometry& geometry : kGeometries) {
    for (int kind = 0; kind < 3; ++kind) {
      Case scope(geometry.name, kCutNames[kind]);
      Device device(geometry.size, kCuts[kind]);
      const uint32_t share = geometry.size.bytes > 2048 ? 8 : 1;
      for (uint32_t history = 0; history < kHistories * Campaign() / share; ++history) {
        FlashSimulator flash = device.New();
        flash.Seed(history);
        uint32_t random = history * 2654435761u + 12345;
        const auto budget = [&] {
          random = random * 1664525 + 1013904223;
          const uint32_t dice = random >> 8;
          if (dice % 2 == 0) return kNoCut;
          const size_t most =
              dice % 4 == 1 ? 40 * geometry.size.program_unit : 2 * geometry.size.erase_block + 300;
          return static_cast<size_t>(dice / 4 % most);
        };
        Known known;
        for (int i = 0; i < 12; ++i) {
          known.Write(flash, device, budget());
          known.Open(flash, device, budget());
          known.Open(flash, device, budget());
        }
        known.Open(flash, device, kNoCut);
      }
    }
  }
}

// An error of the driver at each of its calls in turn: a status, and the record before or after.
TEST(Journal, SurvivesAnErrorAtEveryCall) {
  for (const Geometry& geometry : kGeometries) {
    Case scope("Journal.Errors", geometry.name);
    Device device(geometry.size, Cut::kTorn);
    for (uint64_t call = 0;; ++call) {
      FlashSimulator flash = device.New();
      flash.Power(kNoCut);
      flash.Seed(static_cast<uint32_t>(call));
      Journal journal(flash.storage(), device.stage(), kStageBytes);
      EXPECT_TRUE(journal.Open() == JournalStatus::kEmpty);
      EXPECT_EQ(WriteRecord(journal, 1), JournalStatus::kOk);
      flash.FailAt(call);
      uint32_t newest = 1;
      Journal again(flash.storage(), device.stage(), kStageBytes);
      const bool is_open = again.Open() == JournalStatus::kOk && Holds(again, 1);
      if (is_open && WriteRecord(again, 2) == JournalStatus::kOk) newest = 2;
      if (is_open && WriteRecord(again, 3) == JournalStatus::kOk) newest = 3;
      const bool has_failed = flash.calls() > call;
      flash.FailAt(kNoError);
      Journal after(flash.storage(), device.stage(), kStageBytes);
      EXPECT_EQ(after.Open(), JournalStatus::kOk);
      bool holds = false;
      for (uint32_t number = newest; number <= 3; ++number) holds = holds || Holds(after, number);
      EXPECT_TRUE(holds);
      EXPECT_EQ(WriteRecord(after, 4), JournalStatus::kOk);
      EXPECT_TRUE(Holds(after, 4));
      if (!has_failed) break;
    }
  }
}

TEST(Journal, WearsTheSlotsEvenly) {
  for (const Geometry& geometry : kGeometries) {
    Case scope("Journal.Wear", geometry.name);
    Device device(geometry.size, Cut::kTorn);
    FlashSimulator flash = device.New();
    flash.Power(kNoCut);
    Journal journal(flash.storage(), device.stage(), kStageBytes);
    EXPECT_EQ(journal.Open(), JournalStatus::kEmpty);
    for (uint32_t number = 3; number < 3 + 3 * 40; number += 3) {  // all of one size
      EXPECT_EQ(WriteRecord(journal, number), JournalStatus::kOk);
    }
    EXPECT_EQ(journal.sequence(), 40);
    EXPECT_EQ(journal.erasures(), 40);
    EXPECT_EQ(flash.MostErased(), 20);
    EXPECT_EQ(flash.LeastErased(), 20);
  }
}

// Words that cannot be read, of which one is in the header of the newest record, then of both.
TEST(Journal, AnUnreadableSlotHoldsNoRecord) {
  constexpr StorageSize kSize = {2 * 256, 256, 8};
  Device device(kSize, Cut::kEcc);
  FlashSimulator flash = device.New();
  flash.Power(kNoCut);
  Journal journal(flash.storage());
  EXPECT_EQ(journal.Open(), JournalStatus::kEmpty);
  EXPECT_EQ(WriteRecord(journal, 1), JournalStatus::kOk);
  EXPECT_EQ(WriteRecord(journal, 2), JournalStatus::kOk);
  flash.Kill(256 / 8 + 1);
  Journal older(flash.storage());
  EXPECT_EQ(older.Open(), JournalStatus::kOk);
  EXPECT_TRUE(Holds(older, 1));
  flash.Kill(1);
  flash.Kill(9);
  flash.Kill(5);
  flash.Kill(13);
  Journal none(flash.storage());
  EXPECT_EQ(none.Open(), JournalStatus::kUnreadable);
  EXPECT_EQ(none.size(), 0);
}

#endif  // TFLM_TRAIN_SMALL_TARGET

// A journal in RAM; the memory outlives it.
struct RamJournal {
  RamJournal(uint8_t* memory, const StorageSize& size)
      : ram(memory, size), journal(ram.storage()) {}
  RamStorage ram;
  Journal journal;
};

constexpr StorageSize kBytewise = {480, 1, 1};

TEST(Journal, WorksOnMemoryThatNeedsNoErasing) {
  uint8_t* memory = Guarded<uint8_t>(kBytewise.bytes);
  std::memset(memory, 0, kBytewise.bytes);
  for (uint32_t number = 1; number <= 3; ++number) {
    RamJournal at(memory, kBytewise);
    EXPECT_EQ(at.journal.Open(), number == 1 ? JournalStatus::kEmpty : JournalStatus::kOk);
    EXPECT_EQ(WriteRecord(at.journal, number), JournalStatus::kOk);
    EXPECT_TRUE(Holds(at.journal, number));
    EXPECT_EQ(at.journal.erasures(), number);
  }
}

// Every bit of both slots flipped alone: the newest record or the one before is read, whole.
TEST(Journal, RefusesDamage) {
  uint8_t* memory = Guarded<uint8_t>(kBytewise.bytes);
  RamJournal at(memory, kBytewise);
  EXPECT_EQ(at.journal.Open(), JournalStatus::kEmpty);
  for (uint32_t number = 1; number <= 2; ++number) {
    EXPECT_EQ(WriteRecord(at.journal, number), JournalStatus::kOk);
  }
  uint8_t* whole = Guarded<uint8_t>(kBytewise.bytes);
  std::memcpy(whole, memory, kBytewise.bytes);
  for (size_t bit = 0; bit < 8 * kBytewise.bytes; ++bit) {
    const uint8_t flip = static_cast<uint8_t>(1u << (bit & 7));
    std::memcpy(memory, whole, kBytewise.bytes);  // Open erases what it finds damaged
    memory[bit >> 3] = static_cast<uint8_t>(memory[bit >> 3] ^ flip);
    Journal journal(at.ram.storage());
    EXPECT_EQ(journal.Open(), JournalStatus::kOk);
    EXPECT_TRUE(Holds(journal, 2) || Holds(journal, 1));
  }
}

TEST(Journal, SequenceNumbersWrapAround) {
  constexpr StorageSize kSize = {512, 256, 4};
  uint8_t* memory = Guarded<uint8_t>(kSize.bytes);
  std::memset(memory, 0xFF, kSize.bytes);
  RamJournal at(memory, kSize);
  EXPECT_EQ(at.journal.Open(), JournalStatus::kEmpty);
  EXPECT_EQ(WriteRecord(at.journal, 1), JournalStatus::kOk);
  // The header of sequence number 2^32 - 1, by hand.
  std::memset(memory, 0xFF, 128);
  tflm_train::PutWord(memory, 8, 0xFFFFFFFF);
  tflm_train::PutWord(memory, 0, 0x4E4A5454);
  tflm_train::PutWord(memory, 4, 2 | 32 << 16);
  for (size_t at_word = 12; at_word < 28; at_word += 4) tflm_train::PutWord(memory, at_word, 0);
  tflm_train::PutWord(memory, 28, ~tflm_train::UpdateCrc32(tflm_train::kCrc32Start, memory, 28));
  tflm_train::PutWord(memory, 32, 0x454E4F44);
  Journal last(at.ram.storage());
  EXPECT_EQ(last.Open(), JournalStatus::kOk);
  EXPECT_EQ(last.sequence(), 0xFFFFFFFF);
  EXPECT_EQ(last.size(), 0);
  EXPECT_EQ(WriteRecord(last, 2), JournalStatus::kOk);
  Journal first(at.ram.storage());
  EXPECT_EQ(first.Open(), JournalStatus::kOk);
  EXPECT_EQ(first.sequence(), 0);
  EXPECT_TRUE(Holds(first, 2));
}

TEST(Journal, KeepsTheOldRecordUntilTheCommit) {
  uint8_t* memory = Guarded<uint8_t>(kBytewise.bytes);
  RamJournal at(memory, kBytewise);
  Journal& journal = at.journal;
  uint8_t record[96];
  Fill(record, BytesOf(2), 2);
  EXPECT_EQ(journal.Begin(1), JournalStatus::kWrongOrder);  // not open
  EXPECT_EQ(journal.Open(), JournalStatus::kEmpty);
  EXPECT_EQ(journal.Commit(), JournalStatus::kWrongOrder);
  EXPECT_EQ(WriteRecord(journal, 1), JournalStatus::kOk);
  EXPECT_EQ(journal.Begin(BytesOf(2)), JournalStatus::kOk);
  for (size_t i = 0; i < BytesOf(2); ++i) {
    EXPECT_EQ(journal.Commit(), JournalStatus::kWrongOrder);
    EXPECT_EQ(journal.Append(record + i, 1), JournalStatus::kOk);
    EXPECT_TRUE(Holds(journal, 1));
  }
  EXPECT_EQ(journal.Append(record, 1), JournalStatus::kWrongOrder);
  EXPECT_EQ(journal.Commit(), JournalStatus::kOk);
  EXPECT_TRUE(Holds(journal, 2));
  EXPECT_EQ(journal.Read(BytesOf(2), record, 1), JournalStatus::kWrongOrder);
  EXPECT_EQ(journal.Begin(journal.capacity() + 1), JournalStatus::kTooLarge);
  EXPECT_TRUE(Holds(journal, 2));
}

TEST(Journal, RefusesImpossibleStorage) {
  uint8_t* memory = Guarded<uint8_t>(2048);
  constexpr StorageSize kImpossible[] = {
      {256, 256, 4}, {512, 0, 4}, {512, 256, 0}, {512, 256, 3}, {2048, 1024, 512}, {224, 1, 1},
  };
  for (const StorageSize& size : kImpossible) {
    RamJournal at(memory, size);
    EXPECT_EQ(at.journal.Open(), JournalStatus::kBadStorage);
    EXPECT_EQ(WriteRecord(at.journal, 1), JournalStatus::kWrongOrder);
  }
}

// Programs everything but a stuck bit.
TEST(Journal, NoticesWornOutFlash) {
  constexpr StorageSize kSize = {512, 128, 4};
  uint8_t* memory = Guarded<uint8_t>(kSize.bytes);
  struct Stuck {
    uint8_t* memory;
    RamStorage ram;
  } stuck = {memory, RamStorage(memory, kSize)};
  Storage storage = {
      &stuck,
      [](void*) { return kSize; },
      [](void* context, size_t offset, void* data, size_t bytes) {
        RamStorage& ram = static_cast<Stuck*>(context)->ram;
        return ram.storage().read(&ram, offset, data, bytes);
      },
      [](void* context, size_t offset) {
        RamStorage& ram = static_cast<Stuck*>(context)->ram;
        return ram.storage().erase(&ram, offset);
      },
      [](void* context, size_t offset, const void* data, size_t bytes) {
        Stuck* self = static_cast<Stuck*>(context);
        const bool done = self->ram.storage().program(&self->ram, offset, data, bytes);
        self->memory[256 + 170] |= 0x10;
        return done;
      },
  };
  Journal journal(storage);
  EXPECT_EQ(journal.Open(), JournalStatus::kEmpty);
  EXPECT_EQ(WriteRecord(journal, 1), JournalStatus::kOk);
  uint8_t zeros[64] = {};
  EXPECT_EQ(journal.Write(zeros, sizeof(zeros)), JournalStatus::kVerifyFailed);
  EXPECT_TRUE(Holds(journal, 1));
}

// A model of two variables, saved to and loaded from flash without a buffer.
TEST(Journal, CarriesTheTrainingState) {
  constexpr StorageSize kSize = {512, 128, 8};
  RamJournal at(Guarded<uint8_t>(kSize.bytes), kSize);
  uint8_t* weights = Guarded<uint8_t>(37);
  int32_t* bias = Guarded<int32_t>(3);
  auto* state = Guarded<tflm_train::TrainState>(1);
  auto* table =
      static_cast<tflm_train::VariableTable*>(GuardedBytes(tflm_train::VariableTableBytes(2)));
  table->state = state;
  table->count = 2;
  table->entries[0] = {weights, 37, false};
  table->entries[1] = {bias, 12, false};
  tflm_train::StateInitialize(tflm_train::RestoreParams(), table);
  tflm_train::StateDescribe(tflm_train::RestoreParams(), *table, state);
  EXPECT_EQ(StateSave(state, at.journal), StateStatus::kStorageFailed);  // not open
  EXPECT_EQ(at.journal.Open(), JournalStatus::kEmpty);
  EXPECT_EQ(StateLoad(state, at.journal), StateStatus::kNotABlob);
  Fill(weights, 37, 5);
  bias[0] = -1000000;
  state->step = 12;
  EXPECT_EQ(StateSave(state, at.journal), StateStatus::kOk);
  EXPECT_EQ(at.journal.size(), StateSize(state));
  uint8_t blob[96];
  EXPECT_EQ(StateSave(state, blob, sizeof(blob)), StateStatus::kOk);
  uint8_t stored[96];
  EXPECT_EQ(at.journal.Read(0, stored, StateSize(state)), JournalStatus::kOk);
  EXPECT_SAME(stored, blob, StateSize(state));
  Fill(weights, 37, 6);
  bias[0] = 0;
  state->step = 99;
  Journal reopened(at.ram.storage());
  EXPECT_EQ(reopened.Open(), JournalStatus::kOk);
  EXPECT_EQ(StateLoad(state, reopened), StateStatus::kOk);
  uint8_t expected[37];
  Fill(expected, 37, 5);
  EXPECT_SAME(weights, expected, 37);
  EXPECT_EQ(bias[0], -1000000);
  EXPECT_EQ(state->step, 12);
}

}  // namespace
}  // namespace tflm_train_test
