#include "quant/mixture.h"

#include <cctype>
#include <charconv>
#include <string>

#include "quant/format.h"

namespace hadal::quant {
namespace {

struct Entry {
  Mixture mixture;
  std::string_view name;
  Type type;  // of matrices without a rule of their own
  uint32_t file_type;
};

constexpr Entry entries[] = {
    {Mixture::F32, "F32", Type::F32, 0},           {Mixture::F16, "F16", Type::F16, 1},
    {Mixture::BF16, "BF16", Type::BF16, 32},       {Mixture::Q8_0, "Q8_0", Type::Q8_0, 7},
    {Mixture::Q6_K, "Q6_K", Type::Q6_K, 18},       {Mixture::Q5_K_M, "Q5_K_M", Type::Q5_K, 17},
    {Mixture::Q4_K_M, "Q4_K_M", Type::Q4_K, 15},   {Mixture::Q4_0, "Q4_0", Type::Q4_0, 2},
    {Mixture::IQ4_XS, "IQ4_XS", Type::IQ4_XS, 30},
};

const Entry& entry_of(Mixture mixture) {
  return entries[static_cast<size_t>(mixture)];
}

bool is_plain(Mixture mixture) {
  return mixture == Mixture::F32 || mixture == Mixture::F16 || mixture == Mixture::BF16;
}

// The layer in "blk.12.", or 0.
int64_t layer_of(std::string_view name) {
  int64_t layer = 0;
  if (name.starts_with("blk.")) std::from_chars(name.data() + 4, name.data() + name.size(), layer);
  return layer;
}

// The first and last eighth of the layers, and every third between them.
bool wants_more_bits(int64_t layer, int64_t layers) {
  const int64_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

bool stays_f32(std::string_view name, int rank) {
  return rank <= 1 || !name.ends_with(".weight") || name.find("_norm.") != std::string_view::npos ||
         name.find("ffn_gate_inp.") != std::string_view::npos;
}

Type fitting(Type type, int64_t row) {
  if (row % type_info(type).block_weights == 0) return type;
  Type narrow = type;
  if (type == Type::Q4_K) narrow = Type::Q5_0;
  if (type == Type::Q5_K) narrow = Type::Q5_1;
  if (type == Type::Q6_K) narrow = Type::Q8_0;
  if (type == Type::IQ4_XS) narrow = Type::IQ4_NL;
  return row % 32 == 0 ? narrow : Type::BF16;
}

}  // namespace

std::string_view mixture_name(Mixture mixture) {
  return entry_of(mixture).name;
}

std::optional<Mixture> mixture_by_name(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const Entry& entry : entries) {
    if (entry.name == upper) return entry.mixture;
  }
  return std::nullopt;
}

std::string_view mixture_names() {
  return "Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, IQ4_XS, BF16, F16, F32";
}

uint32_t mixture_file_type(Mixture mixture) {
  return entry_of(mixture).file_type;
}

Type choose_type(Mixture mixture, std::string_view name, int rank, int64_t row,
                 const MixtureContext& context) {
  const Type own = entry_of(mixture).type;
  if (stays_f32(name, rank)) return Type::F32;
  if (is_plain(mixture)) return own;
  const bool is_head =
      name == "output.weight" || (!context.has_head && name == "token_embd.weight");
  if (is_head) return fitting(mixture == Mixture::Q8_0 ? Type::Q8_0 : Type::Q6_K, row);

  const int64_t layer = layer_of(name);
  const bool is_down = name.find("ffn_down") != std::string_view::npos;
  const bool is_value = name.ends_with("attn_v.weight");
  if ((mixture == Mixture::Q4_K_M || mixture == Mixture::Q5_K_M) && (is_down || is_value) &&
      wants_more_bits(layer, context.layers)) {
    return fitting(Type::Q6_K, row);
  }
  if (mixture == Mixture::IQ4_XS && is_down && layer < context.layers / 8) {
    return fitting(Type::Q5_K, row);
  }
  return fitting(own, row);
}

}  // namespace hadal::quant
