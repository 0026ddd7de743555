// hadal run: one answer when there is a prompt or stdin is no terminal, else a chat.
#include <cstdio>
#include <memory>

#include <nlohmann/json.hpp>
#include <unistd.h>

#include "base/error.h"
#include "cli/answer.h"
#include "cli/chat_session.h"
#include "cli/command.h"
#include "cli/commands.h"
#include "cli/disk_cache_option.h"
#include "cli/interrupt.h"
#include "cli/mtp_option.h"
#include "cli/precision_option.h"
#include "cli/run_prompt.h"
#include "infer/model_store.h"
#include "kernels/kernels.h"

namespace hadal::cli {
namespace {

constexpr const char* kHelpEnd =
    "Examples:\n"
    "  hadal run                                      talk to the bundled model\n"
    "  hadal run \"What is 7 + 5?\"                     one answer of the bundled model\n"
    "  hadal run ~/models/r1.gguf \"Why is it dark?\"   a model file or a Hugging Face folder\n"
    "  git diff | hadal run r1 \"Explain this.\"        the prompt, then what comes from the pipe\n"
    "  hadal run --json \"Hi\" | jq .usage              answer, usage and timings as JSON\n"
    "\n"
    "Without a prompt, and with a keyboard, it is a chat: /help there lists its commands. Into a\n"
    "pipe goes the answer alone, without the thoughts.\n"
    "\n"
    "Sampling starts from the model's generation_config.json, or from what its makers recommend\n"
    "(R1: temperature 0.6, top-p 0.95). Models under 500 million parameters, as the bundled one,\n"
    "compute in F32 and answer greedily (temperature 0) unless you say otherwise.\n"
    "\n"
    "Known from llama.cpp: -m -p -c -n -t -s --temp --ctx-size --n-predict.";

using Json = nlohmann::ordered_json;

double per_second(int64_t count, double ms) {
  return ms > 0 ? static_cast<double>(count) * 1000.0 / ms : 0.0;
}

Json answer_json(const Answer& answer, const Speaker& speaker) {
  const infer::RequestStats& stats = answer.stats;
  const int64_t computed = stats.prompt_tokens - stats.cached_tokens;
  return {{"model", speaker.model().name},
          {"answer", answer.content},
          {"reasoning", answer.reasoning},
          {"finish_reason", answer.finish()},
          {"usage",
           {{"prompt_tokens", stats.prompt_tokens},
            {"cached_tokens", stats.cached_tokens},
            {"completion_tokens", stats.generated_tokens},
            {"reasoning_tokens", stats.reasoning_tokens}}},
          {"speculation",
           {{"drafted_tokens", stats.drafted_tokens}, {"accepted_tokens", stats.accepted_tokens}}},
          {"timings",
           {{"load_ms", speaker.load_ms()},
            {"prompt_ms", stats.prefill_ms},
            {"prompt_per_second", per_second(computed, stats.prefill_ms)},
            {"decode_ms", stats.decode_ms},
            {"decode_per_second", per_second(stats.generated_tokens - 1, stats.decode_ms)}}},
          {"seed", stats.seed},
          {"peak_memory_bytes", peak_memory_bytes()}};
}

void print_notes(const Speaker& speaker, const RunOptions& options) {
  for (const std::string& note : speaker.model().notes) fmt::print(stderr, "note: {}\n", note);
  if (!options.verbose) return;
  const infer::SamplingParams& params = speaker.sampling();
  fmt::print(stderr, "model {}, opened in {:.0f} ms\n", speaker.model().path, speaker.load_ms());
  fmt::print(stderr, "{} kernels, {} threads, context of {} tokens\n", kernels::active().name,
             speaker.threads(), speaker.engine().context_tokens());
  if (speaker.model().style) {
    fmt::print(stderr, "dialogue form {}\n",
               tokenizer::generation_name(speaker.model().style->generation));
  }
  fmt::print(stderr, "temperature {}, top-p {}, top-k {}, min-p {}, repetition penalty {}\n",
             params.temperature, params.top_p, params.top_k, params.min_p,
             params.repetition_penalty);
}

void answer_once(Speaker& speaker, const std::string& prompt, const RunOptions& options,
                 const Globals& globals) {
  if (!speaker.has_dialogue() && !globals.json) {
    fmt::print(stderr, "note: {} is a base model: it continues your text\n", speaker.model().name);
  }
  const AnswerStyle style = {isatty(STDOUT_FILENO) == 1, use_color(globals, STDOUT_FILENO),
                             options.hide_thinking};
  AnswerPrinter printer(style, [](std::string_view piece) {
    std::fwrite(piece.data(), 1, piece.size(), stdout);
    std::fflush(stdout);
  });
  const Answer answer = speaker.ask(prompt, globals.json ? nullptr : &printer);
  check_interrupt();
  if (globals.json) {
    fmt::print("{}\n",
               answer_json(answer, speaker).dump(-1, ' ', false, Json::error_handler_t::replace));
    return;
  }
  const bool color = use_color(globals, STDERR_FILENO);
  const std::string note = cut_note(answer, speaker);
  if (!note.empty()) fmt::print(stderr, "[{}]\n", note);
  if (options.stats.value_or(isatty(STDERR_FILENO) == 1)) {
    fmt::print(stderr, "{}{}{}\n", color ? "\033[2m" : "",
               stats_line(answer.stats, peak_memory_bytes()), color ? "\033[0m" : "");
  }
}

// `hadal run Hi`: a name that no model has was perhaps meant to be said.
void check_lone_argument(const std::string& model) {
  try {
    infer::find_model(model);
  } catch (const Error& error) {
    fail(error.kind(), "{} (to say it to the bundled model: hadal run -p '{}')", error.what(),
         model);
  }
}

void run(RunOptions& options, const Globals& globals) {
  const bool keyboard = isatty(STDIN_FILENO) == 1;
  separate_prompt(options);
  if (!options.prompt_flag.empty()) {
    options.prompt.insert(options.prompt.begin(), options.prompt_flag);
  }
  const std::string piped = keyboard ? "" : read_piped_text(STDIN_FILENO);
  const std::string prompt = join_prompt(options.prompt, piped);
  if (prompt.empty()) {
    check_lone_argument(options.model);
    if (!keyboard) fail(ErrorKind::usage, "the prompt is empty: nothing came from the pipe");
    if (globals.json) fail(ErrorKind::usage, "--json needs a prompt");
    if (isatty(STDOUT_FILENO) != 1) {
      fail(ErrorKind::usage, "a prompt is needed when the output is no terminal");
    }
  }
  Speaker speaker(options, globals);
  print_notes(speaker, options);
  if (prompt.empty()) {
    chat_at_terminal(speaker, options, globals);
  } else {
    answer_once(speaker, prompt, options, globals);
  }
}

void add_sampling(CLI::App* command, RunOptions& options) {
  const char* group = "Sampling";
  command->add_option("--temperature,--temp", options.temperature, "0: always the likeliest token")
      ->type_name("X")
      ->group(group);
  command->add_option("--top-p", options.top_p, "Keep the likeliest tokens up to this share")
      ->type_name("X")
      ->group(group);
  command->add_option("--top-k", options.top_k, "Keep this many of the likeliest tokens (0: all)")
      ->type_name("N")
      ->group(group);
  command->add_option("--min-p", options.min_p, "Drop tokens below this share of the likeliest")
      ->type_name("X")
      ->group(group);
  command
      ->add_option("--repeat-penalty,--repetition-penalty", options.repeat_penalty,
                   "Above 1: shun tokens that were there already")
      ->type_name("X")
      ->group(group);
  command->add_option("--frequency-penalty", options.frequency_penalty, "As in OpenAI's API")
      ->type_name("X")
      ->group(group);
  command->add_option("--presence-penalty", options.presence_penalty, "As in OpenAI's API")
      ->type_name("X")
      ->group(group);
  command->add_option("-s,--seed", options.seed, "The same seed gives the same answer")
      ->type_name("N")
      ->group(group);
  command->add_option("--stop", options.stop, "End the answer before this text (may be repeated)")
      ->type_name("TEXT")
      ->take_all()
      ->allow_extra_args(false)
      ->default_str("")
      ->group(group);
}

void add_lengths(CLI::App* command, RunOptions& options) {
  command
      ->add_option("-n,--max-tokens,--n-predict", options.max_tokens,
                   "The most tokens of an answer (-1: until the context is full)")
      ->type_name("N");
  command
      ->add_option("-c,--ctx,--ctx-size", options.context_tokens,
                   "Tokens of prompt and answer together (0: as the model was trained)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 30).description(""))
      ->type_name("N");
  command->add_option("--think", options.think, "Think before the answer, where the model can")
      ->check(CLI::IsMember({"on", "off"}).description(""))
      ->type_name("on|off");
  command
      ->add_option("--thinking-budget", options.thinking_budget,
                   "The most tokens of a thought (-1: no bound)")
      ->type_name("N");
  command->add_flag("--hide-thinking", options.hide_thinking, "One quiet line for each thought");
}

}  // namespace

void add_run(CLI::App& app, Globals& globals) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = add_command(app, globals, "run", "Talk to a model", kHelpEnd,
                                  [options, &globals] { run(*options, globals); });
  command->add_option("-m,--model,MODEL", options->model,
                      "Model file, Hugging Face folder, or a name from 'hadal list'");
  command->add_option("PROMPT", options->prompt, "What to say; several words are joined")
      ->default_str("");
  command->add_option("-p,--prompt", options->prompt_flag, "The same as a flag")->type_name("TEXT");
  command->add_option("--system", options->system, "System text: how the model should behave")
      ->type_name("TEXT");
  add_lengths(command, *options);
  add_threads(command, globals);
  add_mtp(command, &options->drafts);
  add_precision(command, &options->precision, "f32 under 500 million parameters, else native");
  add_cache_type(command, &options->cache);
  add_disk_cache(command, &options->disk);
  command->add_flag_function(
      "--stats,!--no-stats", [options](int64_t count) { options->stats = count > 0; },
      "Speed and memory after each answer, on stderr (default at a terminal)");
  command->add_flag("--verbose", options->verbose, "Say what was loaded and how it is sampled");
  add_json(command, globals);
  add_sampling(command, *options);
}

}  // namespace hadal::cli
