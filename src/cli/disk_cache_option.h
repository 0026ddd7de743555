// --cache-dir and --cache-disk-limit, which several commands have.
#pragma once

#include <string>

#include <CLI/CLI.hpp>

#include "infer/disk_cache.h"

namespace hadal::cli {

struct DiskCacheFlags {
  std::string folder;
  double gigabytes = 0;
};

// *flags must outlive the command. group: of its help; "": as options that belong to none.
void add_disk_cache(CLI::App* command, DiskCacheFlags* flags, const std::string& group = "");

// What the engine gets but for the fingerprint; it says on stderr what it has to say.
infer::DiskCacheOptions disk_cache_options(const DiskCacheFlags& flags);

}  // namespace hadal::cli
