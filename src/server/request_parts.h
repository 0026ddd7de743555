// Parts of requests that several readers share.
#pragma once

#include "server/chat_request.h"
#include "server/json_fields.h"

namespace hadal::server {

// Everything of CommonRequest but logprobs, which chat and completions spell differently.
void read_common(const Fields& fields, CommonRequest& request);
void read_user_id(const Fields& fields, std::string_view key, CommonRequest& request);
// A function's name: letters, digits, _ and -, at most 64. Throws ApiError(422).
std::string read_tool_name(const Fields& fields, std::string_view key);

std::vector<tokenizer::Message> read_messages(const Json& messages);
// strict: of each tool.
std::vector<tokenizer::Tool> read_tools(const Json& tools, std::vector<bool>& strict);

}  // namespace hadal::server
