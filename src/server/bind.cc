#include "server/bind.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "infer/chat.h"
#include "server/api_error.h"
#include "server/constraints.h"

namespace hadal::server {
namespace {

using tokenizer::Generation;
using tokenizer::ThinkingSupport;
using tokenizer::Tokenizer;

Generation require_generation(const ServedModel& model) {
  if (!model.generation)
    throw ApiError(400,
                   fmt::format("{} is a base model without dialogues: use /completions", model.id));
  return *model.generation;
}

void check_name(const ServedModel& model, const CommonRequest& request) {
  if (resolve_name(model, request.model).known) return;
  if (request.knows_claude && request.model.starts_with("claude-")) return;
  throw ApiError(400,
                 fmt::format("the model '{}' is not served here; there is {}", request.model,
                             fmt::join(model_names(model), ", ")),
                 "model", "model_not_found");
}

void check_length(const ServedModel& model, size_t prompt, int64_t context_max, const char* param) {
  int64_t context = model.engine->context_tokens();
  if (context_max > 0) context = std::min(context, context_max);
  if (static_cast<int64_t>(prompt) < context) return;
  throw ApiError(400,
                 fmt::format("the prompt has {} tokens, but the context holds {}, the answer "
                             "included; nothing was cut",
                             prompt, context),
                 param, "context_length_exceeded");
}

infer::SamplingParams bind_sampling(const ServedModel& model, const CommonRequest& request) {
  infer::SamplingParams params = model.sampling;
  if (request.temperature) {
    const double t = *request.temperature;
    params.temperature = model.options.map_temperature ? (t <= 1 ? 0.3 * t : t - 0.7) : t;
  }
  // 0 is allowed in the API and means: the likeliest token alone.
  if (request.top_p) params.top_p = std::max(*request.top_p, 1e-9);
  if (request.top_k) params.top_k = static_cast<int32_t>(std::max<int64_t>(*request.top_k, 0));
  params.min_p = request.min_p.value_or(params.min_p);
  params.repetition_penalty = request.repetition_penalty.value_or(params.repetition_penalty);
  params.frequency_penalty = request.frequency_penalty.value_or(params.frequency_penalty);
  params.presence_penalty = request.presence_penalty.value_or(params.presence_penalty);
  params.logit_bias = request.logit_bias;
  if (request.ignore_eos) {
    // Never drawn, rather than drawn and passed over: nothing would be shown behind them.
    constexpr float never = -std::numeric_limits<float>::infinity();
    for (const auto* ids : {&model.end_ids, &model.loaded.stop_ids})
      for (const int32_t id : *ids) params.logit_bias.emplace_back(id, never);
  }
  if (request.seed) params.seed = static_cast<uint64_t>(*request.seed);
  params.logprobs = static_cast<int32_t>(request.logprobs);
  try {
    infer::validate(params, model.loaded.model->config.vocab_size);
  } catch (const Error& error) {
    throw ApiError(422, error.what(), "logit_bias");  // the rest has been checked
  }
  return params;
}

// What every kind of generation has in common, once the prompt stands.
Bound finish(const ServedModel& model, const CommonRequest& request, infer::Request made,
             const Binding& binding) {
  const int64_t context_max = binding.context_max;
  made.sampling = bind_sampling(model, request);
  made.max_tokens = request.max_tokens > 0 ? request.max_tokens : model.options.default_max_tokens;
  if (context_max > 0) {
    const int64_t left = context_max - static_cast<int64_t>(made.prompt.size());
    made.max_tokens = made.max_tokens < 0 ? left : std::min(left, made.max_tokens);
  }
  made.stop = request.stop;
  made.ignore_eos = request.ignore_eos;
  made.owner = binding.owner;
  Bound bound;
  for (int64_t i = 0; i < request.n; ++i) {
    made.stream = static_cast<uint64_t>(i);
    bound.choices.push_back(made);
  }
  return bound;
}

// What is wished, in a form that the model has: a contradiction that was spelt out is an error, one
// that only follows from a name becomes a warning.
std::optional<bool> agree_on_thinking(const ServedModel& model, const ChatRequest& request,
                                      std::string& warning) {
  const ThinkingSupport support = tokenizer::thinking_support(require_generation(model));
  const std::optional<bool> named = resolve_name(model, request.model).thinking;
  std::optional<bool> wanted = request.thinking ? request.thinking : named;
  if (!wanted && request.effort) wanted = true;
  if (!wanted && model.loaded.style) wanted = model.loaded.style->thinking;
  const bool impossible = (support == ThinkingSupport::never && wanted == true) ||
                          (support == ThinkingSupport::always && wanted == false);
  if (!impossible) return wanted;
  const std::string message =
      fmt::format("{} {}", model.id,
                  *wanted ? "cannot think before it answers" : "always thinks before it answers");
  if (request.thinking) throw ApiError(400, message, "thinking");
  warning = message;
  return std::nullopt;
}

tokenizer::EncodeOptions encode_options(const ServedModel& model, const ChatRequest& request,
                                        std::string& warning) {
  tokenizer::EncodeOptions encode;
  encode.thinking = agree_on_thinking(model, request, warning);
  encode.effort = request.effort.value_or(tokenizer::Effort::standard);
  encode.default_system = model.default_system;
  return encode;
}

// Tools that must not be called are not shown.
tokenizer::Dialogue shown_dialogue(const ChatRequest& request) {
  tokenizer::Dialogue dialogue = request.dialogue;
  if (request.tool_choice.kind == ToolChoice::Kind::none) dialogue.tools.clear();
  return dialogue;
}

struct FimMarkers {
  int32_t begin = -1, hole = -1, end = -1;
};

FimMarkers fim_markers(const ServedModel& model) {
  const Tokenizer& tokenizer = *model.loaded.tokenizer;
  constexpr std::string_view spellings[][3] = {
      {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"},
      {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
  };
  for (const auto& [begin, hole, end] : spellings) {
    const auto a = tokenizer.special_id(begin), b = tokenizer.special_id(hole),
               c = tokenizer.special_id(end);
    if (a && b && c) return {*a, *b, *c};
  }
  throw ApiError(400, fmt::format("{} has no tokens for filling in the middle", model.id),
                 "suffix");
}

}  // namespace

std::vector<int32_t> chat_prompt(const ServedModel& model, const ChatRequest& request, Bound& bound,
                                 const Binding& binding) {
  check_name(model, request);
  const Generation generation = require_generation(model);
  tokenizer::EncodeOptions encode = encode_options(model, request, bound.warning);
  if (binding.spellings != nullptr) {
    encode.spelling = [&binding](std::string_view run) {
      return binding.spellings->find(binding.owner, run);
    };
  }
  const tokenizer::Dialogue dialogue = shown_dialogue(request);
  try {
    bound.thinking = tokenizer::resolve_thinking(generation, encode.thinking);
    bound.starts_thinking = tokenizer::starts_thinking(generation, dialogue, encode);
    return tokenizer::encode_dialogue(*model.loaded.tokenizer, generation, dialogue, encode);
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "messages");
  }
}

std::string chat_prompt_text(const ServedModel& model, const ChatRequest& request) {
  check_name(model, request);
  std::string warning;
  const tokenizer::EncodeOptions encode = encode_options(model, request, warning);
  try {
    return tokenizer::render_dialogue(require_generation(model), shown_dialogue(request), encode);
  } catch (const Error& error) {
    throw ApiError(400, error.what(), "messages");
  }
}

Bound bind_chat(const ServedModel& model, const ChatRequest& request, const Binding& binding) {
  Bound form;
  infer::Request made;
  made.prompt = chat_prompt(model, request, form, binding);
  made.stop_ids = model.end_ids;
  made.thinking =
      infer::thinking_markers(*model.loaded.tokenizer, *model.generation, form.starts_thinking);
  made.thinking.budget = request.thinking_budget;
  // Qwen 3 opens its thought itself, which no grammar of an answer knows.
  made.thinking.may_open = form.thinking && !form.starts_thinking;
  made.constraint = model.constraints->get(model, describe_constraint(request));
  check_length(model, made.prompt.size(), binding.context_max, "messages");
  Bound bound = finish(model, request, std::move(made), binding);
  bound.starts_thinking = form.starts_thinking;
  bound.thinking = form.thinking;
  bound.warning = form.warning;
  return bound;
}

Bound bind_completion(const ServedModel& model, const CompletionRequest& request,
                      const Binding& binding) {
  check_name(model, request);
  const Tokenizer& tokenizer = *model.loaded.tokenizer;
  infer::Request made;
  made.constraint = model.constraints->get(model, describe_grammar(request.grammar));
  if (!request.prompt_ids.empty()) {
    made.prompt = request.prompt_ids;
  } else {
    const auto put = [&](const std::string& text) {
      const std::vector<int32_t> ids = tokenizer.encode(text);
      made.prompt.insert(made.prompt.end(), ids.begin(), ids.end());
    };
    const bool fim = request.suffix.has_value();
    if (model.loaded.bos_id >= 0 && (fim || tokenizer.add_bos()))
      made.prompt.push_back(model.loaded.bos_id);
    if (fim) {
      const FimMarkers markers = fim_markers(model);
      made.prompt.push_back(markers.begin);
      put(request.prompt);
      made.prompt.push_back(markers.hole);
      put(*request.suffix);
      made.prompt.push_back(markers.end);
    } else {
      put(request.prompt);
    }
  }
  const int64_t vocabulary = model.loaded.model->config.vocab_size;
  for (const int32_t id : made.prompt)
    if (id >= vocabulary)
      throw ApiError(422, fmt::format("prompt: token {}, but ids are below {}", id, vocabulary),
                     "prompt");
  if (made.prompt.empty()) throw ApiError(422, "prompt: nothing to continue", "prompt");
  check_length(model, made.prompt.size(), binding.context_max, "prompt");
  return finish(model, request, std::move(made), binding);
}

}  // namespace hadal::server
