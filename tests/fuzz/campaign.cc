// Runs a libFuzzer target where there is no libFuzzer: replays inputs, or makes new ones from them
// for a time and keeps those that reach code no other did (with -fsanitize-coverage=trace-pc).
//
//   fuzzer FILE...                                runs these
//   fuzzer RUNS SECONDS RANDOM SEEDS KEPT FOUND   until either number is reached; RANDOM begins the
//                                                 random numbers; SEEDS is a folder of inputs, KEPT
//                                                 one where new ones go; what a finding was made by
//                                                 is written to the file FOUND
//
// Targets that make their own valid input (SeedInput) need no seeds. One that has WentDeep says of
// the last run whether it got beyond the first checks, and these runs are counted.
//
// The target is compiled with sanitizers, this file without: what a campaign does itself shall cost
// less than what it runs. So does what comes from `new`, which is the harness's alone.

#include <dirent.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" __attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                                                size_t capacity, unsigned int seed);
extern "C" __attribute__((weak)) size_t SeedInput(uint8_t* data, size_t capacity);
extern "C" __attribute__((weak)) bool WentDeep();
extern "C" void __sanitizer_set_death_callback(void (*callback)());
// An abort() of the target is a finding like any other.
extern "C" const char* __asan_default_options() { return "handle_abort=1:detect_leaks=0"; }

namespace {

// Memory for `new`: lists of free blocks of like sizes, each behind the number of its list. The
// heap of AddressSanitizer, which the kernels' memory is in, takes ten times as long.
constexpr size_t kHead = 16;
constexpr size_t kLists = 64;  // of blocks of 16 to 1024 bytes
constexpr size_t kNoList = kLists;

struct FreeBlock {
  FreeBlock* next;
};
FreeBlock* free_blocks[kLists];

void* NewBlock(size_t bytes) {
  const size_t list = bytes == 0 ? 0 : (bytes - 1) / kHead;
  if (list < kLists && free_blocks[list] != nullptr) {
    FreeBlock* const block = free_blocks[list];
    free_blocks[list] = block->next;
    return block;
  }
  const size_t size = list < kLists ? (list + 1) * kHead : bytes;
  uint8_t* const head = static_cast<uint8_t*>(std::malloc(kHead + size));
  if (head == nullptr) std::abort();
  const size_t number = list < kLists ? list : kNoList;
  std::memcpy(head, &number, sizeof(number));
  return head + kHead;
}

void DeleteBlock(void* data) {
  if (data == nullptr) return;
  uint8_t* const head = static_cast<uint8_t*>(data) - kHead;
  size_t list;
  std::memcpy(&list, head, sizeof(list));
  if (list == kNoList) return std::free(head);
  FreeBlock* const block = static_cast<FreeBlock*>(data);
  block->next = free_blocks[list];
  free_blocks[list] = block;
}

using Input = std::vector<uint8_t>;

constexpr size_t kCapacity = 1 << 15;
constexpr size_t kEdges = 1 << 16;

uint8_t edges[kEdges];   // how often each was taken in this run, up to 255
uint8_t seen[kEdges];    // the bits of the counts that any run had
uint16_t taken[kEdges];  // the edges of this run, which are far fewer than all
size_t taken_count = 0;
uintptr_t previous = 0;
const Input* current = nullptr;
const char* found_file = nullptr;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u + 1) {}
  uint32_t Next() {  // SplitMix64
    state_ += 0x9E3779B97F4A7C15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<uint32_t>(z ^ (z >> 31));
  }
  uint32_t Below(size_t limit) { return static_cast<uint32_t>(Next() % limit); }

 private:
  uint64_t state_;
};

Input ReadFile(const std::string& path) {
  Input input;
  if (std::FILE* const file = std::fopen(path.c_str(), "rb")) {
    input.resize(kCapacity);
    input.resize(std::fread(input.data(), 1, kCapacity, file));
    std::fclose(file);
  }
  return input;
}

void WriteFile(const std::string& path, const Input& input) {
  if (std::FILE* const file = std::fopen(path.c_str(), "wb")) {
    std::fwrite(input.data(), 1, input.size(), file);
    std::fclose(file);
  }
}

void KeepFinding() {
  if (found_file != nullptr && current != nullptr) WriteFile(found_file, *current);
}

// By name: the order of a folder is any.
std::vector<Input> ReadFolder(const std::string& path) {
  std::vector<std::string> names;
  if (DIR* const folder = opendir(path.c_str())) {
    while (const dirent* const entry = readdir(folder)) {
      if (entry->d_name[0] != '.') names.push_back(entry->d_name);
    }
    closedir(folder);
  }
  std::sort(names.begin(), names.end());
  std::vector<Input> inputs;
  for (const std::string& name : names) inputs.push_back(ReadFile(path + "/" + name));
  return inputs;
}

// Whether the run reached something new.
bool Run(const Input& input) {
  current = &input;
  previous = 0;
  // A copy of just this size: reading beyond it is found.
  uint8_t* const copy = static_cast<uint8_t*>(std::malloc(input.empty() ? 1 : input.size()));
  if (!input.empty()) std::memcpy(copy, input.data(), input.size());
  LLVMFuzzerTestOneInput(copy, input.size());
  std::free(copy);
  bool is_new = false;
  for (; taken_count > 0; --taken_count) {
    const size_t edge = taken[taken_count - 1];
    const uint8_t count = edges[edge];
    const uint8_t bucket = count < 4 ? 1u << (count - 1) : count < 32 ? 8 : count < 128 ? 16 : 32;
    is_new = is_new || (seen[edge] & bucket) == 0;
    seen[edge] |= bucket;
    edges[edge] = 0;
  }
  return is_new;
}

