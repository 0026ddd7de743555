// One line from the keyboard, with editing and history (libedit). A paste of several lines arrives
// as one text; its line feeds are shown as ⏎ while it is edited.
#pragma once

#include <memory>
#include <string>

namespace hadal::cli {

enum class LineResult {
  line,       // a line was entered
  interrupt,  // Ctrl+C
  end,        // Ctrl+D on an empty line, or the terminal is gone
};

class LineEditor {
 public:
  // history_path: a file of mode 0600, made with its folder when the first line is kept; "" keeps
  // none. Needs stdin and stdout to be a terminal.
  explicit LineEditor(const std::string& history_path);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // Without the line feed at its end.
  LineResult read(const std::string& prompt, std::string& line);
  void remember(const std::string& line);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hadal::cli
