// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace millrace::streams {

/// Serves the patterns' methods on a free port, which it prints as `listening on 127.0.0.1:N`, until it is killed.
[[noreturn]] void serve();

}  // namespace millrace::streams
