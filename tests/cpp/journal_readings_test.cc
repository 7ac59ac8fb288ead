// The journal, with every power cut and every reading of what a cut leaves in doubt (host only): not
// drawn, but gone through one by one, for as many cuts in a row as it says that it bears.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <unordered_set>

#include "tests/cpp/harness.h"
#include "tflm_kernels/state/journal.h"

namespace tflm_train_test {
namespace {

using tflm_train::Journal;
using tflm_train::JournalStatus;
using tflm_train::Storage;
using tflm_train::StorageSize;

constexpr size_t kUnit = 32;
constexpr int kUnitsOfSlot = 2 + tflm_train::kCommitMarks;  // header, marks, payload
constexpr int kUnits = 2 * kUnitsOfSlot;
constexpr size_t kSlotBytes = kUnitsOfSlot * kUnit;
constexpr int kMostReadings = 3;
constexpr int kNever = -1;

// How far an erase seems to have come that was cut off. It goes through a block from the front or from
// the back: what lies between is as good as all where the header is gone, as the last unit of
// payload where that is.
enum Erased : uint8_t { kNothing, kPayload, kAll, kErasures };

// A program unit: what it may be read as. One reading: it is certain.
struct Unit {
  uint8_t readings[kMostReadings][kUnit];
  uint8_t count;
};

// Flash as it lies there without power. It is compared and copied byte for byte.
struct Flash {
  Unit units[kUnits];
  bool is_interrupted[2];  // the erase of a slot
};

// Flash that is powered: what is in doubt has one reading until the power goes.
class PoweredFlash {
 public:
  // `number` chooses among the readings, of which there are Readings().
  PoweredFlash(Flash* flash, uint32_t number) : flash_(flash) {
    for (int slot = 0; slot < 2; ++slot) {
      erased_[slot] = Take(&number, flash->is_interrupted[slot] ? kErasures : 1);
    }
    for (int i = 0; i < kUnits; ++i) chosen_[i] = Take(&number, flash->units[i].count);
  }

  static uint32_t Readings(const Flash& flash) {
    uint32_t readings = 1;
    for (const bool interrupted : flash.is_interrupted) {
      if (interrupted) readings *= kErasures;
    }
    for (const Unit& unit : flash.units) readings *= unit.count;
    return readings;
  }

  // The power goes at an operation on a unit or a block, counted from now on.
  void CutAt(int operation) { cut_at_ = operation; }
  bool off() const { return off_; }

  Storage storage() { return {this, Size, Read, Erase, Program}; }

 private:
  static uint8_t Take(uint32_t* number, uint32_t choices) {
    const uint32_t taken = *number % choices;
    *number /= choices;
    return static_cast<uint8_t>(taken);
  }

  static PoweredFlash* Self(void* context) { return static_cast<PoweredFlash*>(context); }
  static StorageSize Size(void*) { return {kUnits * kUnit, kSlotBytes, kUnit}; }

  bool IsErased(int unit) const {
    const uint8_t erased = erased_[unit / kUnitsOfSlot];
    return erased == kAll || (erased == kPayload && unit % kUnitsOfSlot == kUnitsOfSlot - 1);
  }

  static bool Read(void* context, size_t offset, void* data, size_t bytes) {
    const PoweredFlash* self = Self(context);
    if (self->off_) return false;
    uint8_t* to = static_cast<uint8_t*>(data);
    for (size_t at = offset; at < offset + bytes; ++at) {
      const int unit = static_cast<int>(at / kUnit);
      const Unit& read = self->flash_->units[unit];
      *to++ = self->IsErased(unit) ? 0xFF : read.readings[self->chosen_[unit]][at % kUnit];
    }
    return true;
  }

  bool Spend() {
    if (!off_ && cut_at_-- == 0) off_ = true;
    return !off_;
  }

  static bool Erase(void* context, size_t offset) {
    PoweredFlash* self = Self(context);
    if (self->off_) return false;
    const size_t slot = offset / kSlotBytes;
    self->flash_->is_interrupted[slot] = !self->Spend();
    if (self->off_) return false;
    self->erased_[slot] = kNothing;
    for (size_t i = slot * kUnitsOfSlot; i < (slot + 1) * kUnitsOfSlot; ++i) {
      Unit blank = {};
      blank.count = 1;
      std::memset(blank.readings[0], 0xFF, kUnit);
      self->flash_->units[i] = blank;
      self->chosen_[i] = 0;
    }
    return true;
  }

  static bool Program(void* context, size_t offset, const void* data, size_t bytes) {
    PoweredFlash* self = Self(context);
    const uint8_t* from = static_cast<const uint8_t*>(data);
    for (size_t at = 0; at < bytes; at += kUnit) {
      if (!self->ProgramUnit(static_cast<int>((offset + at) / kUnit), from + at)) return false;
    }
    return true;
  }

