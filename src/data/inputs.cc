#include "data/inputs.h"

#include <charconv>
#include <filesystem>
#include <string_view>
#include <utility>

#include <xxhash.h>

#include "base/error.h"
#include "base/mapped_file.h"

namespace hadal::data {
namespace {

constexpr std::string_view kGenerate = "generate:";
constexpr uint64_t kCountMax = uint64_t{1} << 40;

uint64_t number_of(std::string_view text, const std::string& spec) {
  uint64_t number = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size() || number > kCountMax) {
    fail(ErrorKind::usage, "'{}' is no count in the input {}: write generate:KIND:COUNT", text,
         spec);
  }
  return number;
}

}  // namespace

Input parse_input(const std::string& spec) {
  Input input{spec};
  if (!spec.starts_with(kGenerate)) {
    if (!std::filesystem::exists(spec)) {
      fail(ErrorKind::file, "there is no file {}; generated input is written generate:KIND:COUNT",
           spec);
    }
    return input;
  }
  const std::string_view rest = std::string_view(spec).substr(kGenerate.size());
  const size_t colon = rest.find(':');
  if (colon == std::string_view::npos) {
    fail(ErrorKind::usage, "{}: how many? Write generate:KIND:COUNT", spec);
  }
  input.generator = &find_generator(rest.substr(0, colon));
  const std::string_view numbers = rest.substr(colon + 1);
  const size_t next = numbers.find(':');
  input.count = number_of(numbers.substr(0, next), spec);
  if (next != std::string_view::npos) input.first = number_of(numbers.substr(next + 1), spec);
  return input;
}

void read_input(const Input& input, const InputOptions& options, const TakeDocument& take,
                const std::function<void(double)>& progress) {
  if (input.generator != nullptr) {
    for (uint64_t i = 0; i < input.count; ++i) {
      Problem problem = generate(*input.generator, options.seed, input.first + i, options.part);
      Document document{{}, std::move(problem.dialogue)};
      take(document);
      if (progress) progress(static_cast<double>(i + 1) / static_cast<double>(input.count));
    }
    return;
  }
  const auto size = static_cast<double>(std::filesystem::file_size(input.spec));
  read_documents(
      input.spec,
      [&](Document& document) {
        if (in_part(document, options.part)) take(document);
      },
      [&](uint64_t bytes) {
        if (progress) progress(size > 0 ? static_cast<double>(bytes) / size : 1);
      });
}

uint64_t file_hash(const std::string& path) {
  const MappedFile file(path);
  return XXH3_64bits(file.bytes().data(), file.bytes().size());
}

}  // namespace hadal::data
