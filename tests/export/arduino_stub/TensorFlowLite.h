// Arduino's TFLM libraries have a header of this name for the builder to find them by.
#pragma once
