// Runs the nodes (node.h) of the file `nodes.bin` in the current folder, and prints a line for each:
// R: Prepare refused it, P: it would take too long or too much memory, or I and the checksum of all
// its tensors. On a PC and, by semihosting, on an emulated board.
//
// Each node in the file follows its number of bytes, a uint32.

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "tests/fuzz/node.h"

#if defined(__linux__)

namespace {

class File {
 public:
  explicit File(const char* name) : file_(std::fopen(name, "rb")) {}
  ~File() {
    if (file_ != nullptr) std::fclose(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool Read(void* data, size_t bytes) {
    return file_ != nullptr && std::fread(data, 1, bytes, file_) == bytes;
  }

 private:
  std::FILE* file_;
};

void Print(const char* text) { std::fputs(text, stdout); }

}  // namespace

#else

#include "tests/cpp/harness.h"
#include "tests/cpp/target/semihosting.h"

namespace {

using tflm_train_test::Print;
using tflm_train_test::Semihost;

class File {
 public:
  explicit File(const char* name) {
    const uintptr_t open[] = {reinterpret_cast<uintptr_t>(name), kBinary, std::strlen(name)};
    handle_ = Semihost(kOpen, open);
  }

  bool Read(void* data, size_t bytes) {
    const uintptr_t read[] = {handle_, reinterpret_cast<uintptr_t>(data), bytes};
    return handle_ != kNoFile && Semihost(kRead, read) == 0;  // bytes that are missing
  }

 private:
  static constexpr uint32_t kOpen = 0x01;
  static constexpr uint32_t kRead = 0x06;
  static constexpr uintptr_t kBinary = 1;
  static constexpr uint32_t kNoFile = 0xFFFFFFFF;
  uint32_t handle_;
};

}  // namespace

#endif

int main() {
  constexpr tflm_train_fuzz::Budget kBudget = {size_t{1} << 18, 1e6, 3};
  File file("nodes.bin");
  std::vector<uint8_t> bytes;
  std::vector<char> refusal;
  uint32_t size;
  while (file.Read(&size, sizeof(size))) {
    bytes.resize(size);
    if (!file.Read(bytes.data(), size)) return 1;
    const tflm_train_fuzz::FuzzNode node = tflm_train_fuzz::ReadNode(bytes.data(), size);
    uint32_t sum = 0x811C9DC5u;
    char line[16];
    switch (RunNode(node, kBudget, &refusal, &sum)) {
      case tflm_train_fuzz::Outcome::kRefused:
        Print("R ");
        Print(refusal.data());
        Print("\n");
        break;
      case tflm_train_fuzz::Outcome::kPrepared:
        Print("P\n");
        break;
      default:
        std::snprintf(line, sizeof(line), "I %08lx\n", static_cast<unsigned long>(sum));
        Print(line);
    }
  }
  return 0;
}
