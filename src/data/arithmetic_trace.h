// Sums worked out in steps that each need nothing but single-digit facts: the thoughts from which
// a small model learns to calculate (arXiv 2307.03381, 2510.00184: without steps, products of four
// digits stay below 1%).
//
// Every digit gets a label, A from the ones up (small letters for the second number), so that each
// step finds its digits by name; steps of one kind are equally long. Carries are the tens of the
// step before. 4738 + 965:
//
//   A8B3C7D4 a5b6c9d0       the numbers, lowest digit first, equally long
//   A8+5+0=13               8 + 5 + carry 0: write 3, carry 1
//   B3+6+1=10
//   C7+9+1=17
//   D4+0+1=05
//   =E0D5C7B0A3             last carry and the digits written, highest first
//
// Subtraction first compares from the highest digit until one is larger, then takes the smaller
// from the larger: A3-6-0=-10+7 means borrow 1, write 7. A negative
// result is marked by "=-". Multiplication adds one partial product a digit of the second number to
// what has been summed up, whose lowest digit is then done with: after its row (here digit b6),
//
//   b6
//   A8*6=48,+9+0=57         8 * 6 = 48, plus the sum's digit 9, plus carry 0
//   B3*6=18,+6+5=29
//   b7 A9B...               digit done, and the sum that is left, again from A
//
// Division goes down from the highest digit, called A here: C113:9*12=108,113-108=5, behind the
// divisor's multiples if it has two digits.
#pragma once

#include <cstdint>
#include <string>

namespace hadal::data {

// A step to get wrong once and set right: "B3+6+1=11 no" and the right line after it. at: which
// step, from 0; -1: none.
struct Slip {
  int at = -1;
};

// Numbers from 0; sums below 10^17, products of at most 8 digits each, divisors from 1 to 99.
std::string add_trace(int64_t a, int64_t b, Slip slip = {});
std::string subtract_trace(int64_t a, int64_t b, Slip slip = {});
std::string multiply_trace(int64_t a, int64_t b, Slip slip = {});
std::string divide_trace(int64_t a, int64_t b, Slip slip = {});
// Only the comparison of subtraction.
std::string compare_trace(int64_t a, int64_t b);

int digit_count(int64_t number);

}  // namespace hadal::data
