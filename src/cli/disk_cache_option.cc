#include "cli/disk_cache_option.h"

#include <cstdint>
#include <cstdio>

#include <fmt/format.h>

namespace hadal::cli {

void add_disk_cache(CLI::App* command, DiskCacheFlags* flags, const std::string& group) {
  CLI::Option* folder =
      command
          ->add_option("--cache-dir", flags->folder,
                       "Keep what was computed of prompts here, for the next start, too")
          ->type_name("DIR");
  CLI::Option* limit =
      command
          ->add_option("--cache-disk-limit", flags->gigabytes,
                       "What it may fill (0: a tenth of the free disk, at most 10)")
          ->check(CLI::Range(0.0, 1e9).description(""))
          ->type_name("GB");
  if (group.empty()) return;
  folder->group(group);
  limit->group(group);
}

infer::DiskCacheOptions disk_cache_options(const DiskCacheFlags& flags) {
  infer::DiskCacheOptions options;
  options.folder = flags.folder;
  options.bytes_max = static_cast<int64_t>(flags.gigabytes * 1e9);
  options.log = [](const std::string& line) { fmt::print(stderr, "cache: {}\n", line); };
  return options;
}

}  // namespace hadal::cli
