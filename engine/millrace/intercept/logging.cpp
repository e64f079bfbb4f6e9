// SPDX-License-Identifier: Apache-2.0
#include <millrace/intercept/logging.hpp>

#include <fmt/format.h>

#include <chrono>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace millrace {

logging_interceptor::logging_interceptor(line_sink sink) : sink_(std::move(sink)) {
  if (!sink_)
    throw std::invalid_argument("logging_interceptor: sink is empty; give it a function, or leave the default");
}

hook_result logging_interceptor::on_done(call_context& context, status const& outcome) {
  std::chrono::duration<double, std::milli> const elapsed = context.now() - context.started_at();
  fmt::memory_buffer line;
  auto out = std::back_inserter(line);
  fmt::format_to(out, "{}: {} in {:.3f} ms, {} attempt{}", context.method(), to_string(outcome.code), elapsed.count(),
                 context.attempts(), context.attempts() == 1 ? "" : "s");
  if (!outcome.message.empty()) fmt::format_to(out, ": {}", one_line(outcome.message));
  sink_({line.data(), line.size()});
  return proceed;
}

}  // namespace millrace
