#include "tokenizer/stream_markup.h"

#include <algorithm>

#include "base/error.h"
#include "tokenizer/tools.h"
#include "tokenizer/tools_json.h"

namespace hadal::tokenizer {
namespace {

constexpr size_t kTagMax = 1024;  // longer is no tag; bounds what malformed markup can hold back
constexpr std::string_view kSpace = " \t\r\n";

// One byte per marker, none of which occurs in UTF-8.
constexpr std::array<char, kMarkerCount> kMarkerBytes = {
    '\xF5', '\xF6', '\xF7', '\xF8', '\xF9', '\xFA', '\xFB', '\xFC', '\xFD', '\xFE', '\xFF', '\xC0'};

char marker_byte(Marker marker) {
  return kMarkerBytes[static_cast<size_t>(marker)];
}

bool is_marker_byte(char c) {
  return std::find(kMarkerBytes.begin(), kMarkerBytes.end(), c) != kMarkerBytes.end();
}

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// The value of name="value" in a tag, up to the first quote.
std::string_view attribute(std::string_view tag, std::string_view name) {
  const std::string opening = std::string(" ") + std::string(name) + "=\"";
  const size_t at = tag.find(opening);
  if (at == std::string_view::npos) {
    return {};
  }
  const std::string_view value = tag.substr(at + opening.size());
  return value.substr(0, value.find('"'));
}

bool only_space(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_marker_byte(c) || kSpace.find(c) != std::string_view::npos;
  });
}

}  // namespace

std::string_view marker_text(Marker marker) {
  constexpr std::array<std::string_view, kMarkerCount> kTexts = {"<think>",
                                                                 "</think>",
                                                                 "｜DSML｜",
                                                                 "<｜tool▁calls▁begin｜>",
                                                                 "<｜tool▁calls▁end｜>",
                                                                 "<｜tool▁call▁begin｜>",
                                                                 "<｜tool▁call▁end｜>",
                                                                 "<｜tool▁sep｜>",
                                                                 "<tool_call>",
                                                                 "</tool_call>",
                                                                 "",
                                                                 ""};
  return kTexts[static_cast<size_t>(marker)];
}

MarkupParser::MarkupParser(Generation generation, bool starts_thinking,
                           const std::array<bool, kMarkerCount>& is_token)
    : generation_(generation),
      is_token_(is_token),
      trims_(generation == Generation::r1 || generation == Generation::qwen3),
      state_(starts_thinking ? State::reasoning : State::content),
      skip_space_(trims_) {}

std::vector<StreamEvent> MarkupParser::push_text(std::string_view bytes) {
  utf8_.push(bytes, pending_);
  return drain(false);
}

std::vector<StreamEvent> MarkupParser::push_marker(Marker marker) {
  utf8_.flush(pending_);
  pending_ += marker_byte(marker);
  return drain(false);
}

std::vector<StreamEvent> MarkupParser::finish() {
  utf8_.flush(pending_);
  drain(true);
  if (state_ == State::json_call) {
    end_json_call();
  }
  if (state_ == State::arguments || state_ == State::fence_line) {
    put_arguments(state_ == State::fence_line ? buffer_ : std::string());
  }
  end_call(false);
  state_ = State::done;
  return std::move(events_);
}

std::vector<StreamEvent> MarkupParser::drain(bool final) {
  while (state_ != State::done && !pending_.empty() &&
         (state_ == State::tag ? read_tag(final) : step(final))) {
  }
  if (state_ == State::done) {
    pending_.clear();
  }
  if (final) {
    return {};
  }
  return std::exchange(events_, {});
}

// Behind "\n```" only white space may stand before the call ends; else the fence was an argument's.
bool MarkupParser::leave_fence() {
  const size_t space = std::min(pending_.find_first_not_of(kSpace), pending_.size());
  buffer_.append(pending_, 0, space);
  pending_.erase(0, space);
  if (!pending_.empty() && !is_marker_byte(pending_[0])) {
    state_ = State::arguments;
    put_arguments("\n```" + std::exchange(buffer_, {}));
  }
  return !pending_.empty();
}

// Takes the text before the next sign and the sign itself. False: more input is needed.
bool MarkupParser::step(bool final) {
  if (state_ == State::fence_closed && !leave_fence()) {
    return false;
  }
  const std::vector<Pattern> signs = patterns();
  const std::string_view view = pending_;
  for (size_t at = 0; at < view.size(); ++at) {
    const std::string_view rest = view.substr(at);
    for (const Pattern& pattern : signs) {
      if (pattern.text[0] != rest[0] ||
          (pattern.only_at_start && !only_space(view.substr(0, at)))) {
        continue;
      }
      if (rest.starts_with(pattern.text)) {
        const std::string text(view.substr(0, at));
        pending_.erase(0, at + pattern.text.size());
        take_text(text);
        take_sign(pattern.sign);
        return true;
      }
      if (!final && std::string_view(pattern.text).starts_with(rest)) {
        const std::string text(view.substr(0, at));
        pending_.erase(0, at);
        take_text(text);
        return false;
      }
    }
  }
  const std::string text = std::exchange(pending_, {});
  take_text(text);
  return true;
}

