// Names of the number formats that other tools write and Hadal does not read, so that an error can
// say more than a number. ggml's ids end at 41; ik_llama.cpp numbers its own from 97, and formats
// with interleaved rows ("_R4", "_R8") from 202: the id of the plain type plus 200.
#include <array>

#include "quant/format.h"

namespace hadal::quant {
namespace {

struct ForeignType {
  uint32_t id;
  std::string_view name;
};

constexpr std::array foreign_types = {
    ForeignType{4, "Q4_2, removed from ggml in 2023"},
    ForeignType{5, "Q4_3, removed from ggml in 2023"},
    ForeignType{9, "Q8_1"},
    ForeignType{15, "Q8_K"},
    ForeignType{16, "IQ2_XXS"},
    ForeignType{17, "IQ2_XS"},
    ForeignType{18, "IQ3_XXS"},
    ForeignType{19, "IQ1_S"},
    ForeignType{21, "IQ3_S"},
    ForeignType{22, "IQ2_S"},
    ForeignType{24, "I8"},
    ForeignType{25, "I16"},
    ForeignType{27, "I64"},
    ForeignType{28, "F64"},
    ForeignType{29, "IQ1_M"},
    ForeignType{31, "Q4_0_4_4, a repacked type that ggml has removed"},
    ForeignType{32, "Q4_0_4_8, a repacked type that ggml has removed"},
    ForeignType{33, "Q4_0_8_8, a repacked type that ggml has removed"},
    ForeignType{34, "TQ1_0"},
    ForeignType{35, "TQ2_0"},
    ForeignType{36, "IQ4_NL_4_4, a repacked type that ggml has removed"},
    ForeignType{37, "IQ4_NL_4_8, a repacked type that ggml has removed"},
    ForeignType{38, "IQ4_NL_8_8, a repacked type that ggml has removed"},
    ForeignType{40, "NVFP4"},
    ForeignType{133, "ik_llama.cpp's private Q6_0"},
    ForeignType{134, "ik_llama.cpp's private IQ1_BN"},
    ForeignType{135, "ik_llama.cpp's private IQ2_BN"},
    ForeignType{137, "ik_llama.cpp's private IQ2_K"},
    ForeignType{138, "ik_llama.cpp's private IQ3_K"},
    ForeignType{139, "ik_llama.cpp's private IQ4_K"},
    ForeignType{140, "ik_llama.cpp's private IQ5_K"},
    ForeignType{141, "ik_llama.cpp's private IQ6_K"},
    ForeignType{144, "ik_llama.cpp's private IQ4_KS"},
    ForeignType{145, "ik_llama.cpp's private IQ2_KS"},
    ForeignType{146, "ik_llama.cpp's private IQ4_KSS"},
    ForeignType{152, "ik_llama.cpp's private IQ5_KS"},
    ForeignType{153, "ik_llama.cpp's private IQ2_KT"},
    ForeignType{154, "ik_llama.cpp's private IQ3_KT"},
    ForeignType{155, "ik_llama.cpp's private IQ4_KT"},
    ForeignType{156, "ik_llama.cpp's private IQ3_KS"},
    ForeignType{157, "ik_llama.cpp's private IQ2_KL"},
    ForeignType{158, "ik_llama.cpp's private IQ1_KT"},
    ForeignType{202, "ik_llama.cpp's private Q4_0_R8"},
    ForeignType{206, "ik_llama.cpp's private Q5_0_R4"},
    ForeignType{208, "ik_llama.cpp's private Q8_0_R8"},
    ForeignType{210, "ik_llama.cpp's private Q2_K_R4"},
    ForeignType{211, "ik_llama.cpp's private Q3_K_R4"},
    ForeignType{212, "ik_llama.cpp's private Q4_K_R4"},
    ForeignType{213, "ik_llama.cpp's private Q5_K_R4"},
    ForeignType{214, "ik_llama.cpp's private Q6_K_R4"},
    ForeignType{216, "ik_llama.cpp's private IQ2_XXS_R4"},
    ForeignType{217, "ik_llama.cpp's private IQ2_XS_R4"},
    ForeignType{218, "ik_llama.cpp's private IQ3_XXS_R4"},
    ForeignType{219, "ik_llama.cpp's private IQ1_S_R4"},
    ForeignType{220, "ik_llama.cpp's private IQ4_NL_R4"},
    ForeignType{221, "ik_llama.cpp's private IQ3_S_R4"},
    ForeignType{222, "ik_llama.cpp's private IQ2_S_R4"},
    ForeignType{223, "ik_llama.cpp's private IQ4_XS_R8"},
    ForeignType{229, "ik_llama.cpp's private IQ1_M_R4"},
    ForeignType{230, "ik_llama.cpp's private BF16_R16"},
    ForeignType{233, "ik_llama.cpp's private Q6_0_R4"},
    ForeignType{335, "ik_llama.cpp's private IQ2_BN_R4"},
    ForeignType{337, "ik_llama.cpp's private IQ2_K_R4"},
    ForeignType{338, "ik_llama.cpp's private IQ3_K_R4"},
    ForeignType{339, "ik_llama.cpp's private IQ4_K_R4"},
    ForeignType{340, "ik_llama.cpp's private IQ5_K_R4"},
    ForeignType{344, "ik_llama.cpp's private IQ4_KS_R4"},
    ForeignType{352, "ik_llama.cpp's private IQ5_KS_R4"},
    ForeignType{398, "ik_llama.cpp's private Q8_K_R16"},
    ForeignType{399, "ik_llama.cpp's private Q8_K_R8"},
};

}  // namespace

std::string_view foreign_type_name(uint32_t id) {
  for (const ForeignType& type : foreign_types) {
    if (type.id == id) return type.name;
  }
  // From here to 400 only ik_llama.cpp has ever numbered types.
  if (id >= 97 && id < 400) return "a private type of ik_llama.cpp";
  return "";
}

}  // namespace hadal::quant
