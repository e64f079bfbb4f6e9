// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/check.hpp>

#include <cstdio>
#include <cstdlib>

namespace millrace {

void check_failed(char const* what, std::source_location where) noexcept {
  std::fprintf(stderr, "millrace: invariant broken: %s\n  at %s:%u in %s\n", what, where.file_name(),
               static_cast<unsigned>(where.line()), where.function_name());
  std::abort();
}

}  // namespace millrace
