"""The flags that every C++ file of this repository is compiled with."""

# -ffp-contract=off: a fused multiply-add rounds once where docs/NUMERICS.md rounds twice.
COPTS = [
    "-ffp-contract=off",
    "-fno-exceptions",
    "-fno-rtti",
    "-Wall",
    "-Wextra",
    "-Werror",
]
