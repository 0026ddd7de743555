// Tensors -> model::Model.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "format/tensor_table.h"
#include "model/weights.h"

namespace hadal::format {

// Both take a validated config (mtp_layers as the file says) and fill a model whose tensors are
// views of the table's; copies that had to be made are in the model's storage. config.mtp_layers
// becomes the number of MTP layers found. Throw Error(format | unsupported) naming file and tensor.
std::unique_ptr<model::Model> bind_hf(const model::ModelConfig& config, TensorTable& table,
                                      std::vector<std::string>& notes);
std::unique_ptr<model::Model> bind_gguf(const model::ModelConfig& config, TensorTable& table,
                                        std::vector<std::string>& notes);

}  // namespace hadal::format
