// A model that says what a test has written down: after each token of a script the next one is by
// far the likeliest, whatever stood before. It is a real model with real layers, whose outputs are
// small beside an embedding that knows its successor, so that thoughts, tool calls, holes to fill
// in and characters split between tokens come out of `hadal serve` without a model of that size.
#pragma once

#include <algorithm>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/thread_pool.h"
#include "format/convert.h"
#include "tokenizer/byte_alphabet.h"
#include "unit/model/tiny_model.h"

namespace hadal::e2e {

struct Script {
  // Tokens that follow one another: special ones, single bytes, or texts of several bytes, each of
  // which becomes a token of its own. A token has one successor; "<end>" ends the answer.
  std::vector<std::vector<std::string>> chains;
  // What comes after a token if sampling is kept from the first choice.
  std::vector<std::pair<std::string, std::string>> second_choices;
  std::string otherwise;  // the successor of all other tokens
};

class ScriptedModel {
 public:
  explicit ScriptedModel(const Script& script) {
    texts_.assign(std::begin(specials), std::end(specials));
    for (int byte = 0; byte < 256; ++byte)
      texts_.push_back(tokenizer::alphabet_spelling(std::string(1, static_cast<char>(byte))));
    for (const auto& chain : script.chains)
      for (size_t i = 0; i + 1 < chain.size(); ++i) follow(id_of(chain[i]), id_of(chain[i + 1]));
    for (const auto& [from, to] : script.second_choices) second_[id_of(from)].push_back(id_of(to));
    otherwise_ = id_of(script.otherwise);
  }

  // As GGUF, of the form V3.1.
  void write(const std::string& path) const {
    testing::TinyOptions tiny;
    tiny.hidden = hidden;
    tiny.vocab = static_cast<int64_t>(texts_.size());
    format::LoadedFiles files;
    files.model = testing::tiny_model(tiny);
    files.path = path;
    files.chat_template = "<｜User｜></think>";  // what tells V3.1 from the others
    model::Model& model = *files.model;
    model.config.name = "scripted";
    model.config.context_length = 32768;
    model.config.bos_id = bos;
    model.config.eos_ids = {eos};
    model.config.pad_id = pad;
    model.final_norm.assign(hidden, 1.0f);
    const std::vector<float> embedding = embedding_rows(), head = head_rows();
    model.embedding = matrix(embedding);
    model.head = matrix(head);
    const format::GgufTokenizer tokenizer = tokenizer_parts();
    ThreadPool pool(1);
    format::write_gguf(files, &tokenizer, path, {.replace = true}, pool);
  }

 private:
  static constexpr const char* specials[] = {"<｜begin▁of▁sentence｜>",
                                             "<｜end▁of▁sentence｜>",
                                             "<｜▁pad▁｜>",
                                             "<｜User｜>",
                                             "<｜Assistant｜>",
                                             "<think>",
                                             "</think>",
                                             "<｜fim▁begin｜>",
                                             "<｜fim▁hole｜>",
                                             "<｜fim▁end｜>",
                                             "<｜tool▁calls▁begin｜>",
                                             "<｜tool▁calls▁end｜>",
                                             "<｜tool▁call▁begin｜>",
                                             "<｜tool▁call▁end｜>",
                                             "<｜tool▁sep｜>",
                                             "<｜tool▁output▁begin｜>",
                                             "<｜tool▁output▁end｜>"};
  static constexpr int32_t bos = 0, eos = 1, pad = 2;
  static constexpr size_t hidden = 128;

  int32_t id_of(const std::string& text) {
    if (text == "<end>") return eos;
    const bool special =
        std::find(std::begin(specials), std::end(specials), text) != std::end(specials);
    const std::string spelling = special ? text : tokenizer::alphabet_spelling(text);
    const auto found = std::find(texts_.begin(), texts_.end(), spelling);
    if (found == texts_.end()) texts_.push_back(spelling);
    return static_cast<int32_t>(std::find(texts_.begin(), texts_.end(), spelling) - texts_.begin());
  }

