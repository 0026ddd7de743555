// Receipts: what an answer was made of, as hashes, so that whoever has the request can have it
// computed again and compare. docs/serve.md has the form.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "infer/request.h"
#include "server/served_model.h"
#include "server/writer.h"

namespace hadal::server {

// As JSON. request: of the first choice, with its prompt; tokens: by choice. full: with the ids of
// prompt and answers, so that it can be replayed without the request.
std::string receipt_json(const ServedModel& model, const infer::Request& request,
                         const Account& account, const std::vector<std::vector<int32_t>>& tokens,
                         bool full);

struct ReceiptOutput {
  uint64_t stream = 0, seed = 0;
  std::string hash;
  int64_t tokens = 0;
};

struct Receipt {
  std::string model, model_hash, fingerprint, precision;
  std::string prompt_hash;
  infer::Request request;  // the prompt is empty unless the receipt is a full one
  std::string constraint;  // for Constraints::get; "": none
  std::vector<ReceiptOutput> outputs;
};

// A receipt, or a whole response that has one in x_hadal. Throws Error(format).
Receipt read_receipt(std::string_view json);

std::string hash_ids(const std::vector<int32_t>& ids);

}  // namespace hadal::server
