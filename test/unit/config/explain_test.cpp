// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/options.hpp>
#include <millrace/config/explain.hpp>
#include <millrace/config/json.hpp>

#include <support/catch.hpp>

#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

config_value value_of(config_report const& report, std::string const& path) {
  auto const found = std::ranges::find(report.values, path, &config_value::path);
  INFO(path);
  REQUIRE(found != report.values.end());
  return *found;
}

void is(config_report const& report, std::string const& path, std::string const& value, config_source from) {
  config_value const found = value_of(report, path);
  CHECK(found.value == value);
  CHECK(to_string(found.from) == to_string(from));
}

bool warns(pool_params const& pool, client_params const& client, std::string const& path,
           std::string const& reference) {
  auto const lints = explain_config(pool, client).lints;
  INFO(path);
  return std::ranges::any_of(lints, [&](config_lint const& one) {
    return one.path == path && one.reference == reference && !one.reason.empty();
  });
}

std::shared_ptr<grpc::ChannelArguments> arguments(char const* key, int value) {
  auto args = std::make_shared<grpc::ChannelArguments>();
  args->SetInt(key, value);
  return args;
}

}  // namespace

TEST_CASE("explain: each value says where it comes from", "[config]") {
  constexpr std::string_view text =
      R"({"min_slots": 2, "slot": {"backoff": {"initial": "0.25s"}}, "max_waiting": 10000})";
  pool_params pool = pool_params::from_json(text);
  pool.target = "a:1";
  auto const service = service_config::from_json(
      R"({"loadBalancingPolicy": "pick_first", "methodConfig": [{"name": [{"service": "s"}], "timeout": "2s"}]})");
  client_params client{.default_timeout = 3s};
  service.apply_to(pool);
  service.apply_to(client);
  auto const report = explain_config(pool, client, {.pool_json = text, .service = &service});
  is(report, "pool_params.min_slots", "2", config_source::json);
  is(report, "pool_params.slot.backoff.initial", "250ms", config_source::json);
  is(report, "pool_params.max_waiting", "10000", config_source::json);
  is(report, "pool_params.slot.backoff.max", "10s", config_source::by_default);
  is(report, "pool_params.target", "a:1", config_source::code);
  is(report, "pool_params.credentials", "none", config_source::by_default);
  is(report, "pool_params.balance", "pick_first", config_source::service);
  is(report, "client_params.default_timeout", "3s", config_source::code);
  is(report, "client_params.methods", "set", config_source::service);
  is(report, "method /s/ timeout", "2s", config_source::service);

  pool.min_slots = 3;
  is(explain_config(pool, client, {.pool_json = text}), "pool_params.min_slots", "3", config_source::code);
}

TEST_CASE("explain: what is usual is not questioned", "[config]") {
  for (auto const& one : explain_config({}, {}).lints) FAIL_CHECK(one.path << ": " << one.reason);
}

