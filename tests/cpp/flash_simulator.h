// Flash whose supply fails, whose words go bad and whose driver reports errors, for tests of what
// lies in flash.

#ifndef TFLM_TRAIN_TESTS_CPP_FLASH_SIMULATOR_H_
#define TFLM_TRAIN_TESTS_CPP_FLASH_SIMULATOR_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/cpp/harness.h"
#include "tflm_kernels/state/commit_marks.h"
#include "tflm_kernels/state/storage.h"

namespace tflm_train_test {

constexpr size_t kNoCut = SIZE_MAX;
constexpr uint64_t kNoError = UINT64_MAX;

// What a cut leaves of the program unit or the erase block in work.
enum class Cut {
  kTorn,      // a part of its bytes done, or noise
  kEcc,       // it cannot be read until it is erased
  kMarginal,  // some of its bits read differently every time until it is erased
  kHeld,      // the same, but each holds one value from a power-up to the next
};

// Everything is in the caller's memory: [size.bytes] contents, as many of doubtful bits, and a
// state for each program unit. Copying these is taking a snapshot.
class FlashSimulator {
 public:
  FlashSimulator(const tflm_train::StorageSize& size, Cut cut, uint8_t* contents, uint8_t* doubtful,
                 uint8_t* units)
      : size_(size), cut_(cut), contents_(contents), doubtful_(doubtful), units_(units) {
    std::memset(contents, 0xA7, size.bytes);  // a part is not erased when it is new to us
    std::memset(doubtful, 0, size.bytes);
    std::memset(units, kProgrammed, size.bytes / size.program_unit);
  }

  // The supply fails after a number of bytes that are erased or programmed.
  void Power(size_t budget) {
    budget_ = budget;
    off_ = false;
    power_up_ = Random();
    cost_ = 0;
    cut_at_ = kNoCut;
  }
  bool off() const { return off_; }
  // Where a program unit was being programmed when it failed; kNoCut: it was not.
  size_t cut_at() const { return cut_at_; }
  size_t cost() const { return cost_; }

  // The driver reports an error at one call of any function, counted from now on, or at all from
  // there on; what it was asked for is done all the same, half done, or not done.
  void FailAt(uint64_t call, bool for_good = false) {
    calls_ = 0;
    fail_at_ = call;
    fails_for_good_ = for_good;
  }
  uint64_t calls() const { return calls_; }

  // Commit marks of what was aborted may be programmed though its erase was cut off: whatever then
  // becomes of them. They begin somewhere in every part of so many bytes.
  void BearInterruptedMarks(size_t part, size_t begin) {
    part_ = part;
    marks_begin_ = begin;
    marks_end_ = begin + tflm_train::CommitMarks::Bytes(size_.program_unit);
  }

  // A program unit that can never be read.
  void Kill(size_t unit) { units_[unit] = kDead; }

  void Seed(uint32_t seed) { random_ = seed * 2654435761u + 1; }

  // Bytes programmed and erased since the beginning.
  uint64_t programmed() const { return programmed_; }
  uint64_t erased() const { return erased_; }

  // How often the most and the least erased block were; those never erased do not count.
  uint32_t MostErased() const {
    uint32_t most = 0;
    for (uint32_t times : wear_) most = times > most ? times : most;
    return most;
  }
  uint32_t LeastErased() const {
    uint32_t least = UINT32_MAX;
    for (uint32_t times : wear_) least = times > 0 && times < least ? times : least;
    return least;
  }

  tflm_train::Storage storage() { return {this, Size, Read, Erase, Program}; }

 private:
  enum UnitState : uint8_t { kBlank, kProgrammed, kBegun, kInterrupted, kUnreadable, kDead };

  static FlashSimulator* Self(void* context) { return static_cast<FlashSimulator*>(context); }
  static tflm_train::StorageSize Size(void* context) { return Self(context)->size_; }

  uint32_t Random() {  // xorshift32
    random_ ^= random_ << 13;
    random_ ^= random_ >> 17;
    random_ ^= random_ << 5;
    return random_;
  }

