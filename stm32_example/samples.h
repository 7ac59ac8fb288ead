// Labelled samples in flash, made by make_samples.py.

#ifndef STM32_EXAMPLE_SAMPLES_H_
#define STM32_EXAMPLE_SAMPLES_H_

#include <cstddef>
#include <cstdint>

extern const size_t kTrainCount;
extern const size_t kTestCount;
extern const int8_t* const kTrainInputs;   // [kTrainCount][input size]
extern const uint8_t* const kTrainLabels;  // [kTrainCount]
extern const int8_t* const kTestInputs;    // [kTestCount][input size]
extern const uint8_t* const kTestLabels;   // [kTestCount]

#endif  // STM32_EXAMPLE_SAMPLES_H_
