#include "server/plain_endpoints.h"

#include <cstring>

#include <fmt/format.h>
#include <openssl/evp.h>

#include "server/api_error.h"
#include "server/bind.h"
#include "server/json_fields.h"
#include "server/text.h"

namespace hadal::server {
namespace {

constexpr size_t texts_max = 256;

std::vector<int32_t> read_ids(const ServedModel& model, const Json& list, const std::string& path) {
  const int64_t vocabulary = model.loaded.model->config.vocab_size;
  std::vector<int32_t> ids;
  for (const Json& id : list) {
    if (!id.is_number_integer() || id < 0 || id >= vocabulary)
      wrong_field(path, fmt::format("token ids below {}", vocabulary), id);
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

std::string base64(const std::vector<float>& vector) {
  std::string bytes(vector.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), vector.data(), bytes.size());
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(size));
  return out;
}

}  // namespace

std::string tokenize(const ServedModel& model, const Json& body) {
  const Fields fields(body, "");
  fields.require("content");
  const std::string content = *fields.string("content");
  std::vector<int32_t> ids = model.loaded.tokenizer->encode(content);
  if (fields.boolean("add_special").value_or(false) && model.loaded.bos_id >= 0)
    ids.insert(ids.begin(), model.loaded.bos_id);
  if (!fields.boolean("with_pieces").value_or(false))
    return fmt::format(R"({{"tokens":[{}]}})", fmt::join(ids, ","));
  std::string list;
  for (const int32_t id : ids)
    list += fmt::format(R"({}{{"id":{},"piece":{}}})", list.empty() ? "" : ",", id,
                        json_text(model.loaded.tokenizer->token_bytes(id)));
  return R"({"tokens":[)" + list + "]}";
}

std::string detokenize(const ServedModel& model, const Json& body) {
  const Fields fields(body, "");
  fields.require("tokens");
  const std::vector<int32_t> ids =
      read_ids(model, *fields.array("tokens", size_t{1} << 22), "tokens");
  return "{\"content\":" + json_text(model.loaded.tokenizer->decode(ids)) + "}";
}

std::string apply_template(const ServedModel& model, const Json& body) {
  const ChatRequest request = read_chat_request(body);
  Bound bound;
  const std::vector<int32_t> ids = chat_prompt(model, request, bound);
  return fmt::format(R"({{"prompt":{},"tokens":[{}]}})",
                     json_text(chat_prompt_text(model, request)), fmt::join(ids, ","));
}

std::string count_tokens(const ServedModel& model, const Json& body) {
  Bound bound;
  const std::vector<int32_t> ids = chat_prompt(model, read_anthropic_request(body), bound);
  return fmt::format(R"({{"input_tokens":{}}})", ids.size());
}

std::string model_json(const ServedModel& model, const std::string& name) {
  return fmt::format(
      R"({{"id":{},"object":"model","created":{},"owned_by":"hadal","context_length":{},)"
      R"("precision":"{}","system_fingerprint":"{}"}})",
      json_text(name), model.created, model.engine->context_tokens(), model.precision,
      model.fingerprint);
}

EmbeddingRequest read_embedding_request(const ServedModel& model, const Json& body) {
  const Fields fields(body, "");
  EmbeddingRequest request;
  request.model = fields.string("model").value_or("");
  if (!resolve_name(model, request.model).known)
    throw ApiError(400,
                   fmt::format("the model '{}' is not served here", request.model.substr(0, 256)),
                   "model", "model_not_found");
  if (request.model.empty()) request.model = model.id;
  if (const auto format = fields.string("encoding_format")) {
    request.base64 = *format == "base64";
    if (!request.base64 && *format != "float")
      wrong_field("encoding_format", "\"float\" or \"base64\"", *fields.find("encoding_format"));
  }
  const Json& input = fields.require("input");
  const auto put = [&](std::vector<int32_t> ids) {
    if (ids.empty()) throw ApiError(422, "input: a text is empty", "input");
    const int64_t context = model.engine->context_tokens();
    if (static_cast<int64_t>(ids.size()) > context)
      throw ApiError(
          400, fmt::format("a text has {} tokens, but the context holds {}", ids.size(), context),
          "input", "context_length_exceeded");
    request.tokens += static_cast<int64_t>(ids.size());
    request.texts.push_back(std::move(ids));
  };
  const auto encode = [&](const Json& text) {
    std::vector<int32_t> ids = model.loaded.tokenizer->encode(text.get<std::string>());
    if (model.loaded.tokenizer->add_bos() && model.loaded.bos_id >= 0)
      ids.insert(ids.begin(), model.loaded.bos_id);
    put(std::move(ids));
  };
  if (input.is_string()) {
    encode(input);
  } else if (input.is_array() && !input.empty() && input[0].is_number()) {
    put(read_ids(model, input, "input"));
  } else if (input.is_array() && !input.empty() && input.size() <= texts_max) {
    for (const Json& text : input) {
      if (text.is_string())
        encode(text);
      else if (text.is_array())
        put(read_ids(model, text, "input"));
      else
        wrong_field("input", "texts, or arrays of token ids", text);
    }
  } else {
    wrong_field("input", fmt::format("a text, or an array of 1 to {} texts", texts_max), input);
  }
  return request;
}

std::string embedding_json(const ServedModel& model, const EmbeddingRequest& request,
                           const std::vector<std::vector<float>>& vectors) {
  std::string list;
  for (size_t i = 0; i < vectors.size(); ++i) {
    list += fmt::format(R"({}{{"object":"embedding","index":{},"embedding":)", i > 0 ? "," : "", i);
    list += request.base64 ? "\"" + base64(vectors[i]) + "\""
                           : fmt::format("[{}]", fmt::join(vectors[i], ","));
    list += '}';
  }
  return fmt::format(
      R"({{"object":"list","data":[{}],"model":{},"system_fingerprint":"{}",)"
      R"("x_hadal":{{"pooling":"mean of the last layer's hidden states, length 1"}},)"
      R"("usage":{{"prompt_tokens":{},"total_tokens":{}}}}})",
      list, json_text(request.model), model.fingerprint, request.tokens, request.tokens);
}

}  // namespace hadal::server
