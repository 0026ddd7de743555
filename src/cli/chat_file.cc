#include "cli/chat_file.h"

#include <errno.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mapped_file.h"

namespace hadal::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kChatBytesMax = size_t{64} << 20;

const char* role_name(tokenizer::Role role) {
  switch (role) {
    case tokenizer::Role::system:
      return "system";
    case tokenizer::Role::user:
      return "user";
    case tokenizer::Role::assistant:
      return "assistant";
    case tokenizer::Role::tool:
      return "tool";
    case tokenizer::Role::developer:
      return "developer";
    case tokenizer::Role::latest_reminder:
      return "latest_reminder";
  }
  return "";
}

Json message_json(const tokenizer::Message& message) {
  Json out = {{"role", role_name(message.role)}, {"content", message.content}};
  if (!message.reasoning_content.empty()) out["reasoning_content"] = message.reasoning_content;
  for (const tokenizer::ToolCall& call : message.tool_calls) {
    out["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
  return out;
}

void write_all(int file, const std::string& text, const std::string& path) {
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(file, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(ErrorKind::file, "{}: cannot write: {}", path, strerror(errno));
    done += static_cast<size_t>(count);
  }
  if (::fsync(file) != 0) fail(ErrorKind::file, "{}: cannot write: {}", path, strerror(errno));
}

}  // namespace

void save_chat(const std::string& path, const tokenizer::Dialogue& dialogue,
               const std::string& model, bool overwrite) {
  Json root = {{"model", model}, {"messages", Json::array()}};
  for (const tokenizer::Message& message : dialogue.messages) {
    root["messages"].push_back(message_json(message));
  }
  const std::string text = root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";

  std::string part = path + ".XXXXXX";
  const int file = ::mkostemp(part.data(), O_CLOEXEC);  // mode 0600
  if (file < 0) fail(ErrorKind::file, "{}: cannot write: {}", path, strerror(errno));
  try {
    write_all(file, text, path);
    // link() fails where the name exists: no moment between the look and the deed.
    const bool placed = overwrite ? ::rename(part.c_str(), path.c_str()) == 0
                                  : ::link(part.c_str(), path.c_str()) == 0;
    if (!placed && errno == EEXIST) fail(ErrorKind::file, "{} exists", path);
    if (!placed) fail(ErrorKind::file, "{}: cannot write: {}", path, strerror(errno));
  } catch (...) {
    ::close(file);
    ::unlink(part.c_str());
    throw;
  }
  ::close(file);
  if (!overwrite) ::unlink(part.c_str());
}

tokenizer::Dialogue load_chat(const std::string& path) {
  const MappedFile file(path);
  if (file.bytes().size() > kChatBytesMax) {
    fail(ErrorKind::format, "{}: {} bytes, a saved chat has at most {}", path, file.bytes().size(),
         kChatBytesMax);
  }
  try {
    return tokenizer::dialogue_from_json(
        {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
  } catch (const Error& error) {
    fail(ErrorKind::format, "{}: no saved chat: {}", path, error.what());
  }
}

}  // namespace hadal::cli
