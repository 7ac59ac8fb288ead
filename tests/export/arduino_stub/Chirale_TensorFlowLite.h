// The header by which Arduino's builder finds a TFLM library.
#pragma once
