// A stand-in for Arduino's core, of our own writing: what the sketches use. On the host the serial
// port is standard input and output.

#ifndef TFLM_TRAIN_TESTS_ARDUINO_STUB_H_
#define TFLM_TRAIN_TESTS_ARDUINO_STUB_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

constexpr int HIGH = 1;
constexpr int LOW = 0;
constexpr int OUTPUT = 1;
constexpr int INPUT_PULLUP = 2;
constexpr int LED_BUILTIN = 13;

void pinMode(int pin, int mode);
void digitalWrite(int pin, int value);
int digitalRead(int pin);
void delay(unsigned long milliseconds);

class SerialPort {
 public:
  void begin(unsigned long rate);
  void setTimeout(unsigned long milliseconds);
  explicit operator bool() const { return true; }
  int available();
  int read();
  size_t readBytes(char* data, size_t bytes);
  size_t write(const uint8_t* data, size_t bytes);
  void print(const char* text);
  void print(char c);
  void print(int value);
  void print(unsigned long value);
  void print(double value, int digits = 2);
  void println() { print("\r\n"); }
  void println(const char* text) {
    print(text);
    println();
  }
  void println(int value) {
    print(value);
    println();
  }
  void println(unsigned long value) {
    print(value);
    println();
  }
  void println(double value, int digits = 2) {
    print(value, digits);
    println();
  }
};
extern SerialPort Serial;

#endif  // TFLM_TRAIN_TESTS_ARDUINO_STUB_H_
