#include "kernels/decode.h"

#include "base/error.h"
#include "base/scalar.h"
#include "quant/format.h"

namespace hadal::kernels {
namespace {

constexpr int64_t fp8_tile = 128;

}  // namespace

int64_t block_weights(quant::Type type) {
  return quant::type_info(type).block_weights;
}

void decode_part(const Matrix& w, int64_t row, int64_t begin, int64_t count, float* out) {
  const quant::TypeInfo& info = quant::type_info(w.type);
  const char* data = static_cast<const char*>(w.data) + row * w.row_bytes +
                     begin / info.block_weights * info.block_bytes;
  if (w.type != quant::Type::FP8_E4M3) {
    quant::decode_row(w.type, data, out, count);
    return;
  }
  const float* scales = w.scales + row / fp8_tile * w.scale_stride;
  const auto* codes = reinterpret_cast<const uint8_t*>(data);
  for (int64_t i = 0; i < count; ++i) {
    out[i] = fp8_e4m3_to_float(codes[i]) * scales[(begin + i) / fp8_tile];
  }
}

}  // namespace hadal::kernels
