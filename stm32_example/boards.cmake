# What the linker script and the compiler must know of each BOARD.
# RAM is the part at 0x20000000 that is in one piece.

set(M4 -mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16)
set(M7 -mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-sp-d16)

if(BOARD STREQUAL "stm32f405")  # also F407, F415, F417; QEMU's netduinoplus2
  set(CORE ${M4})
  set(FLASH_ORIGIN 0x08000000)
  set(FLASH_BYTES 0x100000)
  set(RAM_BYTES 0x20000)
elseif(BOARD STREQUAL "stm32f429")  # also F427, F437, F439
  set(CORE ${M4})
  set(FLASH_ORIGIN 0x08000000)
  set(FLASH_BYTES 0x200000)
  set(RAM_BYTES 0x30000)
elseif(BOARD STREQUAL "stm32f446")
  set(CORE ${M4})
  set(FLASH_ORIGIN 0x08000000)
  set(FLASH_BYTES 0x80000)
  set(RAM_BYTES 0x20000)
elseif(BOARD STREQUAL "stm32f746")  # also F745, F756
  set(CORE ${M7})
  set(FLASH_ORIGIN 0x08000000)
  set(FLASH_BYTES 0x100000)
  set(RAM_BYTES 0x50000)
elseif(BOARD STREQUAL "stm32f767")  # also F769, F777
  set(CORE ${M7})
  set(FLASH_ORIGIN 0x08000000)
  set(FLASH_BYTES 0x200000)
  set(RAM_BYTES 0x80000)
elseif(BOARD STREQUAL "mps2-an500")  # no STM32: Arm's board with a Cortex-M7, for QEMU
  set(CORE ${M7})
  set(FLASH_ORIGIN 0x00000000)
  set(FLASH_BYTES 0x400000)
  set(RAM_BYTES 0x400000)
else()
  message(FATAL_ERROR "BOARD '${BOARD}' is none of stm32f405, stm32f429, stm32f446, stm32f746, "
                      "stm32f767, mps2-an500 (boards.cmake)")
endif()
