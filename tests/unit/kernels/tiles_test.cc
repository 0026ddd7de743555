// The portable twins of the tile instructions equal the instructions, where this machine has them.
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/cpu.h"
#include "kernels/tiles_native.h"
#include "kernels/tiles_portable.h"

namespace hadal::kernels {
namespace {

struct Operands {
  alignas(64) uint8_t a[16][64], b[16][64], c[16][64];
};

// C [rows, columns], A [rows, depth] in units of four bytes.
struct Shape {
  int rows, columns, depth;
};
constexpr Shape shapes[] = {{16, 16, 16}, {16, 1, 16}, {3, 16, 8}, {5, 7, 2}, {1, 16, 13}};

template <class T>
T tile_shapes(Shape s) {
  T t;
  const int rows[3] = {s.rows, s.rows, s.depth};
  const int row_bytes[3] = {4 * s.columns, 4 * s.depth, 4 * s.columns};
  for (int i = 0; i < 3; ++i) {
    t.rows[i] = static_cast<uint8_t>(rows[i]);
    t.row_bytes[i] = static_cast<uint16_t>(row_bytes[i]);
  }
  return t;
}

#define HADAL_RUN(space, dot)                                 \
  [](Operands& o, Shape s) {                                  \
    space::tile_configure(tile_shapes<space::TileShapes>(s)); \
    space::tile_load<0>(o.c, 64);                             \
    space::tile_load<1>(o.a, 64);                             \
    space::tile_load<2>(o.b, 64);                             \
    space::dot<0, 1, 2>();                                    \
    space::dot<0, 1, 2>();                                    \
    space::tile_store<0>(o.c, 64);                            \
    space::tile_release();                                    \
  }
using Run = void (*)(Operands&, Shape);

void compare(Run native, Run portable, const std::vector<Operands>& cases) {
  if (!cpu_has_amx()) GTEST_SKIP() << "no tiles on this machine";
  for (const Operands& operands : cases) {
    for (const Shape s : shapes) {
      Operands x = operands, y = operands;
      native(x, s);
      portable(y, s);
      ASSERT_EQ(std::memcmp(x.c, y.c, sizeof(x.c)), 0)
          << s.rows << " " << s.columns << " " << s.depth;
    }
  }
}

std::vector<Operands> random_bytes() {
  std::mt19937 random(5);
  std::vector<Operands> cases(20);
  for (Operands& o : cases)
    for (auto* tile : {&o.a, &o.b, &o.c})
      for (auto& row : *tile)
        for (uint8_t& byte : row) byte = static_cast<uint8_t>(random());
  return cases;
}

TEST(Tiles, SignedBytes) {
  compare(HADAL_RUN(wide_native, tile_dot_ss), HADAL_RUN(wide_portable, tile_dot_ss),
          random_bytes());
}

TEST(Tiles, UnsignedBySignedBytes) {
  compare(HADAL_RUN(wide_native, tile_dot_us), HADAL_RUN(wide_portable, tile_dot_us),
          random_bytes());
}

// Numbers of all sizes, so that sums cancel, round, and leave the normal range at both ends.
std::vector<Operands> random_numbers() {
  std::mt19937 random(7);
  std::vector<Operands> cases;
  for (const int spread : {0, 4, 20, 64, 120}) {
    for (const int centre : {127, 63, 66, 20}) {
      const auto number = [&](int exponent_bits) {
        const int e =
            centre + static_cast<int>(random() % static_cast<unsigned>(spread + 1)) - spread / 2;
        const int clamped = e < 0 ? 0 : e > 180 ? 180 : e;
        return static_cast<uint32_t>(clamped) << exponent_bits;
      };
      for (int repeat = 0; repeat < 10; ++repeat) {
        Operands o;
        for (auto* tile : {&o.a, &o.b}) {
          for (auto& row : *tile) {
            for (int i = 0; i < 32; ++i) {
              const auto h = static_cast<uint16_t>((random() & 0x807f) | number(7));
              std::memcpy(row + 2 * i, &h, 2);
            }
          }
        }
        for (auto& row : o.c) {
          for (int i = 0; i < 16; ++i) {
            const uint32_t u = (static_cast<uint32_t>(random()) & 0x807fffffu) | number(23);
            std::memcpy(row + 4 * i, &u, 4);
          }
        }
        cases.push_back(o);
      }
    }
  }
  return cases;
}

// The border of the normal range: 2^-126 less d, which is subnormal where 24 bits of any exponent
// are, and rounds to 2^-126 where it is not.
std::vector<Operands> border_numbers() {
  std::vector<Operands> cases;
  for (const int d : {147, 148, 149, 150, 151, 152, 160}) {
    for (const int sign : {0, 1}) {
      Operands o = {};
      const auto put = [&](int k, int a_exponent, int b_exponent, int negative) {
        const auto a = static_cast<uint16_t>((127 + a_exponent) << 7 | (negative ^ sign) << 15);
        const auto b = static_cast<uint16_t>((127 + b_exponent) << 7);
        std::memcpy(o.a[0] + 4 * k, &a, 2);
        std::memcpy(o.b[k], &b, 2);
      };
      put(0, -63, -63, 0);
      put(1, -(d / 2), -(d - d / 2), 1);
      cases.push_back(o);
    }
  }
  return cases;
}

TEST(Tiles, Bf16PairsAtTheBorder) {
  compare(HADAL_RUN(wide_native, tile_dot_bf16), HADAL_RUN(wide_portable, tile_dot_bf16),
          border_numbers());
}

TEST(Tiles, Bf16Pairs) {
  compare(HADAL_RUN(wide_native, tile_dot_bf16), HADAL_RUN(wide_portable, tile_dot_bf16),
          random_numbers());
}

}  // namespace
}  // namespace hadal::kernels
