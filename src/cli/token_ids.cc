#include "cli/token_ids.h"

#include <cstring>

#include "base/error.h"
#include "base/mapped_file.h"
#include "format/safetensors_read.h"

namespace hadal::cli {
namespace {

template <class T>
void append(const format::SafetensorsTensor& tensor, std::vector<int64_t>& out) {
  for (size_t at = 0; at < tensor.data.size(); at += sizeof(T)) {
    T id = 0;
    std::memcpy(&id, tensor.data.data() + at, sizeof id);
    out.push_back(id);
  }
}

}  // namespace

TokenIds read_token_ids(const std::string& path) {
  const MappedFile file(path);
  for (const auto& tensor : format::parse_safetensors(file.bytes(), path)) {
    if (tensor.name != "input_ids") continue;
    if (tensor.shape.empty() || tensor.shape.size() > 2 || tensor.data.empty())
      fail(ErrorKind::format, "{}: input_ids must have the shape [B, T] or [T], and not be empty",
           path);
    TokenIds out;
    if (tensor.shape.size() == 2) out.batch = tensor.shape[0];
    if (tensor.dtype == format::Dtype::I64)
      append<int64_t>(tensor, out.values);
    else if (tensor.dtype == format::Dtype::I32)
      append<int32_t>(tensor, out.values);
    else
      fail(ErrorKind::format, "{}: input_ids is {}, expected I64 or I32", path,
           format::dtype_name(tensor.dtype));
    return out;
  }
  fail(ErrorKind::format, "{}: there is no tensor input_ids", path);
}

}  // namespace hadal::cli
