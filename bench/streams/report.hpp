// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "client.hpp"

#include <string>
#include <vector>

namespace millrace::streams {

/// What one pattern and size gave, round by round, in messages a second.
struct row {
  named_pattern of;
  std::size_t bytes;
  std::vector<double> engine{};
  std::vector<double> plain{};
};

struct report {
  std::string commit;
  unsigned rounds = 0;
  double window_ms = 0;
  std::vector<row> rows{};
};

/// A Markdown table and what it was made with.
std::string to_table(report const& all);

/// The same figures; the keys are documented in bench/streams/README.md.
std::string to_json(report const& all);

}  // namespace millrace::streams