void MutateBytes(Random& random, Input* input) {
  static const uint8_t kInteresting[] = {0, 1, 0x7F, 0x80, 0xFE, 0xFF};
  for (uint32_t changes = 1 + random.Below(4); changes > 0; --changes) {
    if (input->empty()) input->push_back(0);
    const size_t at = random.Below(input->size());
    switch (random.Below(6)) {
      case 0:
        (*input)[at] = static_cast<uint8_t>((*input)[at] ^ (1u << random.Below(8)));
        break;
      case 1:
        (*input)[at] = kInteresting[random.Below(6)];
        break;
      case 2:
        for (size_t i = at / 4 * 4; i < at / 4 * 4 + 4 && i < input->size(); ++i) {
          (*input)[i] = kInteresting[random.Below(6)];
        }
        break;
      case 3:
        input->resize(at);
        break;
      case 4:
        for (uint32_t more = random.Below(64); more > 0 && input->size() < kCapacity; --more) {
          input->push_back(static_cast<uint8_t>(random.Next()));
        }
        break;
      default:
        for (size_t end = at + random.Below(input->size() - at) + 1, i = at; i < end; ++i) {
          (*input)[i] = static_cast<uint8_t>(random.Next());
        }
    }
  }
}

void Mutate(Random& random, Input* input) {
  if (LLVMFuzzerCustomMutator == nullptr) return MutateBytes(random, input);
  static uint8_t buffer[kCapacity];
  std::copy(input->begin(), input->end(), buffer);
  const size_t size = LLVMFuzzerCustomMutator(buffer, input->size(), kCapacity, random.Next());
  input->assign(buffer, buffer + size);
}

std::string NameOf(const std::string& folder, const Input& input) {
  uint64_t hash = 0xCBF29CE484222325u;  // FNV-1a
  for (const uint8_t byte : input) hash = (hash ^ byte) * 0x100000001B3u;
  char name[24];
  std::snprintf(name, sizeof(name), "/%016llx", static_cast<unsigned long long>(hash));
  return folder + name;
}

int Campaign(unsigned long runs, double seconds, uint64_t first_random, const std::string& seeds,
             const std::string& kept) {
  std::vector<Input> inputs;
  for (const std::string& folder : {seeds, kept}) {
    for (const Input& input : ReadFolder(folder)) inputs.push_back(input);
  }
  if (SeedInput != nullptr) {
    Input input(kCapacity);
    input.resize(SeedInput(input.data(), kCapacity));
    inputs.push_back(input);
  }
  if (inputs.empty()) {
    std::fprintf(stderr, "no inputs in %s\n", seeds.c_str());
    return 1;
  }
  for (const Input& input : inputs) Run(input);
  const size_t before = inputs.size();
  const auto start = std::chrono::steady_clock::now();
  const std::clock_t first_clock = std::clock();
  Random random(first_random);
  unsigned long done = 0;
  unsigned long deep = 0;
  double passed = 0;
  Input input;
  for (; done < runs && passed < seconds; ++done) {
    // The newer half twice as often.
    const size_t half = inputs.size() / 2;
    const size_t from = random.Below(3) == 0 ? 0 : half;
    const Input& old = inputs[from + random.Below(inputs.size() - from)];
    do {  // what has run already shows nothing
      input = old;
      Mutate(random, &input);
    } while (input == old);
    if (Run(input)) {
      inputs.push_back(input);
      WriteFile(NameOf(kept, input), input);
    }
    deep += WentDeep == nullptr || WentDeep();
    if (done % 64 == 0) {
      passed = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    }
  }
  const double cpu = static_cast<double>(std::clock() - first_clock) / CLOCKS_PER_SEC;
  size_t reached = 0;
  for (const uint8_t bits : seen) reached += bits != 0;
  std::printf("%lu runs, no finding; %lu deep, %.2f s of CPU, %zu inputs kept, %zu edges\n", done,
              deep, cpu, inputs.size() - before, reached);
  return 0;
}

}  // namespace

void* operator new(size_t bytes) { return NewBlock(bytes); }
void operator delete(void* data) noexcept { DeleteBlock(data); }
void operator delete(void* data, size_t) noexcept { DeleteBlock(data); }

extern "C" void __sanitizer_cov_trace_pc() {
  const uintptr_t here = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  const size_t edge = (here ^ (previous << 1) ^ (here >> 13)) % kEdges;
  previous = here;
  if (edges[edge] == 0) taken[taken_count++] = static_cast<uint16_t>(edge);
  if (edges[edge] < 255) ++edges[edge];
}

int main(int count, char** values) {
  __sanitizer_set_death_callback(KeepFinding);
  char* end = nullptr;
  const unsigned long runs = count == 7 ? std::strtoul(values[1], &end, 10) : 0;
  if (end != nullptr && *end == '\0') {
    found_file = values[6];
    return Campaign(runs, std::strtod(values[2], nullptr), std::strtoull(values[3], nullptr, 10),
                    values[4], values[5]);
  }
  for (int i = 1; i < count; ++i) {
    std::fprintf(stderr, "%s\n", values[i]);
    Run(ReadFile(values[i]));
  }
  std::printf("%d inputs, no finding\n", count - 1);
  return 0;
}
