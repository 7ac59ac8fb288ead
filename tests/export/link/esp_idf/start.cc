// What ESP-IDF's startup code does last.
extern "C" void app_main();

int main() {
  app_main();
  return 0;
}
