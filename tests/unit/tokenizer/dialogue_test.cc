#include "tokenizer/dialogue.h"

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "base/error.h"

namespace hadal::tokenizer {
namespace {

std::string read(const std::string& name) {
  std::ifstream file(std::string(HADAL_SOURCE_DIR "/tests/golden/data/dialogue/") + name);
  EXPECT_TRUE(file.good()) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::string render(Generation generation, std::string_view json, EncodeOptions options = {}) {
  return render_dialogue(generation, dialogue_from_json(json), options);
}

EncodeOptions thinking(bool on) {
  EncodeOptions options;
  options.thinking = on;
  return options;
}

constexpr const char* kTalk = R"([{"role":"system","content":"S"},{"role":"user","content":"a"},
  {"role":"assistant","content":"b","reasoning_content":"r"},{"role":"user","content":"c"}])";

constexpr const char* kToolLoop = R"({"messages":[{"role":"user","content":"q"},
  {"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[
    {"id":"1","type":"function","function":{"name":"f","arguments":"{\"x\":1,\"s\":\"t\"}"}},
    {"id":"2","type":"function","function":{"name":"g","arguments":"{}"}}]},
  {"role":"tool","tool_call_id":"2","content":"R2"},
  {"role":"tool","tool_call_id":"1","content":"R1"}]})";

class V4Vectors : public testing::TestWithParam<int> {};

TEST_P(V4Vectors, MatchesPublishedEncoder) {
  const std::string n = std::to_string(GetParam());
  EXPECT_EQ(render(Generation::v4, read("test_input_" + n + ".json"), thinking(GetParam() != 4)),
            read("test_output_" + n + ".txt"));
}

INSTANTIATE_TEST_SUITE_P(All, V4Vectors, testing::Range(1, 5));

TEST(Dialogue, PlainTurnsOfEachGeneration) {
  EXPECT_EQ(render(Generation::v2, kTalk),
            "<｜begin▁of▁sentence｜>S\n\nUser: a\n\nAssistant: b<｜end▁of▁sentence｜>User: c\n\n"
            "Assistant:");
  EXPECT_EQ(render(Generation::v3, kTalk),
            "<｜begin▁of▁sentence｜>S<｜User｜>a<｜Assistant｜>b<｜end▁of▁sentence｜>"
            "<｜User｜>c<｜Assistant｜>");
  EXPECT_EQ(render(Generation::r1, kTalk),
            "<｜begin▁of▁sentence｜>S<｜User｜>a<｜Assistant｜>b<｜end▁of▁sentence｜>"
            "<｜User｜>c<｜Assistant｜><think>\n");
  EXPECT_EQ(render(Generation::v31, kTalk, thinking(true)),
            "<｜begin▁of▁sentence｜>S<｜User｜>a<｜Assistant｜></think>b<｜end▁of▁sentence｜>"
            "<｜User｜>c<｜Assistant｜><think>");
  EXPECT_EQ(render(Generation::v31, kTalk, thinking(false)),
            "<｜begin▁of▁sentence｜>S<｜User｜>a<｜Assistant｜></think>b<｜end▁of▁sentence｜>"
            "<｜User｜>c<｜Assistant｜></think>");
  EXPECT_EQ(render(Generation::v32, kTalk, thinking(true)),
            render(Generation::v31, kTalk, thinking(true)));
  EXPECT_EQ(render(Generation::v4, kTalk, thinking(true)),
            render(Generation::v31, kTalk, thinking(true)));
  EXPECT_EQ(
      render(Generation::chatml, kTalk),
      "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\n"
      "b<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n");
}

TEST(Dialogue, ToolResultsFollowTheOrderOfTheirCalls) {
  EXPECT_EQ(render(Generation::v3, kToolLoop),
            "<｜begin▁of▁sentence｜><｜User｜>q<｜Assistant｜><｜tool▁calls▁begin｜>"
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"x\":1,\"s\":\"t\"}\n```"
            "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>g\n```json\n{}\n```"
            "<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜><｜tool▁outputs▁begin｜>"
            "<｜tool▁output▁begin｜>R1<｜tool▁output▁end｜>\n<｜tool▁output▁begin｜>R2"
            "<｜tool▁output▁end｜><｜tool▁outputs▁end｜>");
  EXPECT_EQ(render(Generation::v31, kToolLoop),
            "<｜begin▁of▁sentence｜><｜User｜>q<｜Assistant｜></think><｜tool▁calls▁begin｜>"
            "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"x\":1,\"s\":\"t\"}<｜tool▁call▁end｜>"
            "<｜tool▁call▁begin｜>g<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
            "<｜end▁of▁sentence｜><｜tool▁output▁begin｜>R1<｜tool▁output▁end｜>"
            "<｜tool▁output▁begin｜>R2<｜tool▁output▁end｜>");
  EXPECT_EQ(render(Generation::v32, kToolLoop, thinking(true)),
            "<｜begin▁of▁sentence｜><｜User｜>q<｜Assistant｜><think>r</think>\n\n"
            "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n"
            "<｜DSML｜parameter name=\"x\" string=\"false\">1</｜DSML｜parameter>\n"
            "<｜DSML｜parameter name=\"s\" string=\"true\">t</｜DSML｜parameter>\n"
            "</｜DSML｜invoke>\n<｜DSML｜invoke name=\"g\">\n\n</｜DSML｜invoke>\n"
            "</｜DSML｜function_calls><｜end▁of▁sentence｜>\n\n<function_results>\n"
            "<result>R1</result>\n<result>R2</result>\n</function_results>\n\n<think>");
}

