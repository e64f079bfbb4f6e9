// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace {

/// How often this process is a child's child: fork() adds one in the child. gRPC's threads and locks do not survive a fork that
/// no exec follows (gRPC issue 17695), so what was made at another count must not be used. Any thread; a load.
std::uint32_t forks() noexcept;

}  // namespace millrace
