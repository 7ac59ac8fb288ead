// The journal in memory: its records, what it refuses, and a training state in it.

#include "tflm_kernels/state/journal.h"

#include <initializer_list>

#include "tests/cpp/harness.h"
#include "tests/cpp/journal_records.h"
#include "tflm_kernels/state/crc32.h"
#include "tflm_kernels/state/little_endian.h"

namespace tflm_train_test {
namespace {

using tflm_train::RamStorage;
using tflm_train::StateStatus;
using tflm_train::Storage;
using tflm_train::StorageSize;

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
  // A header of sequence number 2^32 - 1 without a payload, and its mark, by hand.
  std::memset(memory, 0xFF, 128);
  tflm_train::PutWord(memory, 8, 0xFFFFFFFF);
  tflm_train::PutWord(memory, 0, 0x4E4A5454);
  tflm_train::PutWord(memory, 4, 3 | 28 << 16);
  for (size_t at_word = 12; at_word < 24; at_word += 4) tflm_train::PutWord(memory, at_word, 0);
  tflm_train::PutWord(memory, 24, ~tflm_train::UpdateCrc32(tflm_train::kCrc32Start, memory, 24));
  tflm_train::PutWord(memory, 28, 0x55555555);
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
      {256, 256, 4}, {512, 0, 4}, {512, 256, 0}, {512, 256, 3}, {2048, 1024, 512}, {96, 1, 1},
  };
  for (const StorageSize& size : kImpossible) {
    RamJournal at(memory, size);
    EXPECT_EQ(at.journal.Open(), JournalStatus::kBadStorage);
    EXPECT_EQ(WriteRecord(at.journal, 1), JournalStatus::kWrongOrder);
  }
}

#if !defined(TFLM_TRAIN_SMALL_TARGET)  // its flash is full

// Sectors of unequal size, as 64 and 128 KB of an STM32F4, are refused, and that is the reason given:
// the larger one is no half of the area, and a driver may say itself (0) that they differ.
TEST(Journal, RefusesUnequalSectors) {
  for (const size_t block : {size_t{128 * 1024}, size_t{0}}) {
    RamJournal at(Guarded<uint8_t>(1), {(64 + 128) * 1024, block, 4});
    const JournalStatus status = at.journal.Open();
    EXPECT_EQ(status, JournalStatus::kBadStorage);
    EXPECT_TRUE(std::strstr(JournalStatusMessage(status), "of one size") != nullptr);
  }
}

// What the version before wrote is not taken for nothing, nor for a record.
TEST(Journal, KnowsTheRecordOfAnotherVersion) {
  constexpr StorageSize kSize = {512, 256, 4};
  uint8_t* memory = Guarded<uint8_t>(kSize.bytes);
  std::memset(memory, 0xFF, kSize.bytes);
  tflm_train::PutWord(memory, 0, 0x4E4A5454);
  tflm_train::PutWord(memory, 4, 2 | 32 << 16);
  for (size_t at_word = 8; at_word < 28; at_word += 4) tflm_train::PutWord(memory, at_word, 1);
  tflm_train::PutWord(memory, 28, ~tflm_train::UpdateCrc32(tflm_train::kCrc32Start, memory, 28));
  RamJournal at(memory, kSize);
  memory[31] ^= 1;  // damage is not another version
  EXPECT_EQ(at.journal.Open(), JournalStatus::kEmpty);
  memory[31] ^= 1;
  EXPECT_EQ(at.journal.Open(), JournalStatus::kOtherVersion);
  EXPECT_EQ(at.journal.size(), 0);
  EXPECT_EQ(WriteRecord(at.journal, 1), JournalStatus::kOk);
  Journal reopened(at.ram.storage());
  EXPECT_EQ(reopened.Open(), JournalStatus::kOk);
  EXPECT_TRUE(Holds(reopened, 1));
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
        self->memory[256 + 70] |= 0x10;
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

#endif  // TFLM_TRAIN_SMALL_TARGET

}  // namespace
}  // namespace tflm_train_test