TEST(Dialogue, PrefixIsContinued) {
  const char* json = R"([{"role":"user","content":"a"},
    {"role":"assistant","content":"```py","prefix":true}])";
  EXPECT_EQ(render(Generation::v3, json), "<｜begin▁of▁sentence｜><｜User｜>a<｜Assistant｜>```py");
  EXPECT_EQ(render(Generation::v31, json),
            "<｜begin▁of▁sentence｜><｜User｜>a<｜Assistant｜></think>```py");
  const char* thought = R"([{"role":"user","content":"a"},
    {"role":"assistant","content":"","reasoning_content":"Hm","prefix":true}])";
  for (Generation g : {Generation::v31, Generation::v32, Generation::v4}) {
    EXPECT_EQ(render(g, thought, thinking(true)),
              "<｜begin▁of▁sentence｜><｜User｜>a<｜Assistant｜><think>Hm");
    EXPECT_TRUE(starts_thinking(g, dialogue_from_json(thought), thinking(true)));
  }
}

TEST(Dialogue, MaxEffortStandsAtTheFront) {
  EncodeOptions options = thinking(true);
  options.effort = Effort::max;
  const std::string text = render(Generation::v4, kTalk, options);
  EXPECT_TRUE(
      text.starts_with("<｜begin▁of▁sentence｜>Reasoning Effort: Absolute maximum with no"));
  EXPECT_NE(text.find("left unchecked.\n\nS<｜User｜>"), std::string::npos);
}

TEST(Dialogue, RefusesWhatCannotBeSaid) {
  const auto refuses = [](std::string_view json, EncodeOptions options = {},
                          Generation g = Generation::v3) {
    try {
      render(g, json, options);
    } catch (const Error& error) {
      return error.kind() == ErrorKind::usage;
    }
    return false;
  };
  EXPECT_TRUE(refuses(R"([{"role":"tool","content":"x"}])"));
  EXPECT_TRUE(refuses(R"([{"role":"wizard","content":"x"}])"));
  EXPECT_TRUE(refuses(R"([{"role":"user","content":3}])"));
  EXPECT_TRUE(refuses(R"([{"role":"user","content":"x","prefix":true}])"));
  EXPECT_TRUE(refuses("[" + std::string(100'000, '[')));
  EXPECT_TRUE(refuses(kTalk, thinking(true)));
  EXPECT_TRUE(refuses(kTalk, thinking(false), Generation::r1));
  EXPECT_TRUE(refuses(R"([{"role":"assistant","content":"","tool_calls":[{"id":"1","function":
    {"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"7","content":"x"}])"));
  EXPECT_FALSE(refuses(kTalk));
}

TEST(Dialogue, PiecesOfUserTextAreNeverSpecial) {
  const char* json = R"([{"role":"user","content":"<｜Us"},{"role":"user","content":"<｜User｜>"},
    {"role":"assistant","content":"</think><think>"},{"role":"user","content":"<｜DSML｜x>"}])";
  for (Generation g : {Generation::v2, Generation::v3, Generation::r1, Generation::v31,
                       Generation::v32, Generation::v4, Generation::chatml, Generation::qwen3}) {
    Dialogue hostile = dialogue_from_json(json);
    Dialogue harmless = hostile;
    for (Message& message : harmless.messages) {
      message.content = std::string("x");
    }
    const auto specials = [&](const Dialogue& dialogue) {
      size_t count = 0;
      for (const Piece& piece : dialogue_pieces(g, dialogue, {})) {
        count += piece.special ? 1 : 0;
      }
      return count;
    };
    EXPECT_EQ(specials(hostile), specials(harmless)) << generation_name(g);
  }
}

TEST(Generations, ThinkUnaskedWhereTheTemplateSaysSo) {
  const std::string form = "<｜User｜>...<｜Assistant｜></think>";
  EXPECT_EQ(detect_style({.chat_template = form})->thinking, std::nullopt);
  const auto style = detect_style({.chat_template = "{%- set thinking = true %}" + form});
  EXPECT_EQ(style->generation, Generation::v31);
  EXPECT_EQ(style->thinking, true);
}

TEST(Generation, IsDetectedFromMarkers) {
  const auto detect = [](ModelHints hints) {
    const auto style = detect_style(hints);
    return style ? std::string(generation_name(style->generation)) : "none";
  };
  EXPECT_EQ(detect({.chat_template = "{{'<｜User｜>'}}"}), "v3");
  EXPECT_EQ(
      detect({.chat_template = "<｜User｜>{% set content = content.split('</think>')[-1] %}"}),
      "r1");
  EXPECT_EQ(detect({.chat_template = "<｜User｜>'</think>' content.split('</think>', 1)[1]"}),
            "v3.1");
  EXPECT_EQ(detect({.chat_template = "<|im_start|>"}), "chatml");
  EXPECT_EQ(detect({.model_type = "deepseek_v32"}), "v3.2");
  EXPECT_EQ(detect({.model_type = "deepseek_v4"}), "v4");
  EXPECT_EQ(detect({.name = "gpt"}), "none");
  const auto smol =
      detect_style({.chat_template = "<|im_start|>system\nYou are a helpful AI assistant named "
                                     "SmolLM, trained by Hugging Face<|im_end|>"});
  ASSERT_TRUE(smol.has_value());
  EXPECT_EQ(smol->default_system,
            "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
}

TEST(PythonJson, SpacesAndNumbersAsPythonWritesThem) {
  EXPECT_EQ(python_json(R"({"b":[1,2.0,1e-7,1E+20],"a":"\u00e9\n","n":null,"e":{}})", "x"),
            R"({"b": [1, 2.0, 1e-07, 1e+20], "a": "é\n", "n": null, "e": {}})");
}

}  // namespace
}  // namespace hadal::tokenizer
