#include "tflm_kernels/state/state.h"

#include "tests/cpp/golden.h"

namespace tflm_train_test {
namespace {

using tflm_train::StateStatus;
using tflm_train::TrainState;
using tflm_train::VariableTable;

struct StateBlobCase {
  const char* name;
  uint32_t fingerprint_lo;
  uint32_t fingerprint_hi;
  uint32_t step;
  uint32_t seed;
  size_t variable_count;
  const uint32_t* variable_bytes;
  const uint8_t* payload;
  size_t blob_bytes;
  const uint8_t* blob;
};

#include "tests/cpp/generated/state_blob.inc"

// A model's state as the RESTORE op leaves it: zeroed variables, a table, a state tensor.
struct Model {
  explicit Model(const StateBlobCase& golden)
      : state(Guarded<TrainState>(1)),
        table(static_cast<VariableTable*>(
            GuardedBytes(tflm_train::VariableTableBytes(golden.variable_count)))),
        payload_bytes(0) {
    table->state = state;
    table->count = static_cast<uint32_t>(golden.variable_count);
    for (size_t i = 0; i < golden.variable_count; ++i) {
      const uint32_t bytes = golden.variable_bytes[i];
      table->entries[i] = {GuardedBytes(bytes), bytes, false};
      std::memset(table->entries[i].data, 0, bytes);
      payload_bytes += bytes;
    }
    tflm_train::RestoreParams params = {};
    params.fingerprint_lo = golden.fingerprint_lo;
    params.fingerprint_hi = golden.fingerprint_hi;
    params.seed = 7;
    tflm_train::StateInitialize(params, table);
    tflm_train::StateDescribe(params, *table, state);
  }

  void SetVariables(const uint8_t* payload) {
    for (size_t i = 0; i < table->count; ++i) {
      std::memcpy(table->entries[i].data, payload, table->entries[i].bytes);
      payload += table->entries[i].bytes;
    }
  }

  void ExpectVariables(const uint8_t* payload) {
    for (size_t i = 0; i < table->count; ++i) {
      EXPECT_SAME(static_cast<const uint8_t*>(table->entries[i].data), payload,
                  table->entries[i].bytes);
      payload += table->entries[i].bytes;
    }
  }

  TrainState* state;
  VariableTable* table;
  size_t payload_bytes;
};

TEST(State, SavesTheGoldenBlob) {
  for (const StateBlobCase& golden : kStateBlobCases) {
    Case scope("StateSave", golden.name);
    Model model(golden);
    model.SetVariables(golden.payload);
    model.state->step = golden.step;
    model.state->seed = golden.seed;
    EXPECT_EQ(tflm_train::StateSize(model.state), golden.blob_bytes);
    uint8_t* blob = Guarded<uint8_t>(golden.blob_bytes);
    EXPECT_EQ(tflm_train::StateSave(model.state, blob, golden.blob_bytes - 1),
              StateStatus::kTooSmall);
    EXPECT_EQ(tflm_train::StateSave(model.state, blob, golden.blob_bytes), StateStatus::kOk);
    EXPECT_SAME(blob, golden.blob, golden.blob_bytes);
  }
}

TEST(State, LoadsTheGoldenBlobThroughACopyOfTheTensor) {
  for (const StateBlobCase& golden : kStateBlobCases) {
    Case scope("StateLoad", golden.name);
    Model model(golden);
    TrainState copy = *model.state;
    EXPECT_EQ(tflm_train::StateLoad(&copy, golden.blob, golden.blob_bytes), StateStatus::kOk);
    model.ExpectVariables(golden.payload);
    EXPECT_EQ(model.state->step, golden.step);
    EXPECT_EQ(model.state->seed, golden.seed);
    EXPECT_EQ(tflm_train::StateStep(&copy), golden.step);
  }
}

// Every bit of the blob, flipped alone; every shorter length; one byte more.
TEST(State, RefusesADamagedBlobAndChangesNothing) {
  const StateBlobCase& golden = kStateBlobCases[1];
  Model model(golden);
  const TrainState before = *model.state;
  uint8_t* zeros = Guarded<uint8_t>(model.payload_bytes);
  std::memset(zeros, 0, model.payload_bytes);
  uint8_t* blob = Guarded<uint8_t>(golden.blob_bytes + 1);
  std::memcpy(blob, golden.blob, golden.blob_bytes);
  for (size_t bit = 0; bit < 8 * golden.blob_bytes; ++bit) {
    const uint8_t flip = static_cast<uint8_t>(1u << (bit & 7));
    blob[bit >> 3] = static_cast<uint8_t>(blob[bit >> 3] ^ flip);
    EXPECT_TRUE(tflm_train::StateLoad(model.state, blob, golden.blob_bytes) != StateStatus::kOk);
    blob[bit >> 3] = static_cast<uint8_t>(blob[bit >> 3] ^ flip);
  }
  for (size_t size = 0; size < golden.blob_bytes; ++size) {
    EXPECT_TRUE(tflm_train::StateLoad(model.state, blob, size) != StateStatus::kOk);
  }
  EXPECT_EQ(tflm_train::StateLoad(model.state, blob, golden.blob_bytes + 1),
            StateStatus::kWrongSize);
  model.ExpectVariables(zeros);
  EXPECT_SAME(model.state, &before, 1);
  EXPECT_EQ(tflm_train::StateLoad(model.state, blob, golden.blob_bytes), StateStatus::kOk);
}

TEST(State, RefusesAnotherModelsBlob) {
  const StateBlobCase& golden = kStateBlobCases[0];
  Model model(golden);
  model.state->fingerprint_hi ^= 1;
  EXPECT_EQ(tflm_train::StateLoad(model.state, golden.blob, golden.blob_bytes),
            StateStatus::kWrongModel);
}

// A source whose n-th read fails.
struct FailingSource {
  const uint8_t* blob;
  int reads_left;

