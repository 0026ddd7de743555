#include "tokenizer/stream_markup.h"

namespace hadal::tokenizer {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the sequence that `lead` begins; 0 if it begins none.
size_t sequence_length(unsigned char lead) {
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xC2 && lead <= 0xDF) {
    return 2;
  }
  if (lead >= 0xE0 && lead <= 0xEF) {
    return 3;
  }
  return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

// Whether `next` may follow `partial`: continuation bytes, without overlong forms and surrogates.
bool continues_sequence(std::string_view partial, unsigned char next) {
  const auto lead = static_cast<unsigned char>(partial[0]);
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
  if (partial.size() == 1) {
    low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : low;
    high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : high;
  }
  return next >= low && next <= high;
}

}  // namespace

void Utf8Buffer::push(std::string_view bytes, std::string& out) {
  for (char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (!partial_.empty()) {
      if (continues_sequence(partial_, byte)) {
        partial_ += c;
        if (partial_.size() == sequence_length(static_cast<unsigned char>(partial_[0]))) {
          out += partial_;
          partial_.clear();
        }
        continue;
      }
      flush(out);
    }
    const size_t length = sequence_length(byte);
    if (length == 1) {
      out += c;
    } else if (length == 0) {
      out += kReplacement;
    } else {
      partial_ = c;
    }
  }
}

void Utf8Buffer::flush(std::string& out) {
  if (!partial_.empty()) {
    out += kReplacement;
    partial_.clear();
  }
}

}  // namespace hadal::tokenizer
