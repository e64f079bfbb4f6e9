// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/config/explain.hpp>

#include <vector>

namespace millrace::config::impl {

/// What is questionable about the parameters, in the order of docs/guide/configuration.md.
std::vector<config_lint> lints_of(pool_params const& pool, client_params const& client);

}  // namespace millrace::config::impl
