#include <cstdio>

#include "tests/cpp/harness.h"

void tflm_train_test::Print(const char* text) {
  std::fputs(text, stdout);
  std::fflush(stdout);
}
