// What an answer cost: processor time, energy, money.
#pragma once

#include <cstdint>
#include <string>

#include "server/writer.h"

namespace hadal::server {

// Money per million tokens, in `currency`. Hosted: what the API that this one imitates takes, for
// comparison; negative prices are unknown and left out.
struct Prices {
  std::string currency = "USD";
  double input = -1, cached_input = -1, output = -1;
  double hosted_input = -1, hosted_cached_input = -1, hosted_output = -1;
  double watts_per_core = 10;  // where the kernel does not tell the energy
};

// Joules that the processor's packages took since they were started, as the kernel's powercap
// tells; negative where it does not (virtual machines, or for root alone).
double package_joules();

// {"cpu_s", "joules", "joules_source", "price"?, "hosted_price"?, "currency"?}. cpu_s of this
// answer; joules are its share: measured power cannot be told apart by request.
std::string cost_json(const Prices& prices, const Account& account, double cpu_s);

}  // namespace hadal::server
