// Which number format each tensor of a quantised model gets: the rule that llama.cpp uses for the
// names in circulation (Q4_K_M ...), so that a file of that name has the expected size and quality.
//
//   output.weight (or token_embd.weight if the head is tied)  Q6_K, in Q8_0 files Q8_0
//   attn_v.weight, ffn_down*.weight                           Q6_K in the layers where errors hurt
//                                                             most (Q4_K_M, Q5_K_M)
//   other matrices                                            the name's own format
//   vectors, norms, biases, routers                           F32
// Rows that are no whole blocks of 256 fall back to a format with blocks of 32 and as many bits or
// more, rows that are no multiple of 32 to BF16.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "quant/type.h"

namespace hadal::quant {

enum class Mixture { F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, IQ4_XS };

// "Q4_K_M"
std::string_view mixture_name(Mixture mixture);
// Case does not matter. mixture_names: all of them, for messages.
std::optional<Mixture> mixture_by_name(std::string_view name);
std::string_view mixture_names();
// general.file_type in GGUF files.
uint32_t mixture_file_type(Mixture mixture);

struct MixtureContext {
  int64_t layers = 0;     // of the model, without MTP layers
  bool has_head = false;  // output.weight exists: the head is not tied to the embedding
};

// name: as in GGUF files ("blk.3.ffn_down_exps.weight"). row: the innermost extent; rank: the
// number of extents.
Type choose_type(Mixture mixture, std::string_view name, int rank, int64_t row,
                 const MixtureContext& context);

}  // namespace hadal::quant