// Whether a marker that is no token is read from text: only where the form is text by itself.
bool MarkupParser::textual(Marker marker) const {
  const Generation g = generation_;
  switch (marker) {
    case Marker::think_open:
    case Marker::think_close:
      return thinking_support(g) != ThinkingSupport::never;
    case Marker::dsml:
      return g == Generation::v32 || g == Generation::v4;
    case Marker::tool_open:
    case Marker::tool_close:
      return g == Generation::chatml || g == Generation::qwen3;
    default:
      return false;
  }
}

// How a marker looks in pending_; empty if it cannot occur.
std::string MarkupParser::spelling(Marker marker) const {
  if (is_token_[static_cast<size_t>(marker)]) {
    return std::string(1, marker_byte(marker));
  }
  return textual(marker) ? std::string(marker_text(marker)) : std::string();
}

void MarkupParser::add_call_patterns(std::vector<Pattern>& out) const {
  out.push_back({spelling(Marker::calls_begin), Sign::calls_begin});
  out.push_back({spelling(Marker::calls_end), Sign::calls_end});
  out.push_back({spelling(Marker::call_begin), Sign::call_begin});
  out.push_back({spelling(Marker::call_end), Sign::call_end});
  out.push_back({spelling(Marker::sep), Sign::sep});
}

std::vector<MarkupParser::Pattern> MarkupParser::patterns() const {
  std::vector<Pattern> out = {{std::string(1, marker_byte(Marker::end)), Sign::end}};
  const std::string dsml = textual(Marker::dsml) ? spelling(Marker::dsml) : std::string();
  const bool free_text = state_ == State::reasoning || state_ == State::content;
  if (state_ == State::value) {
    out.push_back({"</" + dsml + "parameter>", Sign::parameter_end});
    if (is_token_[static_cast<size_t>(Marker::dsml)]) {
      out.push_back({"</" + dsml + "invoke>", Sign::parameter_end});
    }
  } else if (state_ == State::json_call) {
    out.push_back({spelling(Marker::tool_close), Sign::tool_close});
  } else {
    add_call_patterns(out);
  }
  if (free_text || state_ == State::block) {
    // A spelt <think> counts only where a thought can begin; as a token it counts anywhere.
    const bool spelt = free_text && !is_token_[static_cast<size_t>(Marker::think_open)];
    if (!spelt || at_start_) {
      out.push_back({spelling(Marker::think_open), Sign::think_open, spelt});
    }
    if (is_token_[static_cast<size_t>(Marker::think_close)] || state_ == State::reasoning) {
      out.push_back({spelling(Marker::think_close), Sign::think_close});
    }
    if (!dsml.empty()) {
      out.push_back({"\n\n<" + dsml, Sign::tag_open});
      out.push_back({"<" + dsml, Sign::tag_open});
      out.push_back({"</" + dsml, Sign::tag_close});
    }
  }
  if (free_text) {
    out.push_back({spelling(Marker::tool_open), Sign::tool_open});
  }
  if (state_ == State::name_line || state_ == State::fence_line) {
    out.push_back({"\n", Sign::line});
  }
  if (state_ == State::arguments && generation_ != Generation::v31 && parameter_string_) {
    out.push_back({"\n```", Sign::fence});
  }
  std::erase_if(out, [](const Pattern& pattern) { return pattern.text.empty(); });
  return out;
}

void MarkupParser::set_state(State state) {
  state_ = state;
  at_start_ = true;
  held_.clear();
  buffer_.clear();
}

void MarkupParser::take_text(std::string text) {
  std::erase_if(text, is_marker_byte);  // markers without meaning here are not for the reader
  if (text.empty()) {
    return;
  }
  switch (state_) {
    case State::reasoning:
      return put_reasoning(text);
    case State::content:
      return put_content(text);
    case State::header:
    case State::name_line:
    case State::fence_line:
      if (buffer_.size() < kTagMax) {
        buffer_ += text.substr(0, kTagMax - buffer_.size());
      }
      return;
    case State::json_call:
      buffer_ += text;
      return;
    case State::arguments:
      return put_arguments(text);
    case State::value:
      if (parameter_ignored_) {
        return;
      }
      if (!parameter_string_) {
        buffer_ += text;
        return;
      }
      {
        const std::string quoted = json_quoted(text);
        put_arguments(std::string_view(quoted).substr(1, quoted.size() - 2));
      }
      return;
    case State::calls:
    case State::fence_closed:
    case State::block:
    case State::tag:
    case State::done:
      return;  // white space between elements, or junk
  }
}

