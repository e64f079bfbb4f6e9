// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/config/service_config.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// Where a value comes from. `engine`: it sets an argument of gRPC's channels by itself, or makes it of a parameter.
enum class config_source : std::uint8_t { by_default, code, json, service, engine };

std::string_view to_string(config_source value) noexcept;

/// What parameters were made of, so that explain_config can tell.
struct config_origins {
  std::string_view pool_json{};             ///< As given to pool_params::from_json; empty: none.
  std::string_view client_json{};           ///< As given to client_params_from_json.
  service_config const* service = nullptr;  ///< That was applied to both.
};

/// One effective value.
struct config_value {
  std::string path;   ///< `pool_params.slot.backoff.initial`, `method /s/m timeout`, `channel grpc.enable_retries`.
  std::string value;  ///< As in JSON; `set` or `none` for what JSON cannot give.
  config_source from = config_source::by_default;
  std::string note{};  ///< What it replaces, or is replaced by; for people.
};

/// Something that is allowed and seldom meant.
struct config_lint {
  std::string path;
  std::string reason;
  std::string reference;  ///< Where others met it: `grpc#33661`, `gRFC A6`; may be empty.
};

struct config_report {
  std::vector<config_value> values;
  std::vector<config_lint> lints;
  std::vector<service_config::unused_field> unused;  ///< Of the service config.
};

/// Every effective value with its source, and what is questionable about them. After the parameters, the arguments that gRPC's channels
/// get (`channel grpc.keepalive_time_ms`), those in vain included: `channel_args` and the engine may both ask for one. Throws like from_json for texts in `origins` that are
/// none.
config_report explain_config(pool_params const& pool, client_params const& client, config_origins const& origins = {});

/// For people: a line a value, then a line a lint.
std::string to_string(config_report const& report);

}  // namespace millrace
