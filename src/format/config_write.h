// model::ModelConfig -> GGUF keys or config.json: the way back from config_read.h.
#pragma once

#include <string>
#include <vector>

#include "format/gguf_write.h"
#include "format/load.h"
#include "model/config.h"
#include "quant/mixture.h"

namespace hadal::format {

// What Llama 3's scaling (or the file's own factors) divides each pair's frequency by, as GGUF
// files hold it in rope_freqs.weight; empty for models without.
std::vector<float> rope_factors(const model::ModelConfig& config);

// How keys describe MLA: one shared head of the latent's width (files with attn_k_b), or heads of
// their own lengths (older files, with attn_kv_b).
enum class MlaKeys { shared_head, each_head };

// general.* and the architecture's keys, as llama.cpp's converter writes them.
void add_model_keys(const model::ModelConfig& config, uint32_t file_type, GgufKeys& keys,
                    MlaKeys mla = MlaKeys::shared_head);
// tokenizer.* keys; the list of tokens is filled up to vocab_size with unused ones, as readers
// expect.
void add_tokenizer_keys(const GgufTokenizer& tokenizer, const std::string& chat_template,
                        int64_t vocab_size, GgufKeys& keys);

// The ids of special tokens, of the tokenizer (may be null), else of the config.
void add_token_ids(const model::ModelConfig& config, const GgufTokenizer* tokenizer,
                   GgufKeys& keys);

// The text of config.json. dtype: of most weights, "bfloat16"; fp8: the layers' matrices are
// DeepSeek's FP8 with scales for 128x128. Throws Error(unsupported) if rope
// factors are not Llama 3's, which config.json cannot say.
std::string hf_config_text(const model::ModelConfig& config, const std::string& dtype,
                           bool fp8 = false);

}  // namespace hadal::format
