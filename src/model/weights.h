// The weights of a model as views into mapped files (or into buffers that `storage` owns). No
// tensor is copied unless its layout forces it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "model/config.h"

namespace hadal::model {

using kernels::Matrix;  // {type, data, rows, cols, row_bytes, scales, scale_stride}; data null:
                        // absent

struct Mlp {
  Matrix gate{}, up{}, down{};  // [width, hidden], [width, hidden], [hidden, width]
};

struct Experts {
  std::vector<Mlp> routed;             // by expert index
  Mlp shared{};                        // data null if the model has none
  Matrix router{};                     // [experts, hidden], F32 or BF16
  std::vector<float> correction_bias;  // [experts], empty if none
};

struct Attention {
  // MLA. Queries: either q [heads*(nope+rope), hidden], or q_a [q_lora, hidden], q_a_norm, q_b.
  Matrix q{}, q_a{}, q_b{};
  std::vector<float> q_a_norm;   // eps 1e-6 whatever the config says
  Matrix kv_a{};                 // [kv_lora + rope, hidden]
  std::vector<float> kv_a_norm;  // [kv_lora], eps 1e-6
  // W_UK and W_UV, in one of two forms:
  //   kv_b [heads*(nope+v), kv_lora]: head-major, nope key rows then v value rows; or
  //   k_b [heads*kv_lora, nope] (head-major, W_UK transposed) with v_b [heads*v, kv_lora].
  // If a file has both, k_b and v_b are used and kv_b is left null.
  Matrix kv_b{}, k_b{}, v_b{};
  Matrix o{};  // [hidden, heads*v] (dense: [hidden, heads*head_dim])
  // Dense attention: q, and k, v [kv_heads*head_dim, hidden]. Rows of q and k are as the rope
  // layout of the config expects them.
  Matrix k{}, v{};
  std::vector<float> q_bias, k_bias, v_bias;  // empty if none
  std::vector<float> q_norm, k_norm;          // [head_dim], empty if none
};

struct Layer {
  std::vector<float> attention_norm, ffn_norm;  // [hidden]
  Attention attention;
  Mlp dense{};      // layers without experts
  Experts experts;  // the others
};

// V3's multi-token prediction: x_i = eh_proj [enorm(emb(t_{i+1})) ; hnorm(h_i)], one layer, norm,
// head.
struct MtpLayer {
  std::vector<float> enorm, hnorm, norm;  // norm: shared_head.norm
  Matrix eh_proj{};                       // [hidden, 2*hidden]
  Layer layer;
};

struct Model {
  ModelConfig config;
  Matrix embedding{};             // [vocab, hidden]
  std::vector<float> final_norm;  // [hidden]
  Matrix head{};                  // [vocab, hidden]; the embedding itself if tied
  std::vector<Layer> layers;
  std::vector<MtpLayer> mtp;
  // Bytes of all tensors as they lie in the files, and whatever keeps them alive.
  int64_t file_bytes = 0;
  std::vector<std::shared_ptr<const void>> storage;
};

}  // namespace hadal::model
