// The stand-in for Arduino's core where sketches are only linked: nothing is connected.

#include "Arduino.h"

SerialPort Serial;

void setup();
void loop();

void pinMode(int, int) {}
void digitalWrite(int, int) {}
int digitalRead(int) { return HIGH; }
void delay(unsigned long) {}

void SerialPort::begin(unsigned long) {}
void SerialPort::setTimeout(unsigned long) {}
int SerialPort::available() { return 0; }
int SerialPort::read() { return -1; }
size_t SerialPort::readBytes(char*, size_t) { return 0; }
size_t SerialPort::write(const uint8_t*, size_t bytes) { return bytes; }
void SerialPort::print(const char*) {}
void SerialPort::print(char) {}
void SerialPort::print(int) {}
void SerialPort::print(unsigned long) {}
void SerialPort::print(double, int) {}

int main() {
  setup();
  for (;;) loop();
}
