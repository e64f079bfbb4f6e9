// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/options.hpp>
#include <millrace/config/explain.hpp>
#include <millrace/config/json.hpp>

#include <support/catch.hpp>

#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <limits>
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
  CHECK_FALSE(
      warns({.channel_args = arguments("grpc.keepalive_time_ms", 0)}, {}, "pool_params.channel_args", "grpc#33661"));
  CHECK(warns({.channel_args = arguments("grpc.keepalive_permit_without_calls", 1)}, {}, "pool_params.channel_args",
              "grpc#33661"));
  auto with_config = std::make_shared<grpc::ChannelArguments>();
  with_config->SetServiceConfigJSON(R"({"methodConfig":[{"retryPolicy":{}}]})");
  CHECK(warns({.channel_args = with_config}, {}, "pool_params.channel_args", "gRFC A6, grpc/proposal#12"));
  CHECK(warns({.keepalive = {.time = 9'999ms}}, {}, "pool_params.keepalive.time", "grpc#33661"));
  CHECK_FALSE(warns({.keepalive = {.time = 0ms}}, {}, "pool_params.keepalive.time", "grpc#33661"));
  CHECK_FALSE(warns({.keepalive = {.time = 5s}, .channel_args = arguments("grpc.keepalive_time_ms", 60'000)}, {},
                    "pool_params.keepalive.time", "grpc#33661"));
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
  auto const methods = std::make_shared<method_table>();
  methods->add("s", "plain", {.idempotent = true});
  CHECK_FALSE(warns({.balance = "pick_first"}, {.methods = methods}, "client_params.methods", ""));
  methods->add("s", "hedged", {.hedging = retry::hedging_policy{}, .idempotent = true});
  CHECK(warns({.balance = "pick_first"}, {.methods = methods}, "client_params.methods", ""));
  CHECK_FALSE(warns({.balance = "round_robin"}, {.methods = methods}, "client_params.methods", ""));
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

namespace {

std::string note_of(config_report const& report, std::string const& path) { return value_of(report, path).note; }

// those that name it
std::size_t lints_about(pool_params const& pool, std::string_view what) {
  auto const lints = explain_config(pool, {}).lints;
  return static_cast<std::size_t>(std::ranges::count_if(lints, [&](config_lint const& one) {
    return one.path == "pool_params.channel_args" && one.reason.find(what) != std::string::npos;
  }));
}

}  // namespace

TEST_CASE("explain: the channels' arguments are listed, with the parameters that they are made of", "[config]") {
  auto const report = explain_config({.keepalive = {.time = 45s}}, {});
  is(report, "channel grpc.keepalive_time_ms", "45000", config_source::engine);
  CHECK(note_of(report, "channel grpc.keepalive_time_ms") == "pool_params.keepalive.time");
  CHECK(note_of(report, "pool_params.keepalive.time").empty());
  is(report, "channel grpc.minimal_stack", "1", config_source::engine);
  is(report, "channel grpc.enable_retries", "0", config_source::engine);
  is(report, "channel grpc.use_local_subchannel_pool", "1", config_source::engine);
  is(explain_config({.transparent_retry = transparent_retry::core}, {}), "channel grpc.enable_retries", "1",
     config_source::engine);
  is(explain_config({.max_response_bytes = 9, .stub_calls = true}, {}), "channel grpc.max_receive_message_length", "9",
     config_source::engine);
}

TEST_CASE("explain: an argument of the user's that wins says so, and so does the parameter that loses", "[config]") {
  auto const args = arguments("grpc.keepalive_time_ms", 20'000);
  args->SetInt("grpc.enable_channelz", 1);
  args->SetInt("grpc.max_concurrent_streams", 7);
  auto const report = explain_config({.channel_args = args}, {});
  is(report, "channel grpc.keepalive_time_ms", "20000", config_source::code);
  CHECK(note_of(report, "channel grpc.keepalive_time_ms") == "the engine's is 30000");
  is(report, "pool_params.keepalive.time", "30s", config_source::by_default);
  CHECK(note_of(report, "pool_params.keepalive.time") == "channel_args win: grpc.keepalive_time_ms = 20000");
  CHECK(note_of(report, "pool_params.keepalive.timeout").empty());
  is(report, "channel grpc.enable_channelz", "1", config_source::code);
  is(report, "channel grpc.max_concurrent_streams", "7", config_source::code);
  CHECK(note_of(report, "channel grpc.max_concurrent_streams").empty());
  CHECK(to_string(report).find("(channel_args win: grpc.keepalive_time_ms = 20000)\n") != std::string::npos);
}

TEST_CASE("explain: keepalive that the user's arguments turn off is off, and no question", "[config]") {
  for (int const off : {0, std::numeric_limits<int>::max()}) {
    INFO(off);
    auto const report = explain_config({.channel_args = arguments("grpc.keepalive_time_ms", off)}, {});
    is(report, "channel grpc.keepalive_time_ms", "none", config_source::code);
    CHECK(note_of(report, "channel grpc.keepalive_time_ms") == "the engine's is 30000");
    CHECK(note_of(report, "pool_params.keepalive.time") == "channel_args win: grpc.keepalive_time_ms = none");
    CHECK(report.lints.empty());
  }
}

TEST_CASE("explain: an argument of the user's that is not heeded is listed as such, and questioned", "[config]") {
  for (char const* const key :
       {"grpc.max_receive_message_length", "grpc.max_send_message_length", "grpc.initial_reconnect_backoff_ms",
        "grpc.max_reconnect_backoff_ms", "grpc.min_reconnect_backoff_ms", "grpc.client_idle_timeout_ms",
        "grpc.use_local_subchannel_pool"}) {
    pool_params const pool{.channel_args = arguments(key, 77)};
    auto const report = explain_config(pool, {});
    auto const found = value_of(report, std::string("channel ") + key);
    INFO(key);
    CHECK(found.from == config_source::engine);
    CHECK(found.value != "77");
    CHECK(found.note == "channel_args ask for 77 in vain");
    CHECK(lints_about(pool, std::string(key) + " = 77 is not heeded") == 1);
  }
  // what the engine sets itself is no question
  CHECK(explain_config({.channel_args = arguments("grpc.use_local_subchannel_pool", 1)}, {}).lints.empty());
  // once, by its own rule
  CHECK(explain_config({.channel_args = arguments("grpc.enable_retries", 1)}, {}).lints.size() == 1);
  CHECK(lints_about({.transparent_retry = transparent_retry::core, .channel_args = arguments("grpc.enable_retries", 0)},
                    "grpc.enable_retries = 0 is not heeded") == 1);
}

TEST_CASE("explain: arguments that break what a pool promises are questioned", "[config]") {
  auto const minimal = arguments("grpc.minimal_stack", 1);
  CHECK(lints_about({.stub_calls = true, .channel_args = minimal}, "nobody enforces") == 1);
  CHECK(lints_about({.minimal_stack = false, .channel_args = minimal}, "nobody enforces") == 1);
  CHECK(lints_about({.channel_args = minimal}, "nobody enforces") == 0);
  auto const balances = [](char const* key, std::string const& value) {
    auto args = std::make_shared<grpc::ChannelArguments>();
    args->SetString(key, value);
    return lints_about({.channel_args = args}, "no longer one connection");
  };
  CHECK(balances("grpc.lb_policy_name", "round_robin") == 1);
  CHECK(balances("grpc.lb_policy_name", "pick_first") == 0);
  CHECK(balances("grpc.service_config", R"({"loadBalancingConfig": [{"round_robin": {}}]})") == 1);
  CHECK(balances("grpc.service_config", "{}") == 0);
  for (int const pings : {0, 3}) {
    CHECK(lints_about({.channel_args = arguments("grpc.http2.max_pings_without_data", pings)}, "two pings") == 1);
  }
  CHECK(lints_about({.channel_args = arguments("grpc.http2.max_pings_without_data", 2)}, "two pings") == 0);
  static int anything = 0;
  auto mutator = std::make_shared<grpc::ChannelArguments>();
  mutator->SetPointer("grpc.socket_mutator", &anything);
  CHECK(lints_about({.channel_args = mutator}, "socket mutator") == 1);
  CHECK(lints_about({.cork = false, .channel_args = mutator}, "socket mutator") == 0);
}
