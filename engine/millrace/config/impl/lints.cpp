// SPDX-License-Identifier: Apache-2.0
#include <millrace/config/impl/lints.hpp>

#include <millrace/call/method_config.hpp>
#include <millrace/call/options.hpp>
#include <millrace/config/impl/channel_arguments.hpp>
#include <millrace/pool/params.hpp>
#include <millrace/time/duration_text.hpp>

#include <grpc/impl/codegen/grpc_types.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <string_view>

namespace millrace::config::impl {
namespace {

using namespace std::chrono_literals;

struct subject {
  pool_params const& pool;
  client_params const& client;
};

// ---- channel arguments

grpc_arg const* argument(pool_params const& pool, std::string_view key) {
  if (pool.channel_args == nullptr) return nullptr;
  grpc_channel_args const list = pool.channel_args->c_channel_args();
  grpc_arg const* const end = list.args + list.num_args;
  auto const* const found =
      std::find_if<grpc_arg const*>(list.args, end, [&](grpc_arg const& one) { return key == one.key; });
  return found == end ? nullptr : found;
}

std::optional<int> integer(pool_params const& pool, std::string_view key) {
  grpc_arg const* const found = argument(pool, key);
  if (found == nullptr || found->type != GRPC_ARG_INTEGER) return std::nullopt;
  return found->value.integer;
}

bool has_grpc_retry_policy(pool_params const& pool) {
  grpc_arg const* const config = argument(pool, GRPC_ARG_SERVICE_CONFIG);
  return config != nullptr && config->type == GRPC_ARG_STRING &&
         std::string_view(config->value.string).find("retryPolicy") != std::string_view::npos;
}

bool asks_for_grpc_retries(pool_params const& pool) {
  return has_grpc_retry_policy(pool) || integer(pool, GRPC_ARG_ENABLE_RETRIES).value_or(0) != 0;
}

// for stubs they are left as they are
bool keeps_grpc_retries(pool_params const& pool) {
  return pool.stub_calls && has_grpc_retry_policy(pool) && integer(pool, GRPC_ARG_ENABLE_RETRIES).value_or(1) != 0;
}

// of a name with many addresses, each of them
bool balances_within_a_channel(pool_params const& pool) {
  grpc_arg const* const config = argument(pool, GRPC_ARG_SERVICE_CONFIG);
  grpc_arg const* const policy = argument(pool, GRPC_ARG_LB_POLICY_NAME);
  auto const says = [](grpc_arg const* one, std::string_view what) {
    return one != nullptr && one->type == GRPC_ARG_STRING &&
           std::string_view(one->value.string).find(what) != std::string_view::npos;
  };
  bool const other = policy != nullptr && !says(policy, "pick_first");
  return other || says(config, "loadBalancing");
}

bool leaves_out_filters(pool_params const& pool) {
  bool const asked = pool.minimal_stack && !pool.stub_calls && pool.transparent_retry == transparent_retry::engine;
  return !asked && integer(pool, GRPC_ARG_MINIMAL_STACK).value_or(0) != 0;
}

// ---- what is told apart below

bool retries(subject const& of) { return of.client.retry.max_attempts > 1; }

// by a call itself it still may be, which nobody sees here
bool declares_idempotent(client_params const& client) {
  return client.idempotent ||
         (client.methods != nullptr && std::ranges::any_of(client.methods->entries(), [](auto& one) {
            return one.second.idempotent.value_or(false);
          }));
}

bool hedges_a_method(client_params const& client) {
  return client.methods != nullptr &&
         std::ranges::any_of(client.methods->entries(), [](auto& one) { return one.second.hedging.has_value(); });
}

bool hedges_undeclared(client_params const& client) {
  return client.methods != nullptr && std::ranges::any_of(client.methods->entries(), [&](auto& one) {
           return one.second.hedging && !one.second.idempotent.value_or(client.idempotent);
         });
}

bool has_one_endpoint(pool_params const& pool) { return pool.balance == "pick_first" && !pool.make_picker; }

bool never_pays(retry::budget_params const& budget) { return budget.percent == 0 && budget.min_per_second == 0; }

struct rule {
  std::string_view path;
  std::string_view reason;
  std::string_view reference;
  bool (*applies)(subject const&);
};

// a rule a line: where, why, who met it, when
constexpr rule rules[] = {
    {"pool_params.channel_args",
     "gRPC's own retries are asked for beside the engine's: attempts would multiply, so the engine lets gRPC have no "
     "policy; give a service config to the client instead",
     "gRFC A6, grpc/proposal#12",
     [](subject const& of) { return asks_for_grpc_retries(of.pool) && !of.pool.stub_calls; }},
    {"pool_params.channel_args",
     "a retryPolicy for calls of stubs, which gRPC heeds in the engine's own calls too: each of their attempts is "
     "retried, unseen, so they multiply; give one of the two a pool of its own, or set "
     "client_params.retry.max_attempts "
     "to 1",
     "gRFC A6, grpc/proposal#12", [](subject const& of) { return keeps_grpc_retries(of.pool) && retries(of); }},
    {"pool_params.channel_args",
     "grpc.minimal_stack, which the parameters do not ask for: on the channels of leases and stubs nobody enforces "
     "deadlines and message sizes",
     "", [](subject const& of) { return leaves_out_filters(of.pool); }},
    {"pool_params.channel_args",
     "a balancing policy for gRPC: a channel then has a connection to each address of its name, and a slot is no "
     "longer one connection, of which the pool knows the load, the age and the health; use pool_params.balance",
     "", [](subject const& of) { return balances_within_a_channel(of.pool); }},
    {"pool_params.channel_args",
     "grpc.http2.max_pings_without_data: more than two pings without data between them are what servers close "
     "connections for",
     "grpc#33661",
     [](subject const& of) {
       int const most = integer(of.pool, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA).value_or(2);
       return most == 0 || most > 2;
     }},
    {"pool_params.channel_args",
     "a socket mutator of your own: coalescing puts its own in that place, where it can; set pool_params.cork to false",
     "", [](subject const& of) { return of.pool.cork && argument(of.pool, GRPC_ARG_SOCKET_MUTATOR) != nullptr; }},
    {"client_params.default_timeout",
     "a call that sets no timeout of its own waits longer than ten minutes: on a connection that has silently died, "
     "that is how "
     "long it hangs",
     "grpc#14717", [](subject const& of) { return of.client.default_timeout > 10min; }},
    {"pool_params.slot.dial_timeout",
     "less than a second: a TLS handshake that takes longer never succeeds, however often it is dialed", "grpc#33593",
     [](subject const& of) { return of.pool.slot.dial_timeout < 1s; }},
    {"pool_params.slot.backoff.max",
     "less than a second: a server that restarts is dialed by all its clients more than once a second, and has "
     "handshakes to do "
     "instead of calls",
     "grpc#33593", [](subject const& of) { return of.pool.slot.backoff.max < 1s; }},
    {"pool_params.slot.backoff.jitter", "0: all clients of a server that restarts come back at the same moments",
     "gRPC's doc/connection-backoff.md", [](subject const& of) { return of.pool.slot.backoff.jitter == 0; }},
    {"pool_params.channel_args",
     "keepalive more often than every 10 s: servers allow a ping in 5 minutes unless told otherwise, and close the "
     "connection "
     "with too_many_pings (ENHANCE_YOUR_CALM)",
     "grpc#33661",
     [](subject const& of) {
       int const time = integer(of.pool, GRPC_ARG_KEEPALIVE_TIME_MS).value_or(0);
       return time > 0 && time < 10'000;
     }},
    {"pool_params.keepalive.time",
     "more often than every 10 s: servers allow a ping in 5 minutes unless told otherwise, and close the connection "
     "with "
     "too_many_pings (ENHANCE_YOUR_CALM)",
     "grpc#33661",
     [](subject const& of) {
       bool const heeded = argument(of.pool, GRPC_ARG_KEEPALIVE_TIME_MS) == nullptr;
       return heeded && of.pool.keepalive.time > duration::zero() && of.pool.keepalive.time < 10s;
     }},
    {"pool_params.keepalive.without_calls", "servers close such connections with too_many_pings unless they permit it",
     "grpc#33661", [](subject const& of) { return of.pool.keepalive.without_calls; }},
    {"pool_params.channel_args",
     "keepalive without calls: servers close such connections with too_many_pings unless they permit it", "grpc#33661",
     [](subject const& of) { return integer(of.pool, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS).value_or(0) != 0; }},
    {"pool_params.max_calls_per_slot",
     "more than the 100 streams that servers commonly allow: the calls beyond wait inside gRPC, where no limit, "
     "deadline or "
     "metric of the pool sees them",
     "grpc#21386", [](subject const& of) { return of.pool.max_calls_per_slot > 100; }},
    {"pool_params.max_waiting",
     "0: a call that finds every connection full fails at once, also while a connection is being made", "",
     [](subject const& of) { return of.pool.max_waiting == 0; }},
    {"pool_params.max_wait", "not less than client_params.default_timeout: calls end by their deadline before it", "",
     [](subject const& of) {
       return of.pool.max_wait > duration::zero() && of.pool.max_wait >= of.client.default_timeout;
     }},
    {"client_params.hedging",
     "pool_params.balance is pick_first, which has one endpoint: a hedge goes to the server that is late", "",
     [](subject const& of) { return of.client.hedging && has_one_endpoint(of.pool); }},
    {"client_params.methods",
     "a method has a hedging policy, and pool_params.balance is pick_first, which has one endpoint: a hedge goes to "
     "the server that is late",
     "", [](subject const& of) { return hedges_a_method(of.client) && has_one_endpoint(of.pool); }},
    {"client_params.retry.initial_backoff",
     "not less than client_params.default_timeout: no retry is made in time unless a call asks for more", "gRFC A6",
     [](subject const& of) { return retries(of) && of.client.retry.initial_backoff >= of.client.default_timeout; }},
    {"pool_params.budget",
     "percent and min_per_second are 0: no retry is ever paid for, whatever client_params.retry says", "",
     [](subject const& of) { return retries(of) && never_pays(of.pool.budget); }},
    {"client_params.hedging",
     "nothing is declared idempotent, neither the client nor a method: only calls that say so themselves "
     "(call_options::idempotent) are hedged",
     "gRFC A6, grpc-go#2823", [](subject const& of) { return of.client.hedging && !declares_idempotent(of.client); }},
    {"client_params.methods",
     "a method has a hedging policy and is not declared idempotent: only its calls that say so themselves "
     "(call_options::idempotent) are hedged",
     "gRFC A6, grpc-go#2823", [](subject const& of) { return hedges_undeclared(of.client); }},
    {"client_params.hedging", "the pool's budget has percent and min_per_second 0: no hedge is ever paid for", "",
     [](subject const& of) { return of.client.hedging && never_pays(of.pool.budget); }},
    {"pool_params.budget.percent", "more than 1: in an outage, retries more than double the load", "gRFC A6",
     [](subject const& of) { return retries(of) && of.pool.budget.percent > 1; }},
};

config_lint in_vain(channel_argument const& one) {
  std::string reason =
      one.key + " = " + *one.unheeded + " is not heeded: the engine sets " + one.value.value_or("none");
  if (!one.parameter.empty()) reason.append("; see pool_params.").append(one.parameter);
  return {"pool_params.channel_args", std::move(reason), ""};
}

}  // namespace

std::vector<config_lint> lints_of(pool_params const& pool, client_params const& client) {
  std::vector<config_lint> found;
  for (rule const& one : rules) {
    if (!one.applies({pool, client})) continue;
    found.push_back({std::string(one.path), std::string(one.reason), std::string(one.reference)});
  }
  for (channel_argument const& one : channel_arguments_of(pool)) {
    bool const told = one.key == GRPC_ARG_ENABLE_RETRIES && asks_for_grpc_retries(pool);
    if (one.unheeded && !told) found.push_back(in_vain(one));
  }
  return found;
}

}  // namespace millrace::config::impl
