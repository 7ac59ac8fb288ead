// The journal, with the power cut at every byte that it erases or programs, in random histories of
// cuts, and with an error at every call of the storage.

#if !defined(TFLM_TRAIN_SMALL_TARGET)  // its flash is full

#include <initializer_list>

#include "tests/cpp/campaign.h"
#include "tests/cpp/flash_simulator.h"
#include "tests/cpp/harness.h"
#include "tests/cpp/journal_records.h"
#include "tflm_kernels/state/journal.h"

namespace tflm_train_test {
namespace {

using tflm_train::StorageSize;

struct Kind {
  const char* name;
  Cut cut;
};

constexpr Kind kKinds[] = {
    {"torn", Cut::kTorn},
    {"unreadable", Cut::kEcc},
    {"marginal", Cut::kMarginal},
    {"marginal, held for a power-up", Cut::kHeld},
};

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

// Emulated boards go through a part of the histories.
#if defined(__arm__)
constexpr uint32_t kHistories = 40;
constexpr size_t kStageBytes = tflm_train::kMaxProgramUnit;
#else
constexpr uint32_t kHistories = 400;
constexpr size_t kStageBytes = tflm_train::kLargestProgramUnit;
#endif

// Flash, and the stage of the journals in it.
class Device {
 public:
  Device(const StorageSize& size, Cut cut)
      : memory_(Guarded<uint8_t>(2 * size.bytes + size.bytes / size.program_unit)),
        stage_(Guarded<uint8_t>(kStageBytes)),
        size_(size),
        cut_(cut) {}

  FlashSimulator New() {
    FlashSimulator flash(size_, cut_, memory_, memory_ + size_.bytes, memory_ + 2 * size_.bytes);
    const size_t unit = size_.program_unit;
    flash.BearInterruptedMarks(size_.bytes / 2 / size_.erase_block * size_.erase_block,
                               (28 + unit - 1) / unit * unit);
    return flash;
  }
  uint8_t* stage() { return stage_; }

 private:
  uint8_t* memory_;
  uint8_t* stage_;
  StorageSize size_;
  Cut cut_;
};

// What is known of a journal: which record it shows, or that it may be one that was begun since.
struct Known {
  uint32_t shown = 0;  // 0: none
  uint32_t begun = 0;  // since then; 0: none
  uint32_t last = 0;   // of all

  // Opens the journal, whose supply may fail after some bytes. What it shows stays.
  void Open(FlashSimulator& flash, Device& device, size_t budget) {
    flash.Power(budget);
    Journal journal(flash.storage(), device.stage(), kStageBytes);
    const JournalStatus status = journal.Open();
    if (!flash.off()) Look(journal, status);
  }

  // Opens it and writes the next record.
  void Write(FlashSimulator& flash, Device& device, size_t budget) {
    flash.Power(kNoCut);
    Journal journal(flash.storage(), device.stage(), kStageBytes);
    const JournalStatus status = journal.Open();
    Look(journal, status);
    flash.Power(budget);
    begun = ++last;
    const JournalStatus written = WriteRecord(journal, last);
    EXPECT_TRUE(flash.off() || written == JournalStatus::kOk);
    if (written == JournalStatus::kOk) shown = last;
  }

 private:
  void Look(const Journal& journal, JournalStatus status) {
    if (begun != 0 && status == JournalStatus::kOk && Holds(journal, begun)) shown = begun;
    begun = 0;
    if (shown != 0) {
      EXPECT_EQ(status, JournalStatus::kOk);
      EXPECT_TRUE(Holds(journal, shown));
    } else {
      EXPECT_TRUE(status == JournalStatus::kEmpty || status == JournalStatus::kUnreadable);
    }
  }
};

// The supply fails at every byte of the fourth write, then at some byte of what follows it.
TEST(Journal, SurvivesACutAtEveryByte) {
  for (const Geometry& geometry : kGeometries) {
    for (const Kind& kind : kKinds) {
      Case scope(geometry.name, kind.name);
      Device device(geometry.size, kind.cut);
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
          EXPECT_EQ(known.shown, known.last);
        }
      }
      EXPECT_TRUE(cuts * step >= 2 * (BytesOf(0) + 32));
    }
  }
}

