#include "tests/cpp/harness.h"

#ifndef TEST_ARENA_BYTES
#ifdef TFLM_TRAIN_MEDIUM_TARGET
#define TEST_ARENA_BYTES (64 * 1024)
#else
#define TEST_ARENA_BYTES (1536 * 1024)
#endif
#endif

namespace tflm_train_test {
namespace {

constexpr size_t kCanaryBytes = 16;
constexpr uint8_t kCanary = 0xC5;
constexpr uint8_t kUnwritten = 0x5A;

// Each block in the arena: this header, canary, the bytes, canary (and padding, canary as well).
struct Block {
  size_t bytes;
  size_t padded;
};

alignas(8) uint8_t arena[TEST_ARENA_BYTES];
size_t arena_used = 0;

Test* first_test = nullptr;
Test** last_link = &first_test;

const char* case_suite = nullptr;
const char* case_name = nullptr;
bool case_failed = false;
int passed = 0;
int failed = 0;

void PrintNumber(int64_t value) {
  char text[24];
  char* end = text + sizeof(text) - 1;
  *end = '\0';
  uint64_t rest = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  do {
    *--end = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (value < 0) *--end = '-';
  Print(end);
}

size_t RoundUp(size_t bytes) { return (bytes + 7) & ~static_cast<size_t>(7); }

void CheckCanaries() {
  for (size_t at = 0; at < arena_used;) {
    Block block;
    std::memcpy(&block, arena + at, sizeof(block));
    const uint8_t* before = arena + at + sizeof(Block);
    const uint8_t* data = before + kCanaryBytes;
    for (size_t i = 0; i < kCanaryBytes; ++i) {
      if (before[i] != kCanary) return Fail("canary", 0, "a byte BEFORE a buffer was written");
    }
    for (size_t i = block.bytes; i < block.padded + kCanaryBytes; ++i) {
      if (data[i] != kCanary) return Fail("canary", 0, "a byte AFTER a buffer was written");
    }
    at += sizeof(Block) + kCanaryBytes + block.padded + kCanaryBytes;
  }
}

void Open(const char* suite, const char* name) {
  case_suite = suite;
  case_name = name;
}

// Counts the open case; with none open, counts a failure noted since the last one.
void Close() {
  if (case_name == nullptr && !case_failed) return;
  CheckCanaries();
  ++(case_failed ? failed : passed);
  case_name = nullptr;
  case_failed = false;
  arena_used = 0;
}

}  // namespace

Test::Test(const char* test_suite, const char* test_name, void (*test_body)())
    : suite(test_suite), name(test_name), body(test_body), next(nullptr) {
  *last_link = this;
  last_link = &next;
}

Case::Case(const char* suite, const char* name) {
  // The TEST around golden cases is no case of its own, unless it failed before the first of them.
  if (case_failed) Close();
  Open(suite, name);
}

Case::~Case() { Close(); }

void Fail(const char* file, int line, const char* what) {
  case_failed = true;
  Print("FAILED ");
  Print(case_suite);
  Print(".");
  Print(case_name == nullptr ? "(outside a case)" : case_name);
  Print(": ");
  Print(file);
  Print(":");
  PrintNumber(line);
  Print(": ");
  Print(what);
  Print("\n");
}

void FailValues(const char* file, int line, const char* what, int64_t got, int64_t want) {
  Fail(file, line, what);
  Print("  got ");
  PrintNumber(got);
  Print(", want ");
  PrintNumber(want);
  Print("\n");
}

void ExpectBytes(const char* file, int line, const char* what, const void* got, const void* want,
                 size_t bytes) {
  const uint8_t* got_bytes = static_cast<const uint8_t*>(got);
  const uint8_t* want_bytes = static_cast<const uint8_t*>(want);
  size_t different = 0;
  size_t first = 0;
  for (size_t i = 0; i < bytes; ++i) {
    if (got_bytes[i] == want_bytes[i]) continue;
    if (different == 0) first = i;
    ++different;
  }
  if (different == 0) return;
  FailValues(file, line, what, got_bytes[first], want_bytes[first]);
  Print("  at byte ");
  PrintNumber(static_cast<int64_t>(first));
  Print(" of ");
  PrintNumber(static_cast<int64_t>(bytes));
  Print("; bytes that differ: ");
  PrintNumber(static_cast<int64_t>(different));
  Print("\n");
}

void* GuardedBytes(size_t bytes) {
  const Block block = {bytes, RoundUp(bytes)};
  const size_t needed = sizeof(Block) + kCanaryBytes + block.padded + kCanaryBytes;
  if (needed > sizeof(arena) - arena_used) {
    Fail("harness", 0, "the test arena is too small (TEST_ARENA_BYTES)");
    Close();
    Print("the run ends here: nothing after this case was tested\n");
    __builtin_trap();
  }
  uint8_t* at = arena + arena_used;
  std::memcpy(at, &block, sizeof(block));
  at += sizeof(Block);
  std::memset(at, kCanary, needed - sizeof(Block));
  std::memset(at + kCanaryBytes, kUnwritten, bytes);
  arena_used += needed;
  return at + kCanaryBytes;
}

int RunAllTests() {
  for (const Test* test = first_test; test != nullptr; test = test->next) {
    Open(test->suite, test->name);
    test->body();
    Close();
  }
  PrintNumber(passed);
  Print(" passed, ");
  PrintNumber(failed);
  Print(" failed\n");
  return failed == 0 && passed > 0 ? 0 : 1;
}

}  // namespace tflm_train_test

int main() { return tflm_train_test::RunAllTests(); }
