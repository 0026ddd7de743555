#include "data/packed_text.h"

#include <algorithm>
#include <vector>

#include <zstd.h>

#include "base/error.h"

namespace hadal::data {

struct PackedText::Decoder {
  struct Free {
    void operator()(ZSTD_DStream* unused) const { ZSTD_freeDStream(unused); }
  };
  std::unique_ptr<ZSTD_DStream, Free> stream{ZSTD_createDStream()};
  std::vector<char> out = std::vector<char>(size_t{1} << 20);
  bool inside_frame = false;  // a frame has begun and not ended
};

PackedText::PackedText(std::span<const std::byte> bytes, const std::string& name)
    : bytes_(bytes), name_(name) {
  if (!name.ends_with(".zst")) return;
  decoder_ = std::make_unique<Decoder>();
  if (decoder_->stream == nullptr) fail(ErrorKind::limit, "{}: no memory to unpack it", name);
}

PackedText::~PackedText() = default;

uint64_t PackedText::bytes_read() const {
  return at_;
}

std::string_view PackedText::next() {
  if (decoder_ == nullptr) {
    constexpr size_t piece = size_t{1} << 20;
    const size_t count = std::min(piece, bytes_.size() - at_);
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + at_;
    at_ += count;
    return {begin, count};
  }
  ZSTD_outBuffer out = {decoder_->out.data(), decoder_->out.size(), 0};
  while (out.pos == 0) {
    if (at_ == bytes_.size() && !decoder_->inside_frame) return {};
    ZSTD_inBuffer in = {bytes_.data(), bytes_.size(), at_};
    const size_t left = ZSTD_decompressStream(decoder_->stream.get(), &out, &in);
    if (ZSTD_isError(left) != 0) {
      fail(ErrorKind::format, "{}: the packed data are damaged near byte {}: {}", name_, at_,
           ZSTD_getErrorName(left));
    }
    if (out.pos == 0 && in.pos == at_ && left != 0) {
      fail(ErrorKind::format, "{}: the packed data end too early: fetch the file again", name_);
    }
    at_ = in.pos;
    decoder_->inside_frame = left != 0;
  }
  return {decoder_->out.data(), out.pos};
}

}  // namespace hadal::data
