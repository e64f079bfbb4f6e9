// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/call_context.hpp>
#include <millrace/intercept/hook.hpp>
#include <millrace/intercept/hook_arguments.hpp>
#include <millrace/intercept/hook_result.hpp>

namespace millrace {

/// Looks at calls and may change, delay or end them. Override the hooks you want; each answers `proceed`, `hold` or
/// `finish(status)`. One object serves all calls of a client, so what belongs to a call does not belong in here.
///
/// `on_done` runs exactly once for each `on_start` that ran, whatever it answered. A stage runs one interceptor at a time.
///
/// Thread: the loop's. A hook must not block. One that throws ends its call with INTERNAL and the exception's text.
class interceptor {
 public:
  virtual ~interceptor() = default;

  /// The hooks that do anything: a chain asks once and skips the others. Absence saves a virtual call, no more.
  virtual hook_set hooks() const noexcept { return hook_set::all(); }

  virtual hook_result on_start(call_context&) { return proceed; }
  virtual hook_result on_send_message(call_context&, message const&) { return proceed; }
  virtual hook_result on_initial_metadata(call_context&, metadata_view) { return proceed; }
  virtual hook_result on_recv_message(call_context&, message const&) { return proceed; }
  virtual hook_result on_done(call_context&, status const&) { return proceed; }
};

}  // namespace millrace
