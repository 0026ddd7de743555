// The tables that builds may contain. Whether this machine can run one: table_by_name.
#pragma once

#include "kernels/kernels.h"

namespace hadal::kernels {

const Table& ref_table();
const Table& avx2_table();  // absent from a build with HADAL_REF_ONLY

}  // namespace hadal::kernels
