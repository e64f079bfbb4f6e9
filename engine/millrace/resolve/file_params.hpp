// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <string_view>

namespace millrace {

/// When a file of endpoints is read.
struct file_params {
  /// From the first sign of a change to the reading: many changes in a row are read once, and a busy directory costs no more
  /// than a look each such interval. More than 0.
  duration settle_interval = std::chrono::milliseconds{50};
  /// Between looks while the file's directory cannot be watched, because it is not there or the system's inotify watches are used
  /// up. More than 0.
  duration poll_interval = std::chrono::seconds{5};
};

/// Throws std::invalid_argument that names `<field_prefix>.<field>`, its value and what is allowed.
void validate(file_params const& params, std::string_view field_prefix);

}  // namespace millrace
