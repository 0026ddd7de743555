#include "grammar/schema_formats.h"

#include <map>

namespace hadal::grammar {
namespace {

// The 29th of February of leap years, 1000 to 9999, and every other day.
const std::string date =
    "(?:[1-9][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|"
    "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|"
    "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)-02-29)";
const std::string time =
    "(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?"
    "(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])";
const std::string octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const std::string label = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?";
const std::string host = label + "(?:\\." + label + "){0,6}";

const std::map<std::string, std::string, std::less<>>& patterns() {
  static const std::map<std::string, std::string, std::less<>> map = {
      {"date", "^" + date + "$"},
      {"time", "^" + time + "$"},
      {"date-time", "^" + date + "T" + time + "$"},
      {"duration",
       "^P(?:[0-9]{1,6}W|[0-9]{1,6}D(?:T[0-9]{1,6}[HMS])?|[0-9]{1,6}Y(?:[0-9]{1,6}M)?|"
       "[0-9]{1,6}M(?:[0-9]{1,6}D)?|T(?:[0-9]{1,6}H(?:[0-9]{1,6}M)?|[0-9]{1,6}M(?:[0-9]{1,6}S)?|"
       "[0-9]{1,6}S))$"},
      {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
      {"email", "^[a-zA-Z0-9_+-]+(?:\\.[a-zA-Z0-9_+-]+)*@" + host + "\\.[a-zA-Z]{2,12}$"},
      {"hostname", "^" + host + "$"},
      {"ipv4", "^" + octet + "(?:\\." + octet + "){3}$"},
      {"ipv6", "^[0-9a-f]{1,4}(?::[0-9a-f]{1,4}){7}$"},
      {"uri", "^[a-z][a-z0-9+.-]{1,20}://" + host +
                  "(?::[1-9][0-9]{0,3})?(?:/[a-zA-Z0-9._~!$&'()*+,;=:@-]*)*"
                  "(?:\\?[a-zA-Z0-9._~!$&'()*+,;=:@/?-]*)?(?:#[a-zA-Z0-9._~!$&'()*+,;=:@/?-]*)?$"},
  };
  return map;
}

}  // namespace

std::string_view format_pattern(std::string_view name) {
  const auto found = patterns().find(name);
  return found != patterns().end() ? std::string_view(found->second) : std::string_view();
}

std::string format_names() {
  std::string out;
  for (const auto& [name, pattern] : patterns()) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace hadal::grammar
