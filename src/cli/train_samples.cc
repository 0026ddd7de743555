#include "cli/train_samples.h"

#include "infer/engine.h"

namespace hadal::cli {

std::vector<std::string> sample_text(const std::string& folder, const SampleSettings& settings,
                                     ThreadPool& pool) {
  std::vector<std::string> out;
  if (settings.prompts.empty()) return out;
  const infer::LoadedModel model = infer::open_model(folder);
  if (!model.tokenizer) return out;
  infer::EngineOptions options;
  options.sequences_max = 1;
  options.cache_tokens = std::min<int64_t>(model.model->config.context_length, 4096);
  options.drafts = 0;
  infer::Engine engine(model, pool, options);
  for (const std::string& prompt : settings.prompts) {
    infer::Request request;
    if (model.bos_id >= 0) request.prompt.push_back(model.bos_id);
    for (const int32_t id : model.tokenizer->encode_with_special(prompt))
      request.prompt.push_back(id);
    request.sampling.temperature = settings.temperature;
    request.sampling.seed = 1;
    request.max_tokens = std::min(
        settings.tokens, engine.context_tokens() - static_cast<int64_t>(request.prompt.size()) - 1);
    if (request.prompt.empty() || request.max_tokens < 1) {
      out.emplace_back();
      continue;
    }
    out.push_back(model.tokenizer->decode(engine.generate(std::move(request)).tokens));
  }
  return out;
}

}  // namespace hadal::cli
