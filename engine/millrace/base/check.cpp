// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/check.hpp>

#include <cstdio>
#include <cstdlib>

namespace millrace {

void check_failed(char const* what, char const* file, int line) noexcept {
  std::fprintf(stderr, "millrace: invariant broken: %s\n  at %s:%d\n", what, file, line);
  std::abort();
}

}  // namespace millrace