  static bool Read(void* context, size_t offset, void* to, size_t bytes) {
    FailingSource* const source = static_cast<FailingSource*>(context);
    if (source->reads_left-- == 0) return false;
    std::memcpy(to, source->blob + offset, bytes);
    return true;
  }
};

// Up to the checksum nothing is changed; later, what is half loaded asks for factory weights.
TEST(State, ASourceThatFailsLeavesOldWeightsOrFactoryWeights) {
  const StateBlobCase& golden = kStateBlobCases[1];
  Model model(golden);
  uint8_t* zeros = Guarded<uint8_t>(model.payload_bytes);
  std::memset(zeros, 0, model.payload_bytes);
  int pieces = 0;
  for (size_t i = 0; i < golden.variable_count; ++i) {
    pieces += static_cast<int>((golden.variable_bytes[i] + 63) / 64);
  }
  const int first_load = 1 + pieces;
  const int all = first_load + static_cast<int>(golden.variable_count);
  for (int n = 0; n <= all; ++n) {
    tflm_train::RestoreParams params = {};
    params.fingerprint_lo = golden.fingerprint_lo;
    params.fingerprint_hi = golden.fingerprint_hi;
    tflm_train::StateInitialize(params, model.table);
    tflm_train::StateDescribe(params, *model.table, model.state);
    model.SetVariables(zeros);
    FailingSource source = {golden.blob, n};
    const StateStatus status =
        tflm_train::StateLoadFrom(model.state, {FailingSource::Read, &source, golden.blob_bytes});
    EXPECT_EQ(status, n < all ? StateStatus::kStorageFailed : StateStatus::kOk);
    EXPECT_EQ(tflm_train::StateSize(model.state) == 0, n >= first_load && n < all);
    if (n < first_load) model.ExpectVariables(zeros);
    if (n == all) model.ExpectVariables(golden.payload);
  }
}

TEST(State, NeedsAnInvokeFirst) {
  const StateBlobCase& golden = kStateBlobCases[0];
  TrainState* untouched = Guarded<TrainState>(1);  // what AllocateTensors and Reset leave
  std::memset(untouched, 0, sizeof(*untouched));
  uint8_t* blob = Guarded<uint8_t>(golden.blob_bytes);
  EXPECT_EQ(tflm_train::StateSize(untouched), 0);
  EXPECT_EQ(tflm_train::StateSave(untouched, blob, golden.blob_bytes), StateStatus::kNotReady);
  EXPECT_EQ(tflm_train::StateLoad(untouched, golden.blob, golden.blob_bytes),
            StateStatus::kNotReady);
}

TEST(State, LeadsToTheLatent) {
  Model model(kStateBlobCases[0]);
  EXPECT_TRUE(tflm_train::StateLatent(model.state).data == nullptr);
  int8_t latent[5];
  const uint64_t address = reinterpret_cast<uintptr_t>(latent);
  model.state->latent_lo = static_cast<uint32_t>(address);
  model.state->latent_hi = static_cast<uint32_t>(address >> 32);
  model.state->latent_bytes = sizeof(latent);
  const TrainState copy = *model.state;
  EXPECT_TRUE(tflm_train::StateLatent(&copy).data == latent);
  EXPECT_EQ(tflm_train::StateLatent(&copy).bytes, sizeof(latent));
  EXPECT_EQ(tflm_train::StateReset(model.state), StateStatus::kOk);
  EXPECT_TRUE(tflm_train::StateLatent(&copy).data == nullptr);  // until the next Invoke
}

TEST(State, ResetAsksForFactoryWeights) {
  const StateBlobCase& golden = kStateBlobCases[0];
  Model model(golden);
  const TrainState copy = *model.state;
  EXPECT_EQ(tflm_train::StateReset(&copy), StateStatus::kOk);
  EXPECT_TRUE(model.state->magic != tflm_train::kStateMagic);
  EXPECT_EQ(tflm_train::StateSize(&copy), 0);
}

TEST(State, RefusesWeightsThatNoStepReaches) {
  for (const StateBlobCase& golden : kStateBlobCases) {
    Case scope("StateLoad", golden.name);
    for (size_t i = 0; i < golden.variable_count; ++i) {
      Model model(golden), other(golden);
      model.SetVariables(golden.payload);
      std::memset(model.table->entries[i].data, 0x80, model.table->entries[i].bytes);
      uint8_t* blob = Guarded<uint8_t>(golden.blob_bytes);
      EXPECT_EQ(tflm_train::StateSave(model.state, blob, golden.blob_bytes), StateStatus::kOk);
      other.SetVariables(golden.payload);
      other.table->entries[i].are_weights = 1;
      // -127 is as far as they go; of what are no weights any byte is a value.
      EXPECT_EQ(tflm_train::StateLoad(other.state, blob, golden.blob_bytes),
                StateStatus::kWrongValues);
      other.ExpectVariables(golden.payload);
      other.table->entries[i].are_weights = 0;
      EXPECT_EQ(tflm_train::StateLoad(other.state, blob, golden.blob_bytes), StateStatus::kOk);
    }
  }
}

TEST(State, ValidLearningRates) {
  EXPECT_TRUE(tflm_train::IsValidLearningRate(0.0f));
  EXPECT_TRUE(tflm_train::IsValidLearningRate(1e-3f));
  EXPECT_TRUE(!tflm_train::IsValidLearningRate(-1e-3f));
  EXPECT_TRUE(!tflm_train::IsValidLearningRate(Float(0x7f800000)));  // infinity
  EXPECT_TRUE(!tflm_train::IsValidLearningRate(Float(0x7fc00000)));  // NaN
}

}  // namespace
}  // namespace tflm_train_test
