#include "eval/sequence.h"

#include <algorithm>

#include "base/error.h"

namespace hadal::eval {
namespace {

int64_t page_count(int64_t positions) {
  return (positions + model::KvCache::page_tokens - 1) / model::KvCache::page_tokens;
}

}  // namespace

quant::Type cache_type(model::Precision precision) {
  return precision == model::Precision::native ? quant::Type::BF16 : quant::Type::F32;
}

quant::Type cache_type(model::Precision precision, std::optional<quant::Type> wanted) {
  if (wanted == quant::Type::Q8_0 && precision != model::Precision::native)
    fail(ErrorKind::usage, "an 8-bit cache belongs to native precision: --precision native");
  return wanted.value_or(cache_type(precision));
}

Sequence::Sequence(const model::Model& model, model::Precision precision, ThreadPool& pool,
                   int64_t positions_max, int64_t chunk, std::optional<quant::Type> cache)
    : runner_(model, precision, pool, chunk),
      cache_(model.config, cache_type(precision, cache), page_count(positions_max)),
      pages_(static_cast<size_t>(page_count(positions_max))),
      chunk_(chunk) {
  std::iota(pages_.begin(), pages_.end(), 0);
}

void Sequence::append(std::span<const int32_t> tokens, const Rows& rows, model::Trace* trace) {
  const auto total = static_cast<int64_t>(tokens.size());
  HADAL_CHECK(trace == nullptr || total <= chunk_, "a trace holds one chunk, {} tokens given",
              total);
  for (int64_t begin = 0; begin < total; begin += chunk_) {
    const int64_t n = std::min(chunk_, total - begin);
    model::Segment segment;
    segment.tokens = tokens.subspan(static_cast<size_t>(begin), static_cast<size_t>(n));
    segment.start = length_;
    segment.pages = pages_;
    segment.form = model::AttentionForm::expanded;
    segment.logits_from = rows ? 0 : n;
    const std::span<const float> logits = runner_.forward(cache_, {&segment, 1}, trace);
    if (rows) rows(length_, n, logits);
    length_ += n;
  }
}

std::span<const float> Sequence::step(int32_t token) {
  model::Segment segment;
  segment.tokens = {&token, 1};
  segment.start = length_;
  segment.pages = pages_;
  segment.form = model::AttentionForm::absorbed;
  ++length_;
  return runner_.forward(cache_, {&segment, 1});
}

}  // namespace hadal::eval
