"""The demonstration: a small int8 CNN meets turned digits, fails, and learns them on the device."""
