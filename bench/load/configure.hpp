// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <load/options.hpp>

#include <millrace/call/options.hpp>
#include <millrace/pool/params.hpp>

#include <string>

namespace millrace::load {

/// The pool that was asked for: the tool's defaults, then `--config`, then the flags that were given.
pool_params pool_of(options const& asked, observer* told);

client_params client_of(options const& asked);

/// Both, value by value, with what is questionable about them.
std::string explained(options const& asked);

}  // namespace millrace::load
