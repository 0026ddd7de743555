// The rows of tokens that a step learns from.
#pragma once

#include "data/batch.h"

namespace hadal::train {

using data::Batch;

}  // namespace hadal::train
