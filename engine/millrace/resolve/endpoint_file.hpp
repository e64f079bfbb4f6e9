// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/resolve/endpoint.hpp>

#include <string_view>

namespace millrace::resolve {

/// Reads a list of endpoints as Prometheus's file_sd has it:
///
///     [{"targets": ["a:1", "b:1"], "labels": {"weight": "3", "priority": "1", "locality": "west", "authority": "x:1", "rack": "7"}}]
///
/// A group's labels hold for all its targets. `weight` (also `__weight__`), `priority`, `locality` and `authority` are the
/// endpoint's fields, numbers with or without quotes; all others are its metadata, which are strings. An empty list is a set
/// without endpoints.
///
/// Throws std::invalid_argument that names the place (`$[0].labels.weight`), the value and what is allowed. Unknown keys beside
/// `targets` and `labels` are not.
endpoint_set parse_endpoint_file(std::string_view text);

}  // namespace millrace::resolve
