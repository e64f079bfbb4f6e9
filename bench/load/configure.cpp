// SPDX-License-Identifier: Apache-2.0
#include <load/configure.hpp>

#include <millrace/config/explain.hpp>
#include <millrace/config/json.hpp>

#include <grpcpp/security/credentials.h>

#include <algorithm>

namespace millrace::load {
namespace {

using namespace std::chrono_literals;

std::string joined(std::vector<std::string> const& endpoints) {
  std::string target;
  for (std::string const& one : endpoints) target.append(target.empty() ? "" : ",").append(one);
  return target;
}

void set_target(options const& asked, pool_params& params) {
  params.target = asked.resolver.empty() ? joined(asked.endpoints) : asked.resolver;
}

void set_slots(options const& asked, pool_params& params) {
  params.min_slots = asked.connections;
  params.max_slots = std::max(asked.connections, asked.max_slots);
}

// the tool was told how many calls to have in flight: unless told otherwise none of them is to wait in the pool
void set_watermark(options const& asked, pool_params& params) {
  params.max_calls_per_slot = asked.rate ? 1'000'000 : std::max(asked.concurrency, 100u);
  if (asked.watermark > 0) params.max_calls_per_slot = asked.watermark;
}

void set_outlier(options const& asked, pool_params& params) {
  if (!asked.outlier) return;
  params.accrual.emplace();
  params.outlier.emplace();
}

// which flag sets what: all of them once, for their defaults, and what was given again after the configuration
struct setting {
  char const* flag;
  void (*set)(options const& asked, pool_params& params);
};

constexpr setting settings[] = {
    {"--endpoints", set_target},
    {"--resolver", set_target},
    {"--connections", set_slots},
    {"--max-slots", set_slots},
    {"--watermark", set_watermark},
    {"--outlier", set_outlier},
    {"--health",
     [](options const& asked, pool_params& params) {
       if (asked.health) params.health_check = {.service = *asked.health};
     }},
    {"--balance", [](options const& asked, pool_params& params) { params.balance = asked.balance; }},
    {"--no-cork", [](options const& asked, pool_params& params) { params.cork = !asked.no_cork; }},
};

}  // namespace

pool_params pool_of(options const& asked, observer* told) {
  pool_params params;
  for (setting const& one : settings) one.set(asked, params);
  params.max_waiting = asked.rate ? 1'000'000 : std::max(asked.concurrency, 10'000u);
  if (!asked.config.empty()) {
    params = pool_params_from_json(asked.config, params);
    for (setting const& one : settings) {
      if (asked.given.contains(one.flag)) one.set(asked, params);
    }
  }
  if (!asked.tls_ca.empty()) params.credentials = grpc::SslCredentials({asked.tls_ca, {}, {}});
  params.observer = told;
  return params;
}

client_params client_of(options const& asked) {
  client_params params;
  params.default_timeout = asked.timeout;
  params.retry.max_attempts = asked.attempts;
  if (asked.hedge_after || asked.hedge_percentile) {
    params.idempotent = true;
    params.hedging.emplace();
    if (asked.given.contains("--attempts")) params.hedging->max_attempts = std::max(asked.attempts, 2u);
    params.hedging->delay = asked.hedge_after;
    params.hedging->percentile = asked.hedge_percentile.value_or(params.hedging->percentile);
  }
  // a load tool would rather press on than wait
  params.retry.initial_backoff = 5ms;
  params.retry.max_backoff = 100ms;
  return params;
}

std::string explained(options const& asked) {
  return to_string(explain_config(pool_of(asked, nullptr), client_of(asked), {.pool_json = asked.config}));
}

}  // namespace millrace::load