// Histories of twelve writes and up to four power-ups after each, half of which are cut anywhere.
TEST(Journal, LosesNothingInRandomHistories) {
  uint64_t histories = 0;
  uint64_t cuts = 0;
  for (const Geometry& geometry : kGeometries) {
    for (const Kind& kind : kKinds) {
      Case scope(geometry.name, kind.name);
      Device device(geometry.size, kind.cut);
      const uint32_t share = geometry.size.bytes > 2048 ? 8 : 1;
      for (uint32_t history = 0; history < kHistories * Campaign() / share; ++history) {
        FlashSimulator flash = device.New();
        flash.Seed(history);
        uint32_t random = history * 2654435761u + 12345;
        const auto dice = [&] {
          random = random * 1664525 + 1013904223;
          return random >> 8;
        };
        const auto budget = [&] {
          const uint32_t eyes = dice();
          if (eyes % 2 == 0) return kNoCut;
          const size_t most =
              eyes % 4 == 1 ? 40 * geometry.size.program_unit : 2 * geometry.size.erase_block + 300;
          return static_cast<size_t>(eyes / 4 % most);
        };
        Known known;
        for (int i = 0; i < 12; ++i) {
          known.Write(flash, device, budget());
          cuts += flash.off();
          for (uint32_t opens = dice() % tflm_train::kCutsBorne; opens > 0; --opens) {
            known.Open(flash, device, budget());
            cuts += flash.off();
          }
        }
        known.Open(flash, device, kNoCut);
        ++histories;
      }
    }
  }
  if (Campaign() > 1) {
    PrintNumber("histories: ", histories);
    PrintNumber("power cuts in them: ", cuts);
  }
}

// An error of the driver at each of its calls in turn, and at all of them from there on: a status,
// and the record before or after.
TEST(Journal, SurvivesAnErrorAtEveryCall) {
  uint64_t failures = 0;
  for (const Geometry& geometry : kGeometries) {
    for (const bool for_good : {false, true}) {
      Case scope(for_good ? "Journal.ErrorsForGood" : "Journal.Errors", geometry.name);
      Device device(geometry.size, Cut::kTorn);
      for (uint64_t call = 0;; ++call) {
        FlashSimulator flash = device.New();
        flash.Power(kNoCut);
        flash.Seed(static_cast<uint32_t>(call));
        Journal journal(flash.storage(), device.stage(), kStageBytes);
        EXPECT_TRUE(journal.Open() == JournalStatus::kEmpty);
        EXPECT_EQ(WriteRecord(journal, 1), JournalStatus::kOk);
        EXPECT_EQ(WriteRecord(journal, 2), JournalStatus::kOk);
        flash.FailAt(call, for_good);
        uint32_t newest = 2;
        Journal again(flash.storage(), device.stage(), kStageBytes);
        const bool is_open = again.Open() == JournalStatus::kOk;
        // One error is none; where nothing can be read there is no record to write another one after.
        if (!for_good) EXPECT_TRUE(is_open && Holds(again, 2));
        if (is_open && Holds(again, 2)) {
          for (uint32_t number = 3; number <= 4; ++number) {
            if (WriteRecord(again, number) == JournalStatus::kOk) newest = number;
          }
        }
        const bool has_failed = flash.calls() > call;
        flash.FailAt(kNoError);
        Journal after(flash.storage(), device.stage(), kStageBytes);
        EXPECT_EQ(after.Open(), JournalStatus::kOk);
        bool holds = false;
        for (uint32_t number = newest; number <= 4; ++number) holds = holds || Holds(after, number);
        EXPECT_TRUE(holds);
        EXPECT_EQ(WriteRecord(after, 5), JournalStatus::kOk);
        EXPECT_TRUE(Holds(after, 5));
        if (!has_failed) break;
        ++failures;
      }
    }
  }
  if (Campaign() > 1) PrintNumber("storage calls that failed: ", failures);
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
  Journal none(flash.storage());
  EXPECT_EQ(none.Open(), JournalStatus::kUnreadable);
  EXPECT_EQ(none.size(), 0);
}

}  // namespace
}  // namespace tflm_train_test

#endif  // TFLM_TRAIN_SMALL_TARGET
