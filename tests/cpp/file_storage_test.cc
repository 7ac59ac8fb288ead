// The journal in a file (host only).

#include "tflm_kernels/host/file_storage.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "tests/cpp/harness.h"
#include "tflm_kernels/state/journal.h"

namespace tflm_train_test {
namespace {

using tflm_train::FileStorage;
using tflm_train::Journal;
using tflm_train::JournalStatus;
using tflm_train::Storage;
using tflm_train::StorageSize;

constexpr StorageSize kSize = {8 * 128, 128, 8};

// A file name of this test's own, removed at the end.
struct TemporaryPath {
  TemporaryPath() {
    const char* folder = std::getenv("TEST_TMPDIR");
    std::snprintf(path, sizeof(path), "%s/journal_XXXXXX", folder == nullptr ? "/tmp" : folder);
    const int file = mkstemp(path);
    EXPECT_TRUE(file >= 0);
    close(file);
  }
  ~TemporaryPath() { unlink(path); }
  char path[512];
};

TEST(FileStorage, KeepsTheRecordBetweenOpenings) {
  const TemporaryPath temporary;
  for (int number = 0; number < 5; ++number) {
    FileStorage file(temporary.path, kSize);
    EXPECT_TRUE(file.ok());
    Journal journal(file.storage());
    EXPECT_EQ(journal.Open(), number == 0 ? JournalStatus::kEmpty : JournalStatus::kOk);
    uint8_t record[150];
    if (number > 0) {
      EXPECT_EQ(journal.size(), sizeof(record));
      EXPECT_EQ(journal.Read(0, record, sizeof(record)), JournalStatus::kOk);
      for (uint8_t byte : record) EXPECT_EQ(byte, number - 1);
    }
    std::memset(record, number, sizeof(record));
    EXPECT_EQ(journal.Write(record, sizeof(record)), JournalStatus::kOk);
  }
}

TEST(FileStorage, HasTheRulesOfFlash) {
  const TemporaryPath temporary;
  FileStorage file(temporary.path, kSize);
  const Storage storage = file.storage();
  uint8_t data[16] = {};
  EXPECT_TRUE(storage.program(storage.context, 8, data, 16));
  EXPECT_TRUE(!storage.program(storage.context, 16, data, 8));    // not erased
  EXPECT_TRUE(!storage.program(storage.context, 36, data, 8));    // not a unit
  EXPECT_TRUE(!storage.program(storage.context, 1024, data, 8));  // outside
  EXPECT_TRUE(!storage.read(storage.context, 1022, data, 3));
  EXPECT_TRUE(!storage.erase(storage.context, 64));
  EXPECT_TRUE(storage.erase(storage.context, 0));
  EXPECT_TRUE(storage.read(storage.context, 8, data, 16));
  for (uint8_t byte : data) EXPECT_EQ(byte, 0xFF);
}

TEST(FileStorage, CompletesAFileCutShort) {
  const TemporaryPath temporary;
  EXPECT_EQ(truncate(temporary.path, 100), 0);
  FileStorage file(temporary.path, kSize);
  EXPECT_TRUE(file.ok());
  Journal journal(file.storage());
  EXPECT_EQ(journal.Open(), JournalStatus::kEmpty);
}

TEST(FileStorage, SaysWhenTheFileCannotBeOpened) {
  FileStorage file("/nonexistent/journal", kSize);
  EXPECT_TRUE(!file.ok());
  Journal journal(file.storage());
  EXPECT_EQ(journal.Open(), JournalStatus::kUnreadable);
  EXPECT_EQ(journal.Write("", 1), JournalStatus::kStorageFailed);
}

}  // namespace
}  // namespace tflm_train_test
