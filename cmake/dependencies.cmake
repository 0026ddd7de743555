# Debian 12 packages; scripts/setup installs them.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(LIBEDIT REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
find_path(TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)  # libtomlplusplus-dev
find_package(OpenSSL REQUIRED)
set(MPI_CXX_SKIP_MPICXX ON)
find_package(MPI QUIET COMPONENTS CXX)  # libopenmpi-dev; optional: training by several processes
find_path(BOOST_INCLUDE boost/beast/http/parser.hpp REQUIRED)  # libboost1.81-dev
