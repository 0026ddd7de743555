// How a model wants to be sampled when nobody says otherwise.
#pragma once

#include <string>

#include "infer/loaded_model.h"
#include "infer/sampler.h"
#include "model/forward.h"

namespace hadal::infer {

// In order: models under 500 million parameters answer greedily (they are too unsure for dice);
// generation_config.json in the model's folder; what the makers recommend for its dialogue form.
SamplingParams default_sampling(const LoadedModel& loaded);

// F32 for models under 500 million parameters, whose best tokens are often nearly tied: rounding
// activations to int8 then picks another answer (SmolLM2 in Q4_1, asked for a capital, takes up
// French), and such models are fast in F32 too. Native for all others.
model::Precision default_precision(const LoadedModel& loaded);

// do_sample, temperature, top_p, top_k, repetition_penalty of a generation_config.json; what is
// missing or no number stays as it is in `params`. Throws Error(format) if the text is not JSON.
void read_generation_config(const std::string& text, const std::string& path,
                            SamplingParams& params);

}  // namespace hadal::infer
