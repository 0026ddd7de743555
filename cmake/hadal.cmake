# One folder = one library. Everything is compiled for x86-64-v2; only files in an instruction-set
# folder of kernels/ get more (see src/kernels/CMakeLists.txt), so the binary starts anywhere.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# -ffp-contract=off: a product and a sum are fused only where the code says fma, so that every
# instruction set computes the same bits (docs/numerics.md).
add_compile_options(-march=x86-64-v2 -ffp-contract=off -fno-math-errno -Wall -Wextra -Wpedantic
                    -Wshadow -Wnon-virtual-dtor -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wno-deprecated-declarations)  # from inside GCC 12's std::stable_sort
endif()
if(HADAL_SANITIZE)
  add_compile_options(-fsanitize=${HADAL_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${HADAL_SANITIZE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Warnings that GCC 12 gets wrong in instrumented code (its bugs 105651, 105562).
    add_compile_options(-Wno-restrict -Wno-maybe-uninitialized)
  endif()
endif()
if(HADAL_FUZZ)
  # Clang blames GCC 12's own stable_sort for a deprecated function.
  add_compile_options(-fsanitize=fuzzer-no-link -Wno-deprecated-declarations)
endif()

# hadal_library(NAME DEPENDENCIES...): every .cc of the current folder. Links are the layer arrows.
function(hadal_library name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  if(NOT sources)
    add_library(hadal_${name} INTERFACE)
    target_include_directories(hadal_${name} INTERFACE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(hadal_${name} INTERFACE ${ARGN})
    return()
  endif()
  add_library(hadal_${name} STATIC ${sources})
  target_include_directories(hadal_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(hadal_${name} PUBLIC ${ARGN})
endfunction()
