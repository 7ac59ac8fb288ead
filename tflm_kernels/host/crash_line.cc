// Ends a process that crashes with a line of words and an exit status, not with a signal. Only for
// the command line: TFLM's kernels trust a model's file, and some files crash them.

#include <unistd.h>

#include <csignal>
#include <cstring>

namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
constexpr size_t kMostBytes = 512;
constexpr size_t kStackBytes = 1 << 16;

char crash_line[kMostBytes];
size_t crash_bytes = 0;
int crash_output = -1;
// A crash by too deep a recursion leaves no room on the stack itself.
alignas(16) char crash_stack[kStackBytes];

// Calls nothing but what POSIX allows in a signal handler.
void SayAndExit(int) {
  const ssize_t written = write(crash_output, crash_line, crash_bytes);
  static_cast<void>(written);
  _exit(1);
}

}  // namespace

extern "C" {

// line: what to write, with its line break; cut after 512 bytes. Standard error is that of the
// first call, wherever it leads by then.
void TflmTrainExitOnCrash(const char* line) {
  const size_t bytes = std::strlen(line);
  crash_bytes = bytes < kMostBytes ? bytes : kMostBytes;
  std::memcpy(crash_line, line, crash_bytes);
  if (crash_output >= 0) return;
  crash_output = dup(STDERR_FILENO);
  stack_t stack = {};
  stack.ss_sp = crash_stack;
  stack.ss_size = sizeof(crash_stack);
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = SayAndExit;
  action.sa_flags = SA_ONSTACK;
  for (int signal : kSignals) sigaction(signal, &action, nullptr);
}

}  // extern "C"