  // Which bits of a byte read other than they lie.
  uint32_t Flips(size_t at) {
    if (cut_ != Cut::kHeld) return Random();
    // A program unit reads as if it had not been begun, as if it were done, or mixed.
    const uint32_t unit = Hash(power_up_ + static_cast<uint32_t>(at / size_.program_unit));
    return unit % 3 == 0 ? 0 : unit % 3 == 1 ? 0xFF : Hash(unit + static_cast<uint32_t>(at));
  }

  static uint32_t Hash(uint32_t value) {  // of MurmurHash3
    value = (value ^ value >> 16) * 0x85EBCA6B;
    value = (value ^ value >> 13) * 0xC2B2AE35;
    return value ^ value >> 16;
  }

  bool HasDoubts() const { return cut_ == Cut::kMarginal || cut_ == Cut::kHeld; }

  bool CallFails() {
    const uint64_t call = calls_++;
    return call == fail_at_ || (call > fail_at_ && fails_for_good_);
  }

  bool Spend() {
    if (off_) return false;
    ++cost_;
    if (budget_-- == 0) off_ = true;
    return !off_;
  }

  static bool Read(void* context, size_t offset, void* data, size_t bytes) {
    FlashSimulator* self = Self(context);
    if (self->off_ || self->CallFails()) return false;
    if (offset > self->size_.bytes || bytes > self->size_.bytes - offset) {
      Fail(__FILE__, __LINE__, "read outside of the storage");
      return false;
    }
    uint8_t* to = static_cast<uint8_t*>(data);
    for (size_t i = offset; i < offset + bytes; ++i) {
      if (self->units_[i / self->size_.program_unit] >= kUnreadable) return false;
      const uint8_t doubtful = self->doubtful_[i];
      *to++ = doubtful == 0
                  ? self->contents_[i]
                  : static_cast<uint8_t>(self->contents_[i] ^ (doubtful & self->Flips(i)));
    }
    return true;
  }

  static bool Erase(void* context, size_t offset) {
    FlashSimulator* self = Self(context);
    if (self->off_) return false;
    const size_t block = self->size_.erase_block;
    if (offset % block != 0 || offset + block > self->size_.bytes) {
      Fail(__FILE__, __LINE__, "no erase block begins there");
      return false;
    }
    const bool fails = self->CallFails();
    if (fails && self->Random() % 2 == 0) return false;
    for (size_t i = 0; i < block; ++i) {
      if (self->Spend()) continue;
      self->CutErase(offset, i);
      return false;
    }
    self->erased_ += block;
    if (offset / block < kMostBlocks) ++self->wear_[offset / block];
    const size_t unit = self->size_.program_unit;
    for (size_t u = offset / unit; u < (offset + block + unit - 1) / unit; ++u) {
      if (self->units_[u] != kDead) self->units_[u] = kBlank;
    }
    std::memset(self->contents_ + offset, 0xFF, block);
    std::memset(self->doubtful_ + offset, 0, block);
    return !fails;
  }

  void CutErase(size_t offset, size_t done) {
    const size_t block = size_.erase_block;
    const bool noise = Random() % 2 == 0;
    // How many of 256 bytes are in doubt: hardly any when it had just begun.
    constexpr uint32_t kShares[] = {1, 16, 128, 256};
    const uint32_t share = kShares[Random() % 4];
    for (size_t i = offset; i < offset + block; ++i) {
      const size_t unit = i / size_.program_unit;
      if (units_[unit] != kDead) units_[unit] = cut_ == Cut::kEcc ? kUnreadable : kInterrupted;
      const uint8_t old = contents_[i];
      if (HasDoubts()) {
        // It had just begun, or was nearly done: what was in doubt before is so still, or as the rest.
        const uint32_t any = Random() % 256 < share ? Random() : 0;
        const uint8_t before = noise ? static_cast<uint8_t>(doubtful_[i] & any) : doubtful_[i];
        doubtful_[i] = static_cast<uint8_t>(before | (~old & any));
        if (noise) contents_[i] = 0xFF;
      } else if (noise) {
        contents_[i] = static_cast<uint8_t>(Random());
      } else if (i < offset + done) {
        contents_[i] = 0xFF;
      }
    }
  }