  bool ProgramUnit(int number, const uint8_t* from) {
    if (off_) return false;
    const bool done = Spend();
    if (flash_->is_interrupted[number / kUnitsOfSlot]) return false;  // nothing becomes of it
    Unit& unit = flash_->units[number];
    const bool was_certain = unit.count == 1;
    if (was_certain && unit.readings[0][0] != 0xFF) {
      Fail(__FILE__, __LINE__, "programmed twice, or not erased");
    }
    // What was begun before stays in doubt.
    if (done && was_certain) unit.count = 0;
    chosen_[number] = Insert(&unit, from);
    return done;
  }

  // In order, so that equal units are equal bytes; returns where a reading is.
  static uint8_t Insert(Unit* unit, const uint8_t* reading) {
    uint8_t at = 0;
    while (at < unit->count && std::memcmp(unit->readings[at], reading, kUnit) < 0) ++at;
    if (at < unit->count && std::memcmp(unit->readings[at], reading, kUnit) == 0) return at;
    for (int i = unit->count++; i > at; --i) {
      std::memcpy(unit->readings[i], unit->readings[i - 1], kUnit);
    }
    std::memcpy(unit->readings[at], reading, kUnit);
    return at;
  }

  Flash* flash_;
  uint8_t erased_[2];
  uint8_t chosen_[kUnits];
  int cut_at_ = kNever;
  bool off_ = false;
};

// Where a device may be while it has no power.
struct Situation {
  Flash flash;
  uint8_t shown;   // the record that was shown last; 0: none
  uint8_t newest;  // that may be shown
  uint8_t last;    // that was begun
  uint8_t cuts;    // so far
};

uint64_t HashOf(const Situation& situation) {  // FNV-1a
  uint64_t hash = 0xCBF29CE484222325;
  const auto* bytes = reinterpret_cast<const uint8_t*>(&situation);
  for (size_t i = 0; i < sizeof(situation); ++i) hash = (hash ^ bytes[i]) * 0x100000001B3;
  return hash;
}

// A record of one byte, its number.
JournalStatus WriteNumber(Journal& journal, uint8_t number) { return journal.Write(&number, 1); }

int NumberOf(const Journal& journal) {
  uint8_t number = 0;
  return journal.size() == 1 && journal.Read(0, &number, 1) == JournalStatus::kOk ? number : 0;
}

// Goes through all that may become of a situation.
class Explorer {
 public:
  explicit Explorer(uint8_t writes) : writes_(writes) {}

  // Every reading of what is in doubt, every cut of the power-up and of a write after it.
  void Explore(const Situation& situation) {
    if (failed_ || !seen_.insert(HashOf(situation)).second) return;
    const uint32_t readings = PoweredFlash::Readings(situation.flash);
    for (uint32_t reading = 0; reading < readings && !failed_; ++reading) {
      int cut = 0;
      while (PowerUp(situation, reading, cut, false)) ++cut;
      if (situation.last == writes_) continue;
      while (PowerUp(situation, reading, cut, true)) ++cut;
    }
  }

  size_t situations() const { return seen_.size(); }
  size_t power_ups() const { return power_ups_; }

 private:
  // Returns whether the power went.
  bool PowerUp(Situation now, uint32_t reading, int cut, bool writes) {
    PoweredFlash flash(&now.flash, reading);
    flash.CutAt(cut);
    ++power_ups_;
    Journal journal(flash.storage());
    const JournalStatus status = journal.Open();
    if (flash.off()) return Cut(now);
    const int shown = NumberOf(journal);
    Expect(status == (shown == 0 ? JournalStatus::kEmpty : JournalStatus::kOk));
    Expect(shown >= now.shown && shown <= now.newest);
    now.shown = now.newest = static_cast<uint8_t>(shown);  // what was begun after it never comes
    if (writes) {
      now.newest = ++now.last;
      const JournalStatus written = WriteNumber(journal, now.last);
      if (flash.off()) return Cut(now);
      Expect(written == JournalStatus::kOk);
      now.shown = now.last;
    }
    Explore(now);
    return false;
  }

  bool Cut(Situation now) {
    if (++now.cuts <= tflm_train::kCutsBorne) Explore(now);
    return true;
  }

  void Expect(bool condition) {
    EXPECT_TRUE(condition);
    failed_ = failed_ || !condition;
  }

  std::unordered_set<uint64_t> seen_;
  size_t power_ups_ = 0;
  uint8_t writes_;
  bool failed_ = false;
};

TEST(Journal, BearsWhateverBitsInDoubtRead) {
  Situation start = {};
  // All zeros: what is new to us is not erased.
  for (Unit& unit : start.flash.units) unit.count = 1;
  Explorer explorer(3);
  explorer.Explore(start);
  std::printf("%zu situations, %zu power-ups\n", explorer.situations(), explorer.power_ups());
}

}  // namespace
}  // namespace tflm_train_test
