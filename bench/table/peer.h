// Other engines, measured by their own program: anything that takes llama-bench's flags and prints
// its JSON.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "work.h"

namespace hadal::bench {

struct Peer {
  std::string name;                 // the column
  std::vector<std::string> models;  // stems of the files ("v2lite-q4km") that it is for; empty: all
  std::vector<std::string> command;  // {model} stands for the file's path without .gguf
};

// "NAME[@MODEL,MODEL...]=PATH FLAGS...", split at spaces. Nothing if there is no name or path.
std::optional<Peer> parse_peer(const std::string& text);

// The samples_ts of the last test in llama-bench's JSON, whatever was printed around it. Empty if
// there is none.
std::vector<double> parse_samples(const std::string& output);

struct PeerSamples {
  std::vector<double> samples;  // tokens/s; seconds of the whole program for first_token
  std::string error;            // why there are none
};

// Measures a row, or says in `error` why this peer cannot. folder holds the model files.
PeerSamples measure_peer(const Peer& peer, const Work& work, const std::string& folder,
                         int repetitions, int threads);

}  // namespace hadal::bench