TEST_CASE("explain: what is questionable is said, with who met it", "[config]") {
  CHECK(warns({.channel_args = arguments("grpc.enable_retries", 1)}, {}, "pool_params.channel_args",
              "gRFC A6, grpc/proposal#12"));
  CHECK_FALSE(warns({.channel_args = arguments("grpc.enable_retries", 0)}, {}, "pool_params.channel_args",
                    "gRFC A6, grpc/proposal#12"));
  CHECK(warns({.channel_args = arguments("grpc.keepalive_time_ms", 9'999)}, {}, "pool_params.channel_args",
              "grpc#33661"));
  CHECK_FALSE(warns({.channel_args = arguments("grpc.keepalive_time_ms", 10'000)}, {}, "pool_params.channel_args",
                    "grpc#33661"));
  CHECK(warns({.channel_args = arguments("grpc.keepalive_permit_without_calls", 1)}, {}, "pool_params.channel_args",
              "grpc#33661"));
  auto with_config = std::make_shared<grpc::ChannelArguments>();
  with_config->SetServiceConfigJSON(R"({"methodConfig":[{"retryPolicy":{}}]})");
  CHECK(warns({.channel_args = with_config}, {}, "pool_params.channel_args", "gRFC A6, grpc/proposal#12"));
  CHECK(warns({.keepalive = {.time = 9'999ms}}, {}, "pool_params.keepalive.time", "grpc#33661"));
  CHECK_FALSE(warns({.keepalive = {.time = 0ms}}, {}, "pool_params.keepalive.time", "grpc#33661"));
  CHECK(warns({.keepalive = {.without_calls = true}}, {}, "pool_params.keepalive.without_calls", "grpc#33661"));
  CHECK(warns({.slot = {.dial_timeout = 999ms}}, {}, "pool_params.slot.dial_timeout", "grpc#33593"));
  CHECK(warns({.slot = {.backoff = {.max = 999ms}}}, {}, "pool_params.slot.backoff.max", "grpc#33593"));
  CHECK(warns({.slot = {.backoff = {.jitter = 0}}}, {}, "pool_params.slot.backoff.jitter",
              "gRPC's doc/connection-backoff.md"));
  CHECK(warns({.max_calls_per_slot = 101}, {}, "pool_params.max_calls_per_slot", "grpc#21386"));
  CHECK(warns({.max_waiting = 0}, {}, "pool_params.max_waiting", ""));
  CHECK(warns({.max_wait = 15s}, {}, "pool_params.max_wait", ""));
  client_params const hedged{.hedging = retry::hedging_policy{}, .idempotent = true};
  CHECK(warns({.balance = "pick_first"}, hedged, "client_params.hedging", ""));
  CHECK_FALSE(warns({.balance = "round_robin"}, hedged, "client_params.hedging", ""));
  CHECK(warns({.budget = {.percent = 0, .min_per_second = 0}}, {}, "pool_params.budget", ""));
  CHECK_FALSE(
      warns({.budget = {.percent = 0, .min_per_second = 0}}, {.retry = {.max_attempts = 1}}, "pool_params.budget", ""));
  CHECK(warns({.budget = {.percent = 1.5}}, {}, "pool_params.budget.percent", "gRFC A6"));
  CHECK(warns({}, {.default_timeout = 1h}, "client_params.default_timeout", "grpc#14717"));
  CHECK(warns({}, {.default_timeout = 50ms}, "client_params.retry.initial_backoff", "gRFC A6"));
}

TEST_CASE("explain: a retry policy for stubs that the engine's calls would multiply is questioned", "[config]") {
  auto args = std::make_shared<grpc::ChannelArguments>();
  args->SetServiceConfigJSON(R"({"methodConfig":[{"retryPolicy":{}}]})");
  auto const questioned = [&](client_params const& client) {
    auto const lints = explain_config({.stub_calls = true, .channel_args = args}, client).lints;
    return std::ranges::any_of(
        lints, [](auto const& one) { return one.reason.starts_with("a retryPolicy for calls of stubs"); });
  };
  CHECK(questioned({}));
  CHECK_FALSE(questioned({.retry = {.max_attempts = 1}}));
  args->SetInt("grpc.enable_retries", 0);
  CHECK_FALSE(questioned({}));
  CHECK_FALSE(warns({.stub_calls = true}, {}, "pool_params.channel_args", "gRFC A6, grpc/proposal#12"));
}

TEST_CASE("explain: hedging that nothing is declared idempotent for is questioned", "[config]") {
  client_params client{.hedging = retry::hedging_policy{}};
  CHECK(warns({}, client, "client_params.hedging", "gRFC A6, grpc-go#2823"));
  client.idempotent = true;
  CHECK_FALSE(warns({}, client, "client_params.hedging", "gRFC A6, grpc-go#2823"));
  pool_params const poor{.budget = {.percent = 0, .min_per_second = 0}};
  CHECK(warns(poor, client, "client_params.hedging", ""));

  client.idempotent = false;
  auto const methods = std::make_shared<method_table>();
  methods->add("s", "hedged", {.hedging = retry::hedging_policy{}});
  client.methods = methods;
  CHECK(warns({}, client, "client_params.methods", "gRFC A6, grpc-go#2823"));
  methods->add("s", "declared", {.idempotent = true});
  CHECK_FALSE(warns({}, client, "client_params.hedging", "gRFC A6, grpc-go#2823"));
  CHECK(warns({}, client, "client_params.methods", "gRFC A6, grpc-go#2823"));
}

TEST_CASE("explain: a method's hedging is accounted for", "[config]") {
  auto const service = service_config::from_json(
      R"({"methodConfig": [{"name": [{"service": "s"}], "hedgingPolicy": {"maxAttempts": 3, "hedgingDelay": "0.5s"}}]})");
  client_params client;
  service.apply_to(client);
  auto const report = explain_config({}, client, {.service = &service});
  is(report, "method /s/ hedging.max_attempts", "3", config_source::service);
  is(report, "method /s/ hedging.delay", "500ms", config_source::service);
  is(report, "method /s/ idempotent", "true", config_source::service);
  CHECK(report.lints.empty());
}

TEST_CASE("explain: the text has a line for each value, lint and unused field", "[config]") {
  auto const service = service_config::from_json(R"({"xds": {}})");
  auto const report = explain_config({.max_calls_per_slot = 200}, {}, {.service = &service});
  std::string const text = to_string(report);
  CHECK_THAT(text, Catch::Contains("pool_params.max_calls_per_slot") && Catch::Contains("unused: xds: ") &&
                       Catch::Contains("lint: pool_params.max_calls_per_slot: more than the 100 streams") &&
                       Catch::Contains("(grpc#21386)\n"));
  auto const lines = static_cast<std::size_t>(std::ranges::count(text, '\n'));
  CHECK(lines == report.values.size() + report.lints.size() + report.unused.size());
}
