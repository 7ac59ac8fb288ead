// A test harness small enough for a Cortex-M0: no heap, no iostream, no exceptions. The same test
// sources run on the host (Bazel) and on emulated boards (semihosting).
//
//   TEST(RoundShift, HalvesGoAwayFromZero) { EXPECT_EQ(RoundShift(3, 1), 2); }
//
// A test that walks over golden cases opens a `Case` for each, so that each is counted and named.
// Buffers that a kernel writes come from `Guarded`: they lie between canaries, checked when the
// case ends.

#ifndef TFLM_TRAIN_TESTS_CPP_HARNESS_H_
#define TFLM_TRAIN_TESTS_CPP_HARNESS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace tflm_train_test {

// Provided by platform_host.cc or target/platform_semihosting.cc.
void Print(const char* text);

// One entry of the list of tests; `TEST` makes them as static objects.
class Test {
 public:
  Test(const char* suite, const char* name, void (*body)());

  const char* suite;
  const char* name;
  void (*body)();
  Test* next;
};

// The unit that is counted as passed or failed. Cases do not nest: opening one inside a TEST ends
// the test's own.
class Case {
 public:
  Case(const char* suite, const char* name);
  ~Case();
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;
};

// Prints where and what, and marks the running case as failed.
void Fail(const char* file, int line, const char* what);
void FailValues(const char* file, int line, const char* what, int64_t got, int64_t want);

// Runs every test, prints "N passed, N failed" last; returns the exit status.
int RunAllTests();

// Returns `bytes` bytes from the test arena, filled with a pattern no kernel is expected to leave,
// between canaries; aligned to 8 and never null (an exhausted arena ends the run). Freed when the
// case ends. The byte after the last one is canary: overruns by one are seen.
void* GuardedBytes(size_t bytes);

template <typename T>
T* Guarded(size_t count) {
  return static_cast<T*>(GuardedBytes(count * sizeof(T)));
}

// A guarded copy of `count` elements: for data that a kernel changes in place.
template <typename T>
T* GuardedCopy(const T* source, size_t count) {
  T* copy = Guarded<T>(count);
  if (count > 0) std::memcpy(copy, source, count * sizeof(T));
  return copy;
}

void ExpectBytes(const char* file, int line, const char* what, const void* got, const void* want,
                 size_t bytes);

}  // namespace tflm_train_test

#define TEST(test_suite, test_name)                                                         \
  static void test_suite##_##test_name();                                                   \
  static ::tflm_train_test::Test test_suite##_##test_name##_test(#test_suite, #test_name,   \
                                                                 test_suite##_##test_name); \
  static void test_suite##_##test_name()

#define EXPECT_TRUE(condition)                                                 \
  do {                                                                         \
    if (!(condition)) ::tflm_train_test::Fail(__FILE__, __LINE__, #condition); \
  } while (false)

// Integers (and enums); floats are compared by their bits: EXPECT_SAME.
#define EXPECT_EQ(got, want)                                                          \
  do {                                                                                \
    const int64_t got_value = static_cast<int64_t>(got);                              \
    const int64_t want_value = static_cast<int64_t>(want);                            \
    if (got_value != want_value) {                                                    \
      ::tflm_train_test::FailValues(__FILE__, __LINE__, #got, got_value, want_value); \
    }                                                                                 \
  } while (false)

// `count` elements of one type, bit for bit.
#define EXPECT_SAME(got, want, count) \
  ::tflm_train_test::ExpectBytes(__FILE__, __LINE__, #got, got, want, (count) * sizeof(*(want)))

#endif  // TFLM_TRAIN_TESTS_CPP_HARNESS_H_
