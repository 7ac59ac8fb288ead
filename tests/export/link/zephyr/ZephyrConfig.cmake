# A stand-in for Zephyr's build system, of our own writing: what the exported module and its sample
# call. -DTFLM_INCLUDE and -DTFLM_LIB are the module tflite-micro. As Zephyr does, it reads
# zephyr/module.yml of each of EXTRA_ZEPHYR_MODULES and the options of prj.conf.

project(zephyr_stand_in CXX)
file(STRINGS "${CMAKE_SOURCE_DIR}/prj.conf" options REGEX "^CONFIG_[A-Z0-9_]+=")
foreach(option ${options})
  string(REGEX MATCH "^([A-Z0-9_]+)=(.*)$" matched "${option}")
  set(${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
endforeach()

add_library(zephyr_interface INTERFACE)
target_include_directories(zephyr_interface SYSTEM INTERFACE ${TFLM_INCLUDE})
target_compile_features(zephyr_interface INTERFACE cxx_std_17)

macro(zephyr_library_named name)
  set(zephyr_library ${name})
  add_library(${name} STATIC)
  target_link_libraries(${name} PUBLIC zephyr_interface)
  set_property(GLOBAL APPEND PROPERTY zephyr_libraries ${name})
endmacro()

macro(zephyr_library_sources)
  target_sources(${zephyr_library} PRIVATE ${ARGN})
endmacro()

macro(zephyr_library_compile_options)
  target_compile_options(${zephyr_library} PRIVATE ${ARGN})
endmacro()

function(zephyr_include_directories)
  foreach(path ${ARGN})
    get_filename_component(path "${path}" ABSOLUTE)
    target_include_directories(zephyr_interface INTERFACE "${path}")
  endforeach()
endfunction()

function(zephyr_compile_definitions)
  target_compile_definitions(zephyr_interface INTERFACE ${ARGN})
endfunction()

foreach(module ${EXTRA_ZEPHYR_MODULES})
  file(STRINGS "${module}/zephyr/module.yml" folder REGEX "^  cmake: ")
  string(REPLACE "  cmake: " "" folder "${folder}")
  add_subdirectory("${module}/${folder}" "${CMAKE_BINARY_DIR}/module")
endforeach()
get_property(libraries GLOBAL PROPERTY zephyr_libraries)
add_executable(app)
set(PROGRAM "all_ops.cc" CACHE STRING "A program that is linked with all objects")
add_executable(all_ops "${CMAKE_CURRENT_LIST_DIR}/../${PROGRAM}")
foreach(program app all_ops)
  target_link_libraries(${program} PRIVATE zephyr_interface
    -Wl,--whole-archive ${libraries} -Wl,--no-whole-archive "${TFLM_LIB}")
endforeach()
