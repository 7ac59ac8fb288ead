// Measures one call: in instructions on an emulated core, in nanoseconds on the host.

#ifndef BENCHMARKS_TARGET_MEASURE_H_
#define BENCHMARKS_TARGET_MEASURE_H_

#include <cstdint>

#if defined(__arm__)
#include "benchmarks/target/timer.h"
#else
#include <ctime>
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define TFLM_TRAIN_BENCH_CALLGRIND
#endif
#endif

namespace tflm_train_bench {

// What a kernel took, and a naive loop of the same result; the latter is 0 where there is none.
struct Measured {
  uint32_t kernel, naive;
};

#if defined(__arm__)
template <typename Function>
uint32_t Once(const Function& function) {
  const uint32_t begin = Ticks();
  const uint32_t empty = Ticks() - begin;
  const uint32_t before = Ticks();
  function();
  return Instructions(Ticks() - before - empty);
}

// Naive loops are for the host.
template <typename Kernel, typename Naive>
Measured Measure(const Kernel& kernel, const Naive&) {
  return {Once(kernel), 0};
}
#else
inline void StartTimer() {}

inline uint32_t Nanoseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint32_t>(static_cast<uint64_t>(now.tv_sec) * 1000000000u +
                               static_cast<uint64_t>(now.tv_nsec));
}

template <typename Function>
uint32_t Once(const Function& function) {
  const uint32_t begin = Nanoseconds();
  function();
  return Nanoseconds() - begin;
}

// The best of several runs in turn, since other programs only ever add. Under callgrind one
// run of each, with a dump of its counts.
template <typename Kernel, typename Naive>
Measured Measure(const Kernel& kernel, const Naive& naive) {
#if defined(TFLM_TRAIN_BENCH_CALLGRIND)
  if (RUNNING_ON_VALGRIND) {
    CALLGRIND_ZERO_STATS;
    kernel();
    CALLGRIND_DUMP_STATS_AT("kernel");
    CALLGRIND_ZERO_STATS;
    naive();
    CALLGRIND_DUMP_STATS_AT("naive");
    return {0, 0};
  }
#endif
  constexpr int kRuns = 15;
  Measured best = {UINT32_MAX, UINT32_MAX};
  for (int i = 0; i < kRuns; ++i) {
    const uint32_t ours = Once(kernel), theirs = Once(naive);
    best.kernel = ours < best.kernel ? ours : best.kernel;
    best.naive = theirs < best.naive ? theirs : best.naive;
  }
  return best;
}
#endif

}  // namespace tflm_train_bench

#endif  // BENCHMARKS_TARGET_MEASURE_H_
