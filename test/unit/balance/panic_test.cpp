// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/panic.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <limits>

using millrace::balance::panics;

TEST_CASE("panic: begins below the threshold, not at it", "[balance][panic]") {
  CHECK(panics(4, 10, 0.5));
  CHECK_FALSE(panics(5, 10, 0.5));
  CHECK_FALSE(panics(6, 10, 0.5));
  CHECK(panics(0, 1, 0.5));
  CHECK_FALSE(panics(1, 1, 0.5));
}

TEST_CASE("panic: a threshold of 0 is never, of 1 is whenever one is missing", "[balance][panic]") {
  CHECK_FALSE(panics(0, 10, 0));
  CHECK_FALSE(panics(10, 10, 1));
  CHECK(panics(9, 10, 1));
  CHECK(panics(0, 10, std::numeric_limits<double>::min()));
}

TEST_CASE("panic: not without endpoints", "[balance][panic]") {
  static_assert(!panics(0, 0, 0.5) && !panics(0, 0, 1));
  CHECK_FALSE(panics(0, 0, 0.5));
}

TEST_CASE("panic: a threshold that is written as the very part is not reached below", "[balance][panic]") {
  for (std::size_t all = 1; all <= 200; ++all) {
    for (std::size_t usable = 0; usable <= all; ++usable) {
      double const part = static_cast<double>(usable) / static_cast<double>(all);
      if (panics(usable, all, part)) FAIL(usable << " of " << all);
      if (usable > 0 && !panics(usable - 1, all, part)) FAIL(usable - 1 << " of " << all);
    }
  }
  static_assert(!panics(3, 10, 0.3) && !panics(7, 10, 0.7) && panics(2, 10, 0.3));
}
