"""The cores that are built for, and the compiler flags that select them.

A plain dictionary of literals: tools/boards.py reads it as well.
"""

CORES = {
    "cortex_m0plus": ["-mcpu=cortex-m0plus", "-mfloat-abi=soft"],
    "cortex_m3": ["-mcpu=cortex-m3", "-mfloat-abi=soft"],
    "cortex_m4": ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
    "cortex_m7": ["-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
    "cortex_m33": ["-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
    "cortex_m55": ["-mcpu=cortex-m55", "-mfloat-abi=hard"],
}