  void follow(int32_t from, int32_t to) {
    if (next_.contains(from)) throw std::logic_error(texts_[from] + " has two successors");
    next_[from] = to;
    const size_t place = place_.size() + 1;  // 0 is that of all others
    place_[from] = place;
    if (place >= hidden) throw std::logic_error("the script is too long");
  }

  size_t place(int32_t id) const { return place_.contains(id) ? place_.at(id) : 0; }

  // One direction for each token that has a successor, so long that layers add next to nothing.
  std::vector<float> embedding_rows() const {
    std::vector<float> rows(texts_.size() * hidden);
    for (size_t id = 0; id < texts_.size(); ++id)
      rows[id * hidden + place(static_cast<int32_t>(id))] = 1000.0f;
    return rows;
  }

  std::vector<float> head_rows() const {
    std::vector<float> rows(texts_.size() * hidden);
    const auto put = [&](int32_t from, int32_t to, float value) {
      rows[static_cast<size_t>(to) * hidden + place(from)] = value;
    };
    rows[static_cast<size_t>(otherwise_) * hidden] = 1.0f;
    for (const auto& [from, to] : next_) put(from, to, 1.0f);
    for (const auto& [from, choices] : second_)
      for (const int32_t to : choices) put(from, to, 0.5f);
    return rows;
  }

  model::Matrix matrix(const std::vector<float>& rows) const {
    return {quant::Type::F32,
            reinterpret_cast<const std::byte*>(rows.data()),
            static_cast<int64_t>(texts_.size()),
            hidden,
            static_cast<int64_t>(hidden * sizeof(float)),
            nullptr,
            0};
  }

  format::GgufTokenizer tokenizer_parts() const {
    format::GgufTokenizer parts;
    parts.model = "gpt2";
    parts.pre = "deepseek-v3";
    parts.tokens.assign(texts_.begin(), texts_.end());
    parts.types.assign(texts_.size(), 1);
    std::fill_n(parts.types.begin(), std::size(specials), 3);
    parts.bos_id = bos;
    parts.eos_id = eos;
    parts.pad_id = pad;
    parts.add_bos = true;
    return parts;
  }

  std::vector<std::string> texts_;  // by id, in the byte alphabet
  std::map<int32_t, int32_t> next_;
  std::map<int32_t, std::vector<int32_t>> second_;
  std::map<int32_t, size_t> place_;
  int32_t otherwise_ = eos;
};

// Thinks, greets in three scripts with characters that are split between tokens, fills holes,
// continues what ends in a colon, and says "la " for ever after everything else.
inline Script talking_script() {
  Script script;
  script.chains = {
      {"<think>",  "The user ", "greets ",   "me; ",     "I greet ", "back.", "</think>",
       "Hello",    ", ",        "wor",       "ld! ",     "你",       "好",    "\xE4\xB8",
       "\x96\xE7", "\x95\x8C",  " \xF0\x9F", "\x8C\x8D", " Bye",     "<end>"},
      {"<｜fim▁end｜>", "    return ", "a + ", "b\n", "<end>"},
      {":", " forty", "-two.", "<end>"},
      {"{", "\"ok\": ", "true", "}", "<end>"},
      {"la ", "la "},
  };
  script.second_choices = {{"</think>", "{"}, {"</think>", "<｜tool▁calls▁begin｜>"}};
  script.otherwise = "la ";
  return script;
}

// Thinks, calls get_weather if it may, and tells its result.
inline Script calling_script() {
  Script script;
  script.chains = {
      {"<think>", "I need ", "the weather.", "</think>", "<｜tool▁calls▁begin｜>",
       "<｜tool▁call▁begin｜>", "get_", "weather", "<｜tool▁sep｜>", "{\"ci", "ty\": \"", "Par",
       "is\"}", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "<end>"},
      {"<｜tool▁output▁end｜>", "It is ", "sunny in ", "Paris", "<end>"},
      {"I may not ", "look.", "<end>"},
  };
  script.second_choices = {{"</think>", "I may not "}};
  script.otherwise = "<end>";
  return script;
}

}  // namespace hadal::e2e