  static bool Program(void* context, size_t offset, const void* data, size_t bytes) {
    FlashSimulator* self = Self(context);
    if (self->off_) return false;
    const size_t unit = self->size_.program_unit;
    if (offset % unit != 0 || bytes % unit != 0 || offset + bytes > self->size_.bytes) {
      Fail(__FILE__, __LINE__, "not whole program units of the storage");
      return false;
    }
    const bool fails = self->CallFails();
    const size_t part = fails ? self->Random() % (bytes / unit + 1) * unit : bytes;
    const uint8_t* from = static_cast<const uint8_t*>(data);
    for (size_t at = 0; at < part; at += unit) {
      if (!self->ProgramUnit(offset + at, from + at)) return false;
    }
    return !fails;
  }

  static bool IsErased(const uint8_t* data, size_t bytes) {
    size_t i = 0;
    while (i < bytes && data[i] == 0xFF) ++i;
    return i == bytes;
  }

  bool IsMark(size_t offset) const {
    return part_ > 0 && offset % part_ >= marks_begin_ && offset % part_ < marks_end_;
  }

  bool ProgramUnit(size_t offset, const uint8_t* from) {
    const size_t unit = size_.program_unit;
    uint8_t& state = units_[offset / unit];
    if (state == kProgrammed || (state == kInterrupted && !IsMark(offset))) {
      Fail(__FILE__, __LINE__, "programmed twice, or not erased");
    }
    if (state >= kUnreadable) return false;
    for (size_t i = 0; i < unit; ++i) {
      if (Spend()) continue;
      CutProgram(offset, from, i);
      return false;
    }
    programmed_ += unit;
    for (size_t i = 0; i < unit; ++i) contents_[offset + i] &= from[i];
    if (state == kInterrupted) {
      for (size_t i = 0; i < unit && HasDoubts(); ++i) doubtful_[offset + i] |= Random();
      return Random() % 2 == 0;
    }
    // One that was begun before stays in doubt; what holds nothing but 0xFF is as if erased.
    if (state == kBlank && !IsErased(from, unit)) state = kProgrammed;
    return true;
  }

  void CutProgram(size_t offset, const uint8_t* from, size_t done) {
    const size_t unit = size_.program_unit;
    cut_at_ = offset;
    uint8_t& state = units_[offset / unit];
    state = cut_ == Cut::kEcc ? kUnreadable : state == kInterrupted ? kInterrupted : kBegun;
    const uint32_t kind = Random() % 3;
    const size_t one = Random() % unit;  // the byte in doubt
    for (size_t i = 0; i < unit; ++i) {
      uint8_t& byte = contents_[offset + i];
      if (!HasDoubts()) {
        if (i < done) byte &= from[i];
        if (i == done) byte &= static_cast<uint8_t>(from[i] | 0xA5);
      } else if (kind == 0) {  // all in doubt
        doubtful_[offset + i] |= static_cast<uint8_t>(byte & ~from[i]);
      } else {  // one bit in doubt, the others done, or not yet
        const uint8_t bits = static_cast<uint8_t>(byte & ~from[i]);
        if (i == one) doubtful_[offset + i] |= static_cast<uint8_t>(bits & (0 - bits));
        if (kind == 1) byte &= from[i];
      }
    }
  }

  tflm_train::StorageSize size_;
  Cut cut_;
  uint8_t* contents_;
  uint8_t* doubtful_;
  uint8_t* units_;
  size_t budget_ = kNoCut;
  size_t cost_ = 0;
  size_t cut_at_ = kNoCut;
  bool off_ = false;
  size_t part_ = 0;
  size_t marks_begin_ = 0;
  size_t marks_end_ = 0;
  uint64_t calls_ = 0;
  uint64_t fail_at_ = kNoError;
  bool fails_for_good_ = false;
  uint64_t programmed_ = 0;
  uint64_t erased_ = 0;
  uint32_t random_ = 1;
  uint32_t power_up_ = 0;
  static constexpr size_t kMostBlocks = 32;
  uint32_t wear_[kMostBlocks] = {};
};

}  // namespace tflm_train_test

#endif  // TFLM_TRAIN_TESTS_CPP_FLASH_SIMULATOR_H_
