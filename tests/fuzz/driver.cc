// Inputs for a libFuzzer target where there is no libFuzzer: mutations of a valid input and plain
// noise, from a fixed generator, so that run number n is the same everywhere.
//
//   fuzzer [RUNS [FIRST]]: runs numbers FIRST to FIRST + RUNS - 1; a crash names its number.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

extern "C" size_t SeedInput(uint8_t* data, size_t capacity);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" void __sanitizer_set_death_callback(void (*callback)());
// An abort() of the target is a finding like any other.
extern "C" const char* __asan_default_options() { return "handle_abort=1"; }

namespace {

constexpr size_t kCapacity = 1024;
unsigned long running = 0;

void NameTheRun() { std::fprintf(stderr, "in run %lu\n", running); }

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  uint32_t Below(uint32_t limit) {  // SplitMix64
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<uint32_t>((z ^ (z >> 31)) % limit);
  }

 private:
  uint64_t state_;
};

size_t Mutate(Random& random, uint8_t* data, size_t size) {
  static const uint8_t kInteresting[] = {0, 1, 0x7F, 0x80, 0xFE, 0xFF};
  switch (random.Below(6)) {
    case 0:  // a bit
      if (size > 0) {
        uint8_t& byte = data[random.Below(static_cast<uint32_t>(size))];
        byte = static_cast<uint8_t>(byte ^ (1u << random.Below(8)));
      }
      return size;
    case 1:  // a byte
      if (size > 0) {
        data[random.Below(static_cast<uint32_t>(size))] = kInteresting[random.Below(6)];
      }
      return size;
    case 2:  // a word of the header
      if (size >= 32) {
        uint8_t* word = data + 4 * random.Below(8);
        for (int i = 0; i < 4; ++i) word[i] = kInteresting[random.Below(6)];
      }
      return size;
    case 3:  // cut
      return random.Below(static_cast<uint32_t>(size) + 1);
    case 4: {  // longer
      const size_t more = random.Below(static_cast<uint32_t>(kCapacity - size) + 1);
      for (size_t i = 0; i < more; ++i) data[size + i] = static_cast<uint8_t>(random.Below(256));
      return size + more;
    }
    default:  // a run of noise
      if (size > 0) {
        const size_t from = random.Below(static_cast<uint32_t>(size));
        const size_t to = from + random.Below(static_cast<uint32_t>(size - from)) + 1;
        for (size_t i = from; i < to; ++i) data[i] = static_cast<uint8_t>(random.Below(256));
      }
      return size;
  }
}

}  // namespace

int main(int count, char** values) {
  const unsigned long runs = count > 1 ? std::strtoul(values[1], nullptr, 10) : 100000;
  const unsigned long first = count > 2 ? std::strtoul(values[2], nullptr, 10) : 0;
  __sanitizer_set_death_callback(NameTheRun);
  for (running = first; running < first + runs; ++running) {
    Random random(running);
    uint8_t data[kCapacity];
    size_t size = SeedInput(data, sizeof(data));
    for (uint32_t mutations = random.Below(5); mutations > 0; --mutations) {
      size = Mutate(random, data, size);
    }
    LLVMFuzzerTestOneInput(data, size);
  }
  std::printf("%lu runs, no finding\n", runs);
  return 0;
}
