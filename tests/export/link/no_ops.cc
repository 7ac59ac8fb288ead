// Firmware that calls nothing: linked with all of an archive, each object of it must find what it
// calls.
int main() { return 0; }
