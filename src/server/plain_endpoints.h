// Endpoints that are a function from a body to a body.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "server/embedding.h"
#include "server/served_model.h"

namespace hadal::server {

using Json = nlohmann::ordered_json;

// All take JSON and give JSON; they throw ApiError.
std::string tokenize(const ServedModel& model, const Json& body);
std::string detokenize(const ServedModel& model, const Json& body);
std::string apply_template(const ServedModel& model, const Json& body);
std::string count_tokens(const ServedModel& model, const Json& body);  // of Anthropic's messages

// An entry of /models.
std::string model_json(const ServedModel& model, const std::string& name);

struct EmbeddingRequest {
  std::vector<std::vector<int32_t>> texts;
  bool base64 = false;
  std::string model;
  int64_t tokens = 0;  // of all texts
};
EmbeddingRequest read_embedding_request(const ServedModel& model, const Json& body);
std::string embedding_json(const ServedModel& model, const EmbeddingRequest& request,
                           const std::vector<std::vector<float>>& vectors);

}  // namespace hadal::server
