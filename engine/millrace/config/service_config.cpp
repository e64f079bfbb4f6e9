// SPDX-License-Identifier: Apache-2.0
#include <millrace/config/service_config.hpp>

#include <millrace/balance/least_request.hpp>
#include <millrace/balance/ring_hash.hpp>
#include <millrace/call/options.hpp>
#include <millrace/config/impl/published.hpp>
#include <millrace/config/impl/text.hpp>
#include <millrace/pool/params.hpp>

#include <google/protobuf/util/time_util.h>
#include <millrace_service_config.pb.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace millrace {
namespace {

using config::impl::joined;
using config::impl::json;
using config::impl::refuse;
using config::impl::refuse_value;
using published::MethodConfig;

std::string indexed(std::string_view path, int at) { return std::string(path) + '[' + std::to_string(at) + ']'; }

// with no bound from above but that of the engine's clock
duration read(google::protobuf::Duration const& value, std::string const& path, bool zero_is_allowed) {
  constexpr auto longest = std::chrono::duration_cast<std::chrono::seconds>(duration::max()).count() - 1;
  if (value.seconds() > longest) return duration::max();
  bool const negative = value.seconds() < 0 || value.nanos() < 0;
  bool const zero = value.seconds() == 0 && value.nanos() == 0;
  if (negative || (zero && !zero_is_allowed)) {
    refuse(path, google::protobuf::util::TimeUtil::ToString(value),
           zero_is_allowed ? "a duration of at least \"0s\"" : "a duration of more than \"0s\"");
  }
  return std::chrono::seconds(value.seconds()) + std::chrono::nanoseconds(value.nanos());
}

// gRFC A6 spreads a wait over 0 to the backoff; gRPC has since taken the ± 20 % of its connection backoff
constexpr double jitter = 0.2;

status_code_set read_codes(auto const& from, std::string const& path) {
  status_code_set codes;
  for (int at = 0; at < from.size(); ++at) {
    int const code = from.Get(at);
    if (code < 1 || code >= status_code_count) refuse(indexed(path, at), std::to_string(code), "gRPC's codes but OK");
    codes.insert(static_cast<status_code>(code));
  }
  return codes;
}

retry::retry_policy read(MethodConfig::RetryPolicy const& from, std::string const& path) {
  retry::retry_policy policy{.jitter = jitter, .retryable = {}};
  if (from.max_attempts() < 2) {
    refuse(joined(path, "maxAttempts"), std::to_string(from.max_attempts()), "a whole number of at least 2");
  }
  policy.max_attempts = std::min(from.max_attempts(), retry::most_attempts);
  policy.initial_backoff = read(from.initial_backoff(), joined(path, "initialBackoff"), false);
  policy.max_backoff = read(from.max_backoff(), joined(path, "maxBackoff"), false);
  policy.initial_backoff = std::min(policy.initial_backoff, policy.max_backoff);  // as every wait in gRPC
  policy.multiplier = from.backoff_multiplier();
  if (!(policy.multiplier > 0) || std::isinf(policy.multiplier)) {
    refuse_value(joined(path, "backoffMultiplier"), json(policy.multiplier), "a number of more than 0");
  }
  policy.retryable = read_codes(from.retryable_status_codes(), joined(path, "retryableStatusCodes"));
  if (policy.retryable.empty()) refuse(joined(path, "retryableStatusCodes"), "an empty list", "at least one code");
  return policy;
}

retry::hedging_policy read(MethodConfig::HedgingPolicy const& from, std::string const& path) {
  retry::hedging_policy policy{.delay = duration::zero(), .non_fatal = {}};
  if (from.max_attempts() < 2) {
    refuse(joined(path, "maxAttempts"), std::to_string(from.max_attempts()), "a whole number of at least 2");
  }
  policy.max_attempts = std::min(from.max_attempts(), retry::most_attempts);
  if (from.has_hedging_delay()) policy.delay = read(from.hedging_delay(), joined(path, "hedgingDelay"), true);
  policy.non_fatal = read_codes(from.non_fatal_status_codes(), joined(path, "nonFatalStatusCodes"));
  return policy;
}

method_config read(MethodConfig const& from, std::string const& path) {
  method_config config;
  if (from.has_timeout()) config.timeout = read(from.timeout(), joined(path, "timeout"), true);
  if (from.has_wait_for_ready()) config.wait_for_ready = from.wait_for_ready().value();
  if (from.has_max_request_message_bytes()) config.max_request_bytes = from.max_request_message_bytes().value();
  if (from.has_max_response_message_bytes()) config.max_response_bytes = from.max_response_message_bytes().value();
  if (from.has_retry_policy()) config.retry = read(from.retry_policy(), joined(path, "retryPolicy"));
  if (from.has_hedging_policy()) {
    config.hedging = read(from.hedging_policy(), joined(path, "hedgingPolicy"));
    // who asks for hedges says that the methods may run more than once (gRFC A6)
    config.idempotent = true;
  }
  return config;
}

std::shared_ptr<method_table const> read_methods(published::ServiceConfig const& from) {
  auto table = std::make_shared<method_table>();
  for (int at = 0; at < from.method_config_size(); ++at) {
    MethodConfig const& one = from.method_config(at);
    std::string const path = indexed("methodConfig", at);
    method_config const config = read(one, path);
    for (int each = 0; each < one.name_size(); ++each) {
      auto const& name = one.name(each);
      std::string const where = indexed(joined(path, "name"), each);
      std::string const shown = '"' + name.service() + '/' + name.method() + '"';
      if (name.service().empty() && !name.method().empty()) refuse(where, shown, "a method only with its service");
      if (!table->add(name.service(), name.method(), config)) refuse(where, shown, "each name once");
    }
  }
  return table;
}

retry::throttle_params read(published::ServiceConfig::RetryThrottlingPolicy const& from) {
  if (from.max_tokens() < 1 || from.max_tokens() > 1000) {
    refuse("retryThrottling.maxTokens", std::to_string(from.max_tokens()), "a whole number from 1 to 1000");
  }
  if (!(from.token_ratio() >= 0.001F) || std::isinf(from.token_ratio())) {
    refuse_value("retryThrottling.tokenRatio", json(from.token_ratio()), "a number of at least 0.001");
  }
  return {.max_tokens = from.max_tokens(), .token_ratio = from.token_ratio()};
}

service_config::ring_sizes read(published::RingHashLoadBalancingConfig const& from, std::string const& path) {
  constexpr std::uint64_t most = std::uint64_t{8} << 20;
  service_config::ring_sizes sizes;
  if (from.min_ring_size() != 0) sizes.min = from.min_ring_size();
  if (from.max_ring_size() != 0) sizes.max = from.max_ring_size();
  if (sizes.max > most) {
    refuse(joined(path, "maxRingSize"), std::to_string(sizes.max), "a whole number from 1 to " + std::to_string(most));
  }
  if (sizes.min > sizes.max) {
    refuse(joined(path, "minRingSize"), std::to_string(sizes.min), "at most maxRingSize, " + std::to_string(sizes.max));
  }
  return sizes;
}

unsigned read(published::LeastRequestLocalityLoadBalancingPolicyConfig const& from, std::string const& path) {
  if (from.choice_count() == 1) refuse(joined(path, "choiceCount"), "1", "a whole number of at least 2");
  // gRFC A48: more than 10 is taken for 10
  return from.choice_count() == 0 ? balance::least_request::fewest_choices
                                  : static_cast<unsigned>(std::min<std::uint64_t>(from.choice_count(), 10));
}

// the one entry that is left of the list
void read_balance(published::ServiceConfig const& from, service_config& into) {
  using published::LoadBalancingConfig;
  for (int at = 0; at < from.load_balancing_config_size(); ++at) {
    auto const& one = from.load_balancing_config(at);
    std::string const path = indexed("loadBalancingConfig", at);
    switch (one.policy_case()) {
      case LoadBalancingConfig::POLICY_NOT_SET: break;
      case LoadBalancingConfig::kPickFirst: into.balance = "pick_first"; break;
      case LoadBalancingConfig::kRoundRobin: into.balance = "round_robin"; break;
      case LoadBalancingConfig::kRingHashExperimental:
        into.balance = "ring_hash";
        into.ring = read(one.ring_hash_experimental(), joined(path, "ring_hash_experimental"));
        break;
      case LoadBalancingConfig::kLeastRequestExperimental:
        into.balance = "least_request";
        into.choice_count = read(one.least_request_experimental(), joined(path, "least_request_experimental"));
        break;
    }
  }
}

// the deprecated way: any policy's name in gRPC, and in any case
void read_old_balance(std::optional<std::string> const& name, service_config& into) {
  if (!name || into.balance) return;
  std::string lower = *name;
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::pair<std::string_view, std::string_view> known[] = {{"round_robin", "round_robin"},
                                                                     {"pick_first", "pick_first"},
                                                                     {"ring_hash_experimental", "ring_hash"},
                                                                     {"least_request_experimental", "least_request"}};
  auto const found = std::ranges::find(known, lower, &std::pair<std::string_view, std::string_view>::first);
  if (found == std::end(known)) {
    refuse_value("loadBalancingPolicy", json(*name),
                 "round_robin, pick_first, least_request_experimental, ring_hash_experimental");
  }
  into.balance = std::string(found->second);
}

std::uint64_t seed() { return (std::uint64_t{std::random_device{}()} << 32U) | std::random_device{}(); }

}  // namespace

