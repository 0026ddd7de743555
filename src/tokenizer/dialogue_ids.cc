#include <utility>

#include "tokenizer/dialogue.h"
#include "tokenizer/tokenizer.h"

namespace hadal::tokenizer {

std::vector<int32_t> encode_dialogue(const Tokenizer& tokenizer, Generation generation,
                                     const Dialogue& dialogue, const EncodeOptions& options) {
  std::vector<int32_t> ids;
  std::string text;  // neighbouring plain text, encoded as one run
  const auto put_text = [&] {
    std::optional<std::vector<int32_t>> known;
    if (options.spelling && !text.empty()) known = options.spelling(text);
    const std::vector<int32_t> encoded = known ? std::move(*known) : tokenizer.encode(text);
    ids.insert(ids.end(), encoded.begin(), encoded.end());
    text.clear();
  };
  for (const Piece& piece : dialogue_pieces(generation, dialogue, options)) {
    const std::optional<int32_t> id =
        piece.special ? tokenizer.special_id(piece.text) : std::nullopt;
    if (id) {
      put_text();
      ids.push_back(*id);
    } else {
      text += piece.text;
    }
  }
  put_text();
  return ids;
}

}  // namespace hadal::tokenizer
