// The tables that builds may contain. Whether this machine can run one: table_by_name.
#pragma once

#include "kernels/kernels.h"

namespace hadal::kernels {

const Table& ref_table();
// Absent from a build with HADAL_REF_ONLY. Each holds what the one before it has not improved.
const Table& avx2_table();
const Table& avx512_table();
const Table& amx_table();

// The portable twins of the AVX-512 and AMX kernels, on top of the reference: slow, exact, for
// every machine. In the library hadal_kernels_portable, which tests alone link.
const Table& portable_avx512_table();
const Table& portable_amx_table();

// Put the entries of a set of instructions into a table (kernels/avx512, kernels/amx), compiled
// with the instructions and with their portable twins (kernels/wide.h).
namespace wide_native {
void add_avx512(Table& table);
void add_amx(Table& table);
// Decodes for them, as kernels::decode_part: by AVX2.
void decode_floats(const Matrix& w, int64_t row, int64_t begin, int64_t count, float* out);
}  // namespace wide_native
namespace wide_portable {
void add_avx512(Table& table);
void add_amx(Table& table);
void decode_floats(const Matrix& w, int64_t row, int64_t begin, int64_t count, float* out);
}  // namespace wide_portable

}  // namespace hadal::kernels
