// What a model generates, as answers, thoughts and tool calls: the joined events do not depend on
// how the same bytes are cut into tokens.
#include <map>

#include "base/error.h"
#include "tokenizer/stream_parser.h"
#include "unit/tokenizer/small_tokenizer.h"

namespace {

using namespace hadal::tokenizer;

// Bytes are themselves; behind 0xFF, which no UTF-8 has, stands a special token.
template <typename F>
void read(const Tokenizer& tokenizer, const uint8_t* data, size_t size, const F& take) {
  for (size_t i = 0; i < size; ++i) {
    if (data[i] != 0xFF || i + 1 == size) {
      take(data[i], true);
      continue;
    }
    const int32_t id = 256 + data[++i] % (tokenizer.size() - 256);
    take(id, !tokenizer.is_special(id));
  }
}

// All that is told, one piece a kind and place.
class Told {
 public:
  void add(const std::vector<StreamEvent>& events) {
    for (const StreamEvent& event : events) {
      if (parts_.empty() || kind_ != event.kind || event.kind == StreamEvent::Kind::call_begin)
        parts_.push_back(std::to_string(static_cast<int>(event.kind)) + ":" +
                         std::to_string(event.call) + ":" + std::to_string(event.valid) + ":");
      kind_ = event.kind;
      parts_.back() += event.text;
    }
  }
  const std::vector<std::string>& parts() const { return parts_; }

 private:
  std::vector<std::string> parts_;
  StreamEvent::Kind kind_ = StreamEvent::Kind::content;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Tokenizer tokenizer = small_tokenizer();
  if (size == 0 || size > 8192) return 0;
  const auto generation = static_cast<Generation>(data[0] % 10);
  const bool thinks = (data[0] & 0x80) != 0;
  StreamParser single(tokenizer, generation, thinks), joined(tokenizer, generation, thinks);
  Told a, b;
  read(tokenizer, data + 1, size - 1, [&](int32_t id, bool) { a.add(single.push(id)); });
  a.add(single.finish());
  std::string text;
  read(tokenizer, data + 1, size - 1, [&](int32_t id, bool is_text) {
    if (is_text) {
      text += tokenizer.token_bytes(id);
      return;
    }
    b.add(joined.push_text(text));
    text.clear();
    b.add(joined.push(id));
  });
  b.add(joined.push_text(text));
  b.add(joined.finish());
  HADAL_CHECK(a.parts() == b.parts(), "the cut of an answer changes what is told of it");
  return 0;
}
