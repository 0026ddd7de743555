// Saved chats: JSON in the form of OpenAI's messages, so other programs read them too.
#pragma once

#include <string>

#include "tokenizer/dialogue.h"

namespace hadal::cli {

// Writes beside the file and renames, so that a crash leaves the old file or the new one, mode
// 0600. Throws Error(file) if the file exists and `overwrite` is false, or cannot be written.
void save_chat(const std::string& path, const tokenizer::Dialogue& dialogue,
               const std::string& model, bool overwrite);

// Throws Error(file) if it cannot be read, Error(format) if it is no saved chat.
tokenizer::Dialogue load_chat(const std::string& path);

}  // namespace hadal::cli
