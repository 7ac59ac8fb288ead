// The stand-in for Arduino's core on the host: the serial port is standard input and output.

#include <poll.h>
#include <unistd.h>

#include <cstdio>

#include "Arduino.h"

SerialPort Serial;

void setup();
void loop();

void pinMode(int, int) {}
void digitalWrite(int, int) {}
int digitalRead(int) { return HIGH; }
void delay(unsigned long) {}

void SerialPort::begin(unsigned long) { std::setvbuf(stdout, nullptr, _IONBF, 0); }
void SerialPort::setTimeout(unsigned long) {}

int SerialPort::available() {
  pollfd input = {STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, 10);
}

int SerialPort::read() {
  char byte = 0;
  if (::read(STDIN_FILENO, &byte, 1) != 1) _exit(0);  // the other end has gone
  return static_cast<unsigned char>(byte);
}

size_t SerialPort::readBytes(char* data, size_t bytes) {
  size_t done = 0;
  while (done < bytes && available() > 0) {
    const ssize_t count = ::read(STDIN_FILENO, data + done, bytes - done);
    if (count <= 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

size_t SerialPort::write(const uint8_t* data, size_t bytes) {
  return std::fwrite(data, 1, bytes, stdout);
}
void SerialPort::print(const char* text) { std::printf("%s", text); }
void SerialPort::print(char c) { std::printf("%c", c); }
void SerialPort::print(int value) { std::printf("%d", value); }
void SerialPort::print(unsigned long value) { std::printf("%lu", value); }
void SerialPort::print(double value, int digits) { std::printf("%.*f", digits, value); }

int main() {
  setup();
  for (;;) loop();
}
