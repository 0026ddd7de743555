// How a model wants to be sampled when nobody says otherwise.
#pragma once

#include <string>

#include "infer/loaded_model.h"
#include "infer/sampler.h"

namespace hadal::cli {

// In order: models under 500 million parameters answer greedily (they are too unsure for dice);
// generation_config.json in the model's folder; what the makers recommend for its dialogue form.
infer::SamplingParams default_sampling(const infer::LoadedModel& loaded);

// do_sample, temperature, top_p, top_k, repetition_penalty of a generation_config.json; what is
// missing or no number stays as it is in `params`. Throws Error(format) if the text is not JSON.
void read_generation_config(const std::string& text, const std::string& path,
                            infer::SamplingParams& params);

}  // namespace hadal::cli
