// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/interceptor.hpp>
#include <millrace/metrics/line_sink.hpp>

namespace millrace {

/// Writes a line for each call that ends: `/echo.Echo/Say: UNAVAILABLE in 12.345 ms, 3 attempts: connection refused`. Short
/// enough to serve as the example of an interceptor. As the first of a chain it sees what the caller sees.
class logging_interceptor final : public interceptor {
 public:
  /// Throws `std::invalid_argument` when `sink` is empty.
  explicit logging_interceptor(line_sink sink = write_to_stderr);

  hook_set hooks() const noexcept override { return {hook::done}; }
  hook_result on_done(call_context& context, status const& outcome) override;

 private:
  line_sink sink_;
};

}  // namespace millrace
