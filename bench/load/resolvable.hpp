// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <load/options.hpp>

#include <optional>
#include <string>

namespace millrace::load {

/// Asks the system's resolver for the host of each endpoint, before any load is driven: a name that does not resolve is a
/// typing mistake, not a server that is down. Returns the refusal for the first such name.
std::optional<bench::exit_now> unresolvable(options const& asked);

}  // namespace millrace::load
