// The journal, with the power cut at every byte that a write erases or programs.

#include "tflm_kernels/state/journal.h"

#include "tests/cpp/harness.h"

namespace tflm_train_test {
namespace {

using tflm_train::Journal;
using tflm_train::JournalStatus;
using tflm_train::RamStorage;
using tflm_train::StateStatus;
using tflm_train::Storage;
using tflm_train::StorageSize;

constexpr size_t kBlocks = 6;

// Flash whose supply fails after a number of bytes. The byte in work is left with some of its bits
// changed; afterwards every function fails, until Power is called.
class CutStorage {
 public:
  CutStorage(uint8_t* memory, const StorageSize& size)
      : memory_(memory), size_(size), ram_(memory, size) {
    std::memset(memory, 0xA7, size.bytes);  // a part is not erased when it is new to us
  }

  void Power(size_t budget) {
    budget_ = budget;
    off_ = false;
    cost_ = 0;
  }
  bool off() const { return off_; }
  size_t cost() const { return cost_; }
  size_t erased(size_t block) const { return erased_[block]; }
  uint8_t* memory() { return memory_; }

  Storage storage() { return {this, Size, Read, Erase, Program}; }

 private:
  static StorageSize Size(void* context) { return static_cast<CutStorage*>(context)->size_; }

  static bool Read(void* context, size_t offset, void* data, size_t bytes) {
    CutStorage* self = static_cast<CutStorage*>(context);
    return !self->off_ && self->ram_.storage().read(&self->ram_, offset, data, bytes);
  }

  static bool Erase(void* context, size_t offset) {
    CutStorage* self = static_cast<CutStorage*>(context);
    ++self->erased_[offset / self->size_.erase_block];
    for (size_t i = 0; i < self->size_.erase_block; ++i) {
      if (!self->Spend()) {
        self->memory_[offset + i] |= 0x5A;  // erasing sets bits
        return false;
      }
      self->memory_[offset + i] = 0xFF;
    }
    return true;
  }

  static bool Program(void* context, size_t offset, const void* data, size_t bytes) {
    CutStorage* self = static_cast<CutStorage*>(context);
    const uint8_t* from = static_cast<const uint8_t*>(data);
    const size_t unit = self->size_.program_unit;
    if (offset % unit != 0 || bytes % unit != 0) Fail(__FILE__, __LINE__, "not whole units");
    for (size_t i = 0; i < bytes; ++i) {
      if (self->memory_[offset + i] != 0xFF) Fail(__FILE__, __LINE__, "not erased");
      if (!self->Spend()) {
        self->memory_[offset + i] = static_cast<uint8_t>(from[i] | 0xA5);  // programming clears
        return false;
      }
      self->memory_[offset + i] = from[i];
    }
    return true;
  }

  bool Spend() {
    if (off_) return false;
    ++cost_;
    if (budget_-- == 0) off_ = true;
    return !off_;
  }

