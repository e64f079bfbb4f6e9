// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <span>
#include <string>
#include <string_view>

namespace millrace::config::impl {

/// Keeps the order of what it reads and writes.
using json = nlohmann::ordered_json;

/// How `duration::max()` is written.
inline constexpr std::string_view forever = "forever";

/// `slot` and `backoff` are `slot.backoff`.
std::string joined(std::string_view path, std::string_view name);

/// Throws std::invalid_argument: `<path>: <value> is not allowed; allowed: <allowed>`.
[[noreturn]] void refuse_value(std::string_view path, json const& value, std::string_view allowed);
[[noreturn]] void refuse(std::string_view path, std::string_view text, std::string_view allowed);

/// Throws std::invalid_argument for a key that there is not, with the nearest there is and all others.
[[noreturn]] void refuse_key(std::string_view path, std::string_view key, std::span<std::string_view const> known);

/// The name with the fewest letters to change; empty when none is near.
std::string_view nearest(std::string_view text, std::span<std::string_view const> names);

/// Reads a document. Throws std::invalid_argument that says where it is no JSON, or which key, with its path, is given twice.
json parse(std::string_view text);

}  // namespace millrace::config::impl