// The signs of V3's and V3.1's calls. False: not one of them.
bool MarkupParser::take_call_sign(Sign sign) {
  switch (sign) {
    case Sign::calls_begin:
      end_call(true);
      set_state(State::calls);
      return true;
    case Sign::call_begin:
      end_call(true);
      set_state(State::header);
      return true;
    case Sign::call_end:
    case Sign::calls_end:
      if (state_ == State::reasoning || state_ == State::content) {
        return true;
      }
      if (state_ == State::fence_line) {
        put_arguments(buffer_);
      }
      end_call(true);
      set_state(sign == Sign::call_end ? State::calls : State::content);
      skip_space_ = true;
      return true;
    case Sign::sep: {
      if (state_ != State::header) {
        return true;
      }
      const std::string header(trimmed(buffer_));
      parameter_string_ = false;
      if (generation_ != Generation::v31 && header == "function") {
        set_state(State::name_line);
        return true;
      }
      begin_call(header);
      set_state(State::arguments);
      return true;
    }
    case Sign::line:
      if (state_ == State::name_line) {
        begin_call(trimmed(buffer_));
        set_state(State::fence_line);
        return true;
      }
      parameter_string_ = trimmed(buffer_).starts_with("```");
      {
        const std::string line = parameter_string_ ? std::string() : buffer_ + "\n";
        set_state(State::arguments);
        put_arguments(line);
      }
      return true;
    case Sign::fence:
      state_ = State::fence_closed;
      buffer_.clear();
      return true;
    default:
      return false;
  }
}

void MarkupParser::take_sign(Sign sign) {
  if (take_call_sign(sign)) {
    return;
  }
  switch (sign) {
    case Sign::end:
      if (state_ == State::json_call) {
        end_json_call();
      }
      if (state_ == State::fence_line) {
        put_arguments(buffer_);
      }
      end_call(false);
      set_state(State::done);
      return;
    case Sign::think_open:
      if (state_ != State::reasoning) {
        end_call(true);
        set_state(State::reasoning);
        skip_space_ = trims_;
      }
      return;
    case Sign::think_close:
      if (state_ == State::reasoning) {
        set_state(State::content);
        skip_space_ = trims_;
      }
      return;
    case Sign::tool_open:
      set_state(State::json_call);
      return;
    case Sign::tool_close:
      end_json_call();
      set_state(State::content);
      skip_space_ = true;
      return;
    case Sign::tag_open:
    case Sign::tag_close:
      tag_return_ = state_;
      state_ = State::tag;
      buffer_ = sign == Sign::tag_close ? "/" : "";
      return;
    case Sign::parameter_end:
      end_parameter();
      set_state(State::block);
      return;
    default:
      return;
  }
}

// Collects a tag up to the ">" outside quotes. What is too long or broken by a marker is dropped.
bool MarkupParser::read_tag(bool final) {
  size_t quotes = static_cast<size_t>(std::count(buffer_.begin(), buffer_.end(), '"'));
  for (size_t i = 0; i < pending_.size(); ++i) {
    const char c = pending_[i];
    if (c == '>' && quotes % 2 == 0) {
      pending_.erase(0, i + 1);
      const std::string tag = std::exchange(buffer_, {});
      state_ = tag_return_;
      take_tag(tag);
      return true;
    }
    if (is_marker_byte(c) || buffer_.size() >= kTagMax) {
      pending_.erase(0, i);
      buffer_.clear();
      state_ = tag_return_;
      return true;
    }
    quotes += c == '"' ? 1 : 0;
    buffer_ += c;
  }
  pending_.clear();
  if (final) {
    buffer_.clear();
  }
  return false;
}

void MarkupParser::take_tag(std::string_view tag) {
  const std::string_view word = tag.substr(0, tag.find_first_of(" \n"));
  const bool begins = word == "function_calls" || word == "tool_calls";
  if (begins || word == "/function_calls" || word == "/tool_calls") {
    end_call(true);
    if (begins || state_ != State::reasoning) {
      set_state(begins ? State::block : State::content);
    }
    skip_space_ = true;
  } else if (word == "invoke") {
    end_call(true);
    set_state(State::block);
    begin_call(attribute(tag, "name"));
    call_dsml_ = call_open_;
    parameters_.clear();
  } else if (word == "/invoke" && state_ == State::block) {
    end_call(true);
  } else if (word == "parameter" && state_ == State::block) {
    begin_parameter(tag);
  }
}

