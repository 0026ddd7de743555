#include "eval/prose.h"

#include <algorithm>
#include <numbers>

#include "base/error.h"
#include "eval/perplexity.h"

namespace hadal::eval {

double Prose::bits_per_byte() const {
  return bytes > 0 ? nll / std::numbers::ln2 / static_cast<double>(bytes) : 0;
}

Prose measure_prose(const infer::LoadedModel& model, const std::string& path,
                    const ProseOptions& options, ThreadPool& pool,
                    const std::function<void(int64_t)>& progress) {
  const tokenizer::Tokenizer& tokenizer = infer::require_tokenizer(model);
  if (model.bos_id < 0) {
    fail(ErrorKind::unsupported, "{} has no begin token to put in front of a text", model.name);
  }
  PerplexityOptions wanted;
  wanted.bos = model.bos_id;
  constexpr int64_t window_max = 1024;
  wanted.window = std::min(model.model->config.context_length, window_max) - 1;
  Prose prose;
  data::read_documents(path, [&](data::Document& document) {
    if (document.dialogue || document.text.empty() || prose.bytes >= options.bytes_max ||
        !data::in_part(document, options.part)) {
      return;
    }
    const Perplexity p = perplexity(*model.model, tokenizer.encode(document.text), wanted, pool);
    ++prose.documents;
    prose.bytes += static_cast<int64_t>(document.text.size());
    prose.tokens += p.tokens;
    prose.nll += p.nll;
    if (progress) progress(prose.bytes);
  });
  if (prose.documents == 0) {
    fail(ErrorKind::usage, "{}: no text in the part asked for; --part all reads everything", path);
  }
  return prose;
}

}  // namespace hadal::eval
