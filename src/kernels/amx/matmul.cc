#include "kernels/amx/matmul.h"

#include "kernels/amx/packed.h"

namespace hadal::kernels::HADAL_WIDE::amx {
namespace {

// Fewer activations than these are quicker one by one: a tile holds sixteen.
constexpr int64_t packed_min = 5;

// Tiles of 16 rows of 64 bytes; for blocks of 32, first operands of 32 bytes a row (registers 1 and
// 5) and second operands of 8 rows (2 and 6).
TileShapes tile_shapes(bool large) {
  TileShapes shapes;
  for (int i = 0; i < 8; ++i) {
    const int role = large ? 0 : i % 4;
    shapes.rows[i] = role == 2 ? 8 : 16;
    shapes.row_bytes[i] = role == 1 ? 32 : 64;
  }
  return shapes;
}

}  // namespace

int64_t packed_bytes(quant::Type /*type*/, Activation activation, int64_t k, int64_t n) {
  if (activation == Activation::bf16) return packed_bytes_bf16(k, n);
  const bool integers = activation == Activation::q8_32 || activation == Activation::q8_256;
  if (!integers || n < packed_min) return 0;
  return token_groups(n) * group_bytes(activation, k);
}

void matmul_packed(const Matmul& m) {
  if (m.activation == Activation::bf16) return matmul_packed_bf16(m);
  const bool large = m.activation == Activation::q8_256;
  tile_configure(tile_shapes(large));
  if (large) {
    matmul_large(m);
  } else {
    matmul_small(m);
  }
  tile_release();
}

}  // namespace hadal::kernels::HADAL_WIDE::amx
