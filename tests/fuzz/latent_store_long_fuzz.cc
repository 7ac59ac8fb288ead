// The same with records that are read and written in several pieces.

#define LATENT_BYTES 44
#include "tests/fuzz/latent_store_fuzz.cc"
