// What the journal (journal.h) asks of non-volatile memory: four functions, easily written
// over any microcontroller's flash driver. Also a storage in RAM, for
// battery-backed memory and for tests.

#ifndef TFLM_KERNELS_STATE_STORAGE_H_
#define TFLM_KERNELS_STATE_STORAGE_H_

#include <cstddef>
#include <cstdint>

namespace tflm_train {

// How the memory is organised.
struct StorageSize {
  size_t bytes;  // of the whole area given to the journal
  // Bytes erased at a time (1 for memory that needs no erasing). All blocks of the area have this
  // size: where a part's sectors differ (STM32F4: 16, 64 and 128 KB), give it some that are alike.
  // 0: those of the area are not, which Open refuses.
  size_t erase_block;
  size_t program_unit;  // bytes programmed at a time: a power of two, at most kMaxProgramUnit
};

constexpr size_t kMaxProgramUnit = 256;       // a page of the serial flash of an RP2040
constexpr size_t kLargestProgramUnit = 4096;  // of a journal with a stage of its own

// Offsets count from the start of the area. Functions return false when the
// hardware reports an error: also `read`, where ECC finds a word that cannot be
// corrected (a handler for the fault or interrupt that it raises has to say so).
struct Storage {
  void* context;  // handed to each function

  StorageSize (*size)(void* context);

  // Any offset, any number of bytes.
  bool (*read)(void* context, size_t offset, void* data, size_t bytes);

  // Sets the erase block that starts at `offset` to 0xFF.
  bool (*erase)(void* context, size_t offset);

  // `offset` and `bytes` are multiples of program_unit. No unit is programmed twice
  // between two erases (flash with ECC asks for that), unless a power cut had begun it
  // and it read blank since, or had broken off the erase: then it may fail. `data` has any
  // alignment.
  bool (*program)(void* context, size_t offset, const void* data, size_t bytes);
};

// Reads; where that fails, once more: an error that passes must neither cost a record nor change a
// decision.
bool ReadTwice(const Storage& storage, size_t offset, void* data, size_t bytes);

// Whether all bytes can be read and are as an erase leaves them.
bool IsBlank(const Storage& storage, size_t offset, size_t bytes);

// Storage in RAM, with the rules of flash: what is not erased is not
// programmed. The memory is the caller's and keeps its contents.
class RamStorage {
 public:
  RamStorage(void* memory, const StorageSize& size)
      : memory_(static_cast<uint8_t*>(memory)), size_(size) {}

  // Valid as long as this object.
  Storage storage();

 private:
  static StorageSize Size(void* context);
  static bool Read(void* context, size_t offset, void* data, size_t bytes);
  static bool Erase(void* context, size_t offset);
  static bool Program(void* context, size_t offset, const void* data, size_t bytes);

  uint8_t* memory_;
  StorageSize size_;
};

}  // namespace tflm_train

#endif  // TFLM_KERNELS_STATE_STORAGE_H_