  uint8_t* memory_;
  StorageSize size_;
  RamStorage ram_;
  size_t budget_ = 0;
  size_t cost_ = 0;
  bool off_ = true;
  size_t erased_[kBlocks] = {};
};

constexpr size_t kNoCut = SIZE_MAX;

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

// One history of 6 records: record `cut_at` is written while the power fails after `budget` bytes.
// Returns whether that write was still cut.
bool RunHistory(CutStorage& flash, uint32_t cut_at, size_t budget) {
  flash.Power(kNoCut);
  bool was_cut = false;
  uint32_t newest = 0;
  for (uint32_t number = 1; number <= 6; ++number) {
    {
      Journal journal(flash.storage());
      const JournalStatus opened = journal.Open();
      EXPECT_EQ(opened, newest == 0 ? JournalStatus::kEmpty : JournalStatus::kOk);
      if (number == cut_at) {
        flash.Power(budget);
        const JournalStatus written = WriteRecord(journal, number);
        was_cut = flash.off();
        EXPECT_TRUE((written == JournalStatus::kOk) == !was_cut);
      } else {
        EXPECT_EQ(WriteRecord(journal, number), JournalStatus::kOk);
        EXPECT_TRUE(Holds(journal, number));
      }
    }
    flash.Power(kNoCut);
    Journal after(flash.storage());
    const JournalStatus status = after.Open();
    if (status == JournalStatus::kOk && Holds(after, number)) {
      newest = number;
    } else {
      // Only the cut write may be missing, and then the record before it is there, whole.
      EXPECT_TRUE(number == cut_at && was_cut);
      EXPECT_TRUE(newest == 0 ? status == JournalStatus::kEmpty : Holds(after, newest));
    }
  }
  return was_cut;
}

struct Geometry {
  const char* name;
  StorageSize size;
};

constexpr Geometry kGeometries[] = {
    {"two large blocks", {2 * 128, 128, 4}},
    {"blocks of one word", {6 * 64, 64, 4}},
    {"wide program units", {4 * 96, 96, 32}},
    {"an odd rest at the end", {2 * 128 + 60, 128, 8}},
};

TEST(Journal, SurvivesACutAtEveryByte) {
  for (const Geometry& geometry : kGeometries) {
    Case scope("Journal.Cut", geometry.name);
    uint8_t* memory = Guarded<uint8_t>(geometry.size.bytes);
    size_t cuts = 0;
    for (uint32_t cut_at = 1; cut_at <= 4; ++cut_at) {
      for (size_t budget = 0;; ++budget) {
        CutStorage flash(memory, geometry.size);
        if (!RunHistory(flash, cut_at, budget)) break;
        ++cuts;
      }
    }
    // Every erased and every programmed byte of four writes.
    EXPECT_TRUE(cuts >= 4 * (BytesOf(0) + 24));
  }
}

TEST(Journal, WearsTheSlotsEvenly) {
  for (const Geometry& geometry : kGeometries) {
    Case scope("Journal.Wear", geometry.name);
    CutStorage flash(Guarded<uint8_t>(geometry.size.bytes), geometry.size);
    flash.Power(kNoCut);
    Journal journal(flash.storage());
    EXPECT_EQ(journal.Open(), JournalStatus::kEmpty);
    for (uint32_t number = 3; number < 3 + 3 * 40; number += 3) {  // all of one size
      EXPECT_EQ(WriteRecord(journal, number), JournalStatus::kOk);
    }
    EXPECT_EQ(journal.sequence(), 40);
    const size_t half = geometry.size.bytes / 2 / geometry.size.erase_block;
    for (size_t block = 0; block < half; ++block) {
      EXPECT_EQ(flash.erased(block), flash.erased(half + block));
    }
    EXPECT_EQ(flash.erased(0), 20);
    EXPECT_EQ(flash.erased(half), 20);
  }
}

// A journal in RAM; the memory outlives it.
struct RamJournal {
  RamJournal(uint8_t* memory, const StorageSize& size)
      : ram(memory, size), journal(ram.storage()) {}
  RamStorage ram;
  Journal journal;
};

constexpr StorageSize kBytewise = {256, 1, 1};

TEST(Journal, WorksOnMemoryThatNeedsNoErasing) {
  uint8_t* memory = Guarded<uint8_t>(kBytewise.bytes);
  std::memset(memory, 0, kBytewise.bytes);
  for (uint32_t number = 1; number <= 3; ++number) {
    RamJournal at(memory, kBytewise);
    EXPECT_EQ(at.journal.Open(), number == 1 ? JournalStatus::kEmpty : JournalStatus::kOk);
    EXPECT_EQ(WriteRecord(at.journal, number), JournalStatus::kOk);
    EXPECT_TRUE(Holds(at.journal, number));
    EXPECT_EQ(at.journal.sequence(), number);
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
  for (size_t bit = 0; bit < 8 * kBytewise.bytes; ++bit) {
    const uint8_t flip = static_cast<uint8_t>(1u << (bit & 7));
    memory[bit >> 3] = static_cast<uint8_t>(memory[bit >> 3] ^ flip);
    Journal journal(at.ram.storage());
    EXPECT_EQ(journal.Open(), JournalStatus::kOk);
    EXPECT_TRUE(Holds(journal, 2) || Holds(journal, 1));
    memory[bit >> 3] = static_cast<uint8_t>(memory[bit >> 3] ^ flip);
  }
}

TEST(Journal, SequenceNumbersWrapAround) {
  constexpr StorageSize kSize = {256, 128, 4};
  uint8_t* memory = Guarded<uint8_t>(kSize.bytes);
  RamJournal at(memory, kSize);
  EXPECT_EQ(at.journal.Open(), JournalStatus::kEmpty);
  EXPECT_EQ(WriteRecord(at.journal, 1), JournalStatus::kOk);
  // The header of sequence number 2^32 - 1, by hand: zlib.crc32 of its first 20 bytes at the end.
  static constexpr uint8_t kHeader[24] = {0x54, 0x54, 0x4a, 0x4e, 0x01, 0x00, 0x18, 0x00,
                                          0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
                                          0x00, 0x00, 0x00, 0x00, 0xf1, 0x03, 0xe7, 0xe8};
  std::memcpy(memory, kHeader, sizeof(kHeader));
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
  uint8_t* memory = Guarded<uint8_t>(256);
  constexpr StorageSize kImpossible[] = {
      {128, 128, 4}, {256, 0, 4}, {256, 128, 0}, {256, 128, 3}, {256, 128, 512}, {48, 1, 1},
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
        self->memory[256 + 50] |= 0x10;
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
  table->entries[0] = {weights, 37};
  table->entries[1] = {bias, 12};
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
