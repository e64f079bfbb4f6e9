// SPDX-License-Identifier: Apache-2.0
#include <millrace/config/json.hpp>

#include <millrace/config/impl/read.hpp>
#include <millrace/config/impl/tables.hpp>
#include <millrace/config/impl/write.hpp>

namespace millrace {

pool_params pool_params_from_json(std::string_view text, pool_params base) {
  config::impl::read(config::impl::parse(text), base, {});
  return base;
}

pool_params pool_params::from_json(std::string_view text) { return pool_params_from_json(text); }

client_params client_params_from_json(std::string_view text, client_params base) {
  config::impl::read(config::impl::parse(text), base, {});
  return base;
}

namespace {

// a text set in code may be anything
template <class T>
std::string dumped(T const& params) {
  return config::impl::written(params).dump(2, ' ', false, config::impl::json::error_handler_t::replace);
}

}  // namespace

std::string to_json(pool_params const& params) { return dumped(params); }
std::string to_json(client_params const& params) { return dumped(params); }

}  // namespace millrace
