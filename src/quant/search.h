// Inside of quant: the search for the scale (and minimum) of a group of weights.
//
// A candidate scale assigns every weight a level; for these levels the best scale (and minimum) is
// a small least-squares problem whose error needs no second pass. Candidates around the scale that
// the extreme weights suggest, then a few rounds from the best one, come close to the optimum at a
// cost of some 20 passes over the group. Importance: large weights count more, as their errors
// weigh more in a product with activations of any kind.
#pragma once

namespace hadal::quant {

struct AffineFit {
  float scale = 0.0f;  // >= 0
  float min = 0.0f;    // >= 0; a weight is scale * level - min
};

// n: a multiple of 4, at most 32; levels 0..last. importance: n positive numbers.
AffineFit fit_affine(const float* x, const float* importance, int n, int last);

// Scale of either sign for levels -half .. half - 1; importance x^2. n as above.
float fit_symmetric(const float* x, int n, int half);

}  // namespace hadal::quant
