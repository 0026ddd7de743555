// Tiles for BF16 rows (avx512/pairs.h).
#pragma once

#include "kernels/avx512/pairs.h"

namespace hadal::kernels::HADAL_WIDE {

// Every register full.
HADAL_OP void configure_whole_tiles() {
  TileShapes shapes;
  for (int t = 0; t < 8; ++t) {
    shapes.rows[t] = 16;
    shapes.row_bytes[t] = 64;
  }
  tile_configure(shapes);
}

}  // namespace hadal::kernels::HADAL_WIDE