void MarkupParser::emit(StreamEvent::Kind kind, std::string_view text) {
  if (!events_.empty() && events_.back().kind == kind && kind != StreamEvent::Kind::call_begin) {
    events_.back().text += text;
    return;
  }
  StreamEvent event;
  event.kind = kind;
  event.text = text;
  const bool of_call =
      kind == StreamEvent::Kind::call_begin || kind == StreamEvent::Kind::call_arguments;
  event.call = of_call ? calls_ : 0;
  events_.push_back(std::move(event));
}

void MarkupParser::put_reasoning(std::string_view text) {
  if (skip_space_) {
    text.remove_prefix(std::min(text.find_first_not_of('\n'), text.size()));
    if (text.empty()) {
      return;
    }
    skip_space_ = false;
  }
  at_start_ = at_start_ && trimmed(text).empty();
  if (!trims_) {
    return emit(StreamEvent::Kind::reasoning, text);
  }
  held_ += text;
  const size_t kept = held_.find_last_not_of('\n') + 1;
  if (kept > 0) {
    emit(StreamEvent::Kind::reasoning, std::string_view(held_).substr(0, kept));
    held_.erase(0, kept);
  }
}

void MarkupParser::put_content(std::string_view text) {
  if (skip_space_) {
    text.remove_prefix(std::min(text.find_first_not_of("\r\n"), text.size()));
    if (text.empty()) {
      return;
    }
    skip_space_ = false;
  }
  at_start_ = at_start_ && trimmed(text).empty();
  emit(StreamEvent::Kind::content, text);
}

// A call without a name is none: its arguments are dropped.
void MarkupParser::begin_call(std::string_view name) {
  arguments_.clear();
  call_open_ = !name.empty();
  call_dsml_ = false;
  if (call_open_) {
    emit(StreamEvent::Kind::call_begin, name);
  }
}

// White space around the whole arguments is dropped; within a DSML string value it is data, which
// never ends the arguments, so holding it back until more follows loses nothing.
void MarkupParser::put_arguments(std::string_view text) {
  if (!call_open_) {
    return;
  }
  if (arguments_.empty()) {
    text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  }
  held_ += text;
  const size_t kept = held_.find_last_not_of(kSpace) + 1;
  if (kept == 0) {
    return;
  }
  emit(StreamEvent::Kind::call_arguments, std::string_view(held_).substr(0, kept));
  arguments_.append(held_, 0, kept);
  held_.erase(0, kept);
}

void MarkupParser::end_call(bool closed) {
  if (!call_open_) {
    return;
  }
  if (call_dsml_) {
    if (state_ == State::value && closed) {
      end_parameter();
    }
    if (closed) {
      put_arguments(arguments_.empty() ? "{}" : "}");
    }
  }
  StreamEvent event;
  event.kind = StreamEvent::Kind::call_end;
  event.call = calls_++;
  event.valid = Json::accept(arguments_) && arguments_.front() == '{';
  events_.push_back(std::move(event));
  call_open_ = false;
  call_dsml_ = false;
  held_.clear();
}

void MarkupParser::begin_parameter(std::string_view tag) {
  const std::string name(attribute(tag, "name"));
  set_state(State::value);
  parameter_string_ = attribute(tag, "string") != "false";
  parameter_ignored_ =
      !call_open_ || std::find(parameters_.begin(), parameters_.end(), name) != parameters_.end();
  if (parameter_ignored_) {
    return;
  }
  put_arguments(parameters_.empty() ? "{" : ", ");
  parameters_.push_back(name);
  put_arguments(json_quoted(name) + ": ");
  if (parameter_string_) {
    put_arguments("\"");
  }
}

void MarkupParser::end_parameter() {
  if (parameter_ignored_) {
    return;
  }
  if (parameter_string_) {
    put_arguments("\"");
    return;
  }
  const std::string_view value = trimmed(buffer_);
  put_arguments(Json::accept(value) ? std::string(value) : json_quoted(buffer_));
}

void MarkupParser::end_json_call() {
  const std::string text = std::exchange(buffer_, {});
  Json call;
  try {
    call = parse_json(text, "tool call");
  } catch (const Error&) {
    return;  // the model's mistake: nothing that could be called, nothing to show
  }
  if (!call.is_object() || !call.contains("name") || !call["name"].is_string()) {
    return;
  }
  begin_call(call["name"].get<std::string>());
  const auto arguments = call.find("arguments");
  if (arguments == call.end()) {
    put_arguments("{}");
  } else {
    // Some models send the arguments as a string that holds JSON.
    put_arguments(arguments->is_string() ? arguments->get<std::string>() : python_dump(*arguments));
  }
  end_call(true);
}

}  // namespace hadal::tokenizer
