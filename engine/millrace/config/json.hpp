// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/options.hpp>
#include <millrace/pool/params.hpp>

#include <string>
#include <string_view>

namespace millrace {

/// The parameters of a pool from JSON; also `pool_params::from_json`. Keys are the members' names, durations are texts with a unit
/// (`"250ms"`, `"1.5s"`, `"2m"`, `"forever"`), choices and status codes are their names, a member that may be absent is null when it
/// is. What the text leaves out is as in `base`.
///
/// Strict: a key that there is not, one given twice, a value of the wrong type or out of range is a std::invalid_argument that names
/// the path (`slot.backoff.initial`), the value and what is allowed. What depends on several parameters, and whether there is a
/// target, is checked by the pool's constructor. Callbacks, credentials, channel arguments and the observer cannot be given.
pool_params pool_params_from_json(std::string_view text, pool_params base = {});

/// The parameters of a client likewise, but `methods`, `interceptors` and `observer`.
client_params client_params_from_json(std::string_view text, client_params base = {});

/// All that JSON can give, with its value, indented; reads back as the same.
std::string to_json(pool_params const& params);
std::string to_json(client_params const& params);

}  // namespace millrace
