#include "server/receipt.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "base/error.h"
#include "server/json_fields.h"
#include "server/text.h"

namespace hadal::server {
namespace {

constexpr int version = 1;

Json parameters_json(const infer::Request& request) {
  const infer::SamplingParams& s = request.sampling;
  Json bias = Json::array();
  for (const auto& [id, added] : s.logit_bias)
    bias.push_back({id, std::isfinite(added) ? Json(added) : Json("never")});
  const infer::Thinking& t = request.thinking;
  Json json = {{"temperature", s.temperature},
               {"top_k", s.top_k},
               {"top_p", s.top_p},
               {"min_p", s.min_p},
               {"repetition_penalty", s.repetition_penalty},
               {"frequency_penalty", s.frequency_penalty},
               {"presence_penalty", s.presence_penalty},
               {"logit_bias", std::move(bias)},
               {"max_tokens", request.max_tokens},
               {"stop", request.stop},
               {"stop_ids", request.stop_ids},
               {"ignore_eos", request.ignore_eos},
               {"thinking",
                {{"starts_inside", t.starts_inside},
                 {"may_open", t.may_open},
                 {"budget", t.budget},
                 {"open_id", t.open_id},
                 {"close_id", t.close_id},
                 {"open_text", t.open_text},
                 {"close_text", t.close_text},
                 {"close", t.close}}}};
  if (request.constraint) json["constraint"] = request.constraint->description();
  return json;
}

infer::Request request_from(const Json& json) {
  infer::Request request;
  infer::SamplingParams& s = request.sampling;
  json.at("temperature").get_to(s.temperature);
  json.at("top_k").get_to(s.top_k);
  json.at("top_p").get_to(s.top_p);
  json.at("min_p").get_to(s.min_p);
  json.at("repetition_penalty").get_to(s.repetition_penalty);
  json.at("frequency_penalty").get_to(s.frequency_penalty);
  json.at("presence_penalty").get_to(s.presence_penalty);
  for (const Json& item : json.at("logit_bias"))
    s.logit_bias.emplace_back(
        item.at(0).get<int32_t>(),
        item.at(1).is_number() ? item.at(1).get<float>() : -std::numeric_limits<float>::infinity());
  json.at("max_tokens").get_to(request.max_tokens);
  json.at("stop").get_to(request.stop);
  json.at("stop_ids").get_to(request.stop_ids);
  json.at("ignore_eos").get_to(request.ignore_eos);
  const Json& thinking = json.at("thinking");
  infer::Thinking& t = request.thinking;
  thinking.at("starts_inside").get_to(t.starts_inside);
  t.may_open = thinking.value("may_open", false);
  thinking.at("budget").get_to(t.budget);
  thinking.at("open_id").get_to(t.open_id);
  thinking.at("close_id").get_to(t.close_id);
  thinking.at("open_text").get_to(t.open_text);
  thinking.at("close_text").get_to(t.close_text);
  thinking.at("close").get_to(t.close);
  return request;
}

}  // namespace

std::string hash_ids(const std::vector<int32_t>& ids) {
  std::string bytes;
  bytes.reserve(ids.size() * 4);
  for (const int32_t id : ids)
    for (int shift = 0; shift < 32; shift += 8)
      bytes += static_cast<char>(static_cast<uint32_t>(id) >> shift & 255);
  return sha256_hex(bytes);
}

std::string receipt_json(const ServedModel& model, const infer::Request& request,
                         const Account& account, const std::vector<std::vector<int32_t>>& tokens,
                         bool full) {
  const Json parameters = parameters_json(request);
  Json outputs = Json::array();
  for (size_t i = 0; i < tokens.size(); ++i) {
    Json output = {{"index", i},
                   {"seed", account.stats[i].seed},
                   {"tokens", tokens[i].size()},
                   {"sha256", hash_ids(tokens[i])}};
    if (full) output["ids"] = tokens[i];
    outputs.push_back(std::move(output));
  }
  Json receipt = {{"version", version},
                  {"model", model.id},
                  {"model_sha256", model.hash},
                  {"system_fingerprint", model.fingerprint},
                  {"precision", model.precision},
                  {"prompt_tokens", request.prompt.size()},
                  {"prompt_sha256", hash_ids(request.prompt)},
                  {"parameters", parameters},
                  {"parameters_sha256", sha256_hex(parameters.dump())},
                  {"outputs", std::move(outputs)}};
  if (full) receipt["prompt_ids"] = request.prompt;
  return receipt.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Receipt read_receipt(std::string_view text) {
  try {
    const Json whole = parse_body(text);
    const Json& json = whole.contains("x_hadal") ? whole.at("x_hadal").at("receipt") : whole;
    if (json.at("version") != version)
      fail(ErrorKind::unsupported, "the receipt is of another version of Hadal");
    Receipt receipt;
    json.at("model").get_to(receipt.model);
    json.at("model_sha256").get_to(receipt.model_hash);
    json.at("system_fingerprint").get_to(receipt.fingerprint);
    json.at("precision").get_to(receipt.precision);
    json.at("prompt_sha256").get_to(receipt.prompt_hash);
    receipt.request = request_from(json.at("parameters"));
    receipt.constraint = json.at("parameters").value("constraint", "");
    if (sha256_hex(json.at("parameters").dump()) != json.at("parameters_sha256").get<std::string>())
      fail(ErrorKind::format, "the receipt's parameters are not those that it was made for");
    if (json.contains("prompt_ids")) json.at("prompt_ids").get_to(receipt.request.prompt);
    for (const Json& item : json.at("outputs")) {
      ReceiptOutput output;
      item.at("index").get_to(output.stream);
      item.at("seed").get_to(output.seed);
      item.at("tokens").get_to(output.tokens);
      item.at("sha256").get_to(output.hash);
      receipt.outputs.push_back(std::move(output));
    }
    return receipt;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {  // of the JSON library, ApiError
    fail(ErrorKind::format, "this is no receipt: {}", error.what());
  }
}

}  // namespace hadal::server