service_config service_config::from_json(std::string_view text) {
  published::ServiceConfig parsed;
  auto const others = config::impl::parse_published(text, parsed);
  service_config made;
  for (std::string const& path : others.unknown) made.unused.push_back({path, "the engine does not know this field"});
  read_balance(parsed, made);
  read_old_balance(others.load_balancing_policy, made);
  made.methods = read_methods(parsed);
  if (parsed.has_retry_throttling()) made.retry_throttling = read(parsed.retry_throttling());
  auto const& health = parsed.health_check_config();
  if (health.has_service_name()) made.health_service = health.service_name().value();
  return made;
}

void service_config::apply_to(pool_params& pool) const {
  if (health_service && !pool.health_check) pool.health_check = {.service = *health_service};
  if (!balance || pool.make_picker) return;
  pool.balance = *balance;
  // by name unless it must be made otherwise: the pool tells ring_hash how many endpoints there are
  if (*balance == balance::ring_hash::name && ring != ring_sizes{}) {
    pool.make_picker = [sizes = ring] {
      return balance::any_picker(balance::ring_hash(seed(), {.min_ring_size = sizes.min, .max_ring_size = sizes.max}));
    };
  } else if (*balance == balance::least_request::name && choice_count != balance::least_request::fewest_choices) {
    pool.make_picker = [choices = choice_count] {
      return balance::any_picker(balance::least_request(seed(), choices));
    };
  }
}

void service_config::apply_to(client_params& client) const {
  client.methods = methods;
  client.retry_throttling = retry_throttling;
}

}  // namespace millrace
