// The chat at a real (pseudo-)terminal.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "e2e/process.h"
#include "e2e/test_model.h"

namespace hadal::e2e {
namespace {

using ChatTest = ModelTest;

TEST_F(ChatTest, GreetsAnswersAndLeaves) {
  Terminal terminal({"run", model_});
  EXPECT_TRUE(terminal.expect("parameters"));
  EXPECT_TRUE(terminal.expect("/help"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("What is 7 + 5?\r");
  EXPECT_TRUE(terminal.expect("12"));
  EXPECT_TRUE(terminal.expect("prompt tokens"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("/help\r");
  EXPECT_TRUE(terminal.expect("/think"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("/stats\r");
  EXPECT_TRUE(terminal.expect("last answer:"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("/rest\r");
  EXPECT_TRUE(terminal.expect("did you mean 'reset'?"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("\x04");  // Ctrl+D
  EXPECT_EQ(terminal.leave(), 0);

  const std::string history = folder_ + "/.local/state/hadal/history";
  struct stat status = {};
  ASSERT_EQ(stat(history.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777u, 0600u);
}

TEST_F(ChatTest, RemembersUntilReset) {
  Terminal terminal({"run", model_});
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("My name is Anna.\r");
  EXPECT_TRUE(terminal.expect("prompt tokens"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("What is my name?\r");
  EXPECT_TRUE(terminal.expect("Anna"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("/reset\r");
  EXPECT_TRUE(terminal.expect("forgotten"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("/save " + folder_ + "/empty.json\r");
  EXPECT_TRUE(terminal.expect("nothing to save"));
  terminal.type("/bye\r");
  EXPECT_EQ(terminal.leave(), 0);
}

TEST_F(ChatTest, SavesAndLoads) {
  const std::string path = folder_ + "/chat.json";
  {
    Terminal terminal({"run", model_});
    EXPECT_TRUE(terminal.expect(">>> "));
    terminal.type("My name is Anna.\r");
    EXPECT_TRUE(terminal.expect("prompt tokens"));
    terminal.type("/save " + path + "\r");
    EXPECT_TRUE(terminal.expect("saved to"));
    terminal.type("/save " + path + "\r");
    EXPECT_TRUE(terminal.expect("/save!"));
    terminal.type("/save! " + path + "\r");
    EXPECT_TRUE(terminal.expect("saved to"));
    terminal.type("/bye\r");
    EXPECT_EQ(terminal.leave(), 0);
  }
  std::ifstream file(path);
  const auto json = nlohmann::json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
  ASSERT_EQ(json["messages"].size(), 2u);
  EXPECT_EQ(json["messages"][0]["content"], "My name is Anna.");

  Terminal terminal({"run", model_});
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("/load " + path + "\r");
  EXPECT_TRUE(terminal.expect("2 messages"));
  terminal.type("What is my name?\r");
  EXPECT_TRUE(terminal.expect("Anna"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("/load " + folder_ + "/nothing.json\r");
  EXPECT_TRUE(terminal.expect("cannot open"));
  terminal.type("\x04");
  EXPECT_EQ(terminal.leave(), 0);
}

TEST_F(ChatTest, CtrlCStopsTheAnswerAndTwiceLeaves) {
  Terminal terminal({"run", model_, "--temp", "5", "--seed", "3"});
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("Tell me a long story.\r");
  // The answer must have begun: a Ctrl+C before it drops the line.
  EXPECT_TRUE(terminal.expect("story.\r\n"));
  EXPECT_TRUE(terminal.expect_output());
  terminal.type("\x03");
  EXPECT_TRUE(terminal.expect("[stopped; Ctrl+C again leaves]"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("What is 7 + 5?\r");
  EXPECT_TRUE(terminal.expect("prompt tokens"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("\x03");
  EXPECT_TRUE(terminal.expect("Ctrl+C again"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("\x03");
  EXPECT_EQ(terminal.leave(), 130);
}

TEST_F(ChatTest, GoesOnAfterCtrlZ) {
  Terminal terminal({"run", model_});
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.stop_and_continue();
  EXPECT_TRUE(terminal.expect(">>> "));  // drawn again
  terminal.type("What is 7 + 5?\r");
  EXPECT_TRUE(terminal.expect("7 + 5 = 12"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("\x04");
  EXPECT_EQ(terminal.leave(), 0);
}

TEST_F(ChatTest, SeveralLinesAndUtf8) {
  const std::string path = folder_ + "/lines.json";
  Terminal terminal({"run", model_});
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("\"\"\"one\r");
  EXPECT_TRUE(terminal.expect("... "));
  terminal.type("zwölf 十二\"\"\"\r");
  EXPECT_TRUE(terminal.expect("prompt tokens"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("\033[200~two\rlines\033[201~\r");  // a paste
  EXPECT_TRUE(terminal.expect("prompt tokens"));
  EXPECT_TRUE(terminal.expect(">>> "));
  terminal.type("/save " + path + "\r");
  EXPECT_TRUE(terminal.expect("saved to"));
  terminal.type("\x04");
  EXPECT_EQ(terminal.leave(), 0);
  std::ifstream file(path);
  const auto json = nlohmann::json::parse(std::string(std::istreambuf_iterator<char>(file), {}));
  EXPECT_EQ(json["messages"][0]["content"], "one\nzwölf 十二");
  EXPECT_EQ(json["messages"][2]["content"], "two\nlines");
}

}  // namespace
}  // namespace hadal::e2e
