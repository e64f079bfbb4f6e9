// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/options.hpp>
#include <millrace/config/service_config.hpp>
#include <millrace/pool/params.hpp>

#include <support/catch.hpp>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include <millrace/base/rng.hpp>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

// what gRFC A6 and doc/service_config.md show, together
constexpr char const* complete = R"({
  "loadBalancingConfig": [{"weighted_target_experimental": {"targets": {}}}, {"round_robin": {}}],
  "healthCheckConfig": {"serviceName": "echo"},
  "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
  "methodConfig": [
    {"name": [{}], "timeout": "20s"},
    {"name": [{"service": "a.Echo"}], "waitForReady": true, "timeout": "1.5s"},
    {"name": [{"service": "a.Echo", "method": "Say"}, {"service": "b.Other"}],
     "maxRequestMessageBytes": 0, "maxResponseMessageBytes": 1024,
     "retryPolicy": {"maxAttempts": 4, "initialBackoff": ".1s", "maxBackoff": "1s", "backoffMultiplier": 2,
                     "retryableStatusCodes": ["UNAVAILABLE", "aborted", 4]}}
  ]})";

std::string refusal(std::string const& text) {
  try {
    static_cast<void>(service_config::from_json(text));
  } catch (std::invalid_argument const& error) {
    return error.what();
  }
  return "accepted";
}

std::string method(std::string const& fields) {
  return R"({"methodConfig": [{"name": [{"service": "s"}], )" + fields + "}]}";
}

std::string with_retry(std::string const& change, std::string const& to) {
  std::string text =
      R"("retryPolicy": {"maxAttempts": 2, "initialBackoff": "1s", "maxBackoff": "1s", "backoffMultiplier": 1, "retryableStatusCodes": [14]})";
  auto const at = text.find(change);
  REQUIRE(at != text.npos);
  return method(text.replace(at, change.size(), to));
}

}  // namespace

TEST_CASE("service config: a retry policy that gRPC takes is one that clients take", "[config]") {
  auto const config = service_config::from_json(method(
      R"("retryPolicy": {"maxAttempts": 9, "initialBackoff": "3s", "maxBackoff": "1s", "backoffMultiplier": 0.5, "retryableStatusCodes": [14]})"));
  client_params params;
  config.apply_to(params);
  auto const& policy = params.methods->find("/s/m")->retry;
  REQUIRE(policy);
  CHECK(policy->initial_backoff == 1s);
  CHECK(policy->multiplier == 0.5);
  CHECK(policy->max_attempts == retry::most_attempts);
  CHECK_NOTHROW(validate(*policy, "retry"));
}

TEST_CASE("service config: gRPC's own examples are understood", "[config]") {
  auto const config = service_config::from_json(complete);
  CHECK(config.balance == "round_robin");
  CHECK(config.health_service == "echo");
  REQUIRE(config.retry_throttling);
  CHECK(config.retry_throttling->max_tokens == 10);
  CHECK(config.retry_throttling->token_ratio == Approx(0.1));
  CHECK(config.unused.empty());

  method_config const* const say = config.methods->find("/a.Echo/Say");
  REQUIRE(say != nullptr);
  CHECK_FALSE(say->timeout);
  CHECK_FALSE(say->wait_for_ready);
  CHECK(say->max_request_bytes == 0u);
  CHECK(say->max_response_bytes == 1024u);
  REQUIRE(say->retry);
  CHECK(say->retry->max_attempts == 4);
  CHECK(say->retry->initial_backoff == 100ms);
  CHECK(say->retry->max_backoff == 1s);
  CHECK(say->retry->multiplier == 2);
  CHECK(say->retry->retryable ==
        status_code_set{status_code::unavailable, status_code::aborted, status_code::deadline_exceeded});
}

TEST_CASE("service config: the most specific entry is a method's", "[config]") {
  auto const methods = service_config::from_json(complete).methods;
  CHECK(methods->find("/b.Other/Any")->max_response_bytes == 1024u);
  CHECK(methods->find("/a.Echo/Other")->timeout == 1500ms);
  CHECK(methods->find("/a.Echo/Other")->wait_for_ready == true);
  CHECK(methods->find("/a.Ech/Other")->timeout == 20s);
  CHECK(methods->find("/c.None/Any")->timeout == 20s);
  CHECK(service_config::from_json("{}").methods->find("/c.None/Any") == nullptr);
  auto const empty_names = R"({"methodConfig": [{"name": [{"service": "s", "method": null}], "timeout": "1s"},
                                               {"name": [{"service": "", "method": ""}], "timeout": "2s"},
                                               {"timeout": "3s"}]})";
  CHECK(service_config::from_json(empty_names).methods->find("/s/m")->timeout == 1s);
  CHECK(service_config::from_json(empty_names).methods->find("/t/m")->timeout == 2s);
}

TEST_CASE("service config: the first policy that the engine has is taken, and only that is looked at", "[config]") {
  auto const balance = [](std::string const& list) {
    return service_config::from_json(R"({"loadBalancingConfig": [)" + list + "]}").balance.value_or("none");
  };
  CHECK(balance(R"({"round_robin": {}})") == "round_robin");
  CHECK(balance(R"({"grpclb": {}}, {"pick_first": {}}, {"round_robin": {}})") == "pick_first");
  CHECK(balance(R"({"ring_hash_experimental": {}}, {"round_robin": 7})") == "ring_hash");
  CHECK(balance(R"({"least_request_experimental": {"choiceCount": 4}})") == "least_request");
  CHECK(service_config::from_json(R"({"loadBalancingPolicy": "ROUND_ROBIN"})").balance == "round_robin");
  CHECK(service_config::from_json(R"({"loadBalancingPolicy": "pick_first"})").balance == "pick_first");
  CHECK(service_config::from_json(R"({"loadBalancingPolicy": "x", "loadBalancingConfig": [{"pick_first": {}}]})")
            .balance == "pick_first");
  auto const ring = service_config::from_json(
      R"({"loadBalancingConfig": [{"ring_hash_experimental": {"minRingSize": "8", "maxRingSize": 99}}]})");
  CHECK(ring.ring == service_config::ring_sizes{.min = 8, .max = 99});

  CHECK_THAT(refusal(R"({"loadBalancingConfig": [{"grpclb": {}}]})"),
             Catch::StartsWith(
                 "loadBalancingConfig: a list without a policy of the engine is not allowed; allowed: round_robin"));
  CHECK_THAT(refusal(R"({"loadBalancingConfig": []})"), Catch::StartsWith("loadBalancingConfig: "));
  CHECK_THAT(refusal(R"({"loadBalancingConfig": [{}]})"),
             Catch::StartsWith("loadBalancingConfig[0]: {} is not allowed"));
  CHECK_THAT(refusal(R"({"loadBalancingConfig": [{"a": {}, "b": {}}]})"),
             Catch::StartsWith("loadBalancingConfig[0]: {"));
  CHECK_THAT(refusal(R"({"loadBalancingConfig": {}})"), Catch::StartsWith("loadBalancingConfig: {} is not allowed"));
  CHECK_THAT(refusal(R"({"loadBalancingConfig": [{"x": {}}, {"ring_hash_experimental": {"maxRingSize": 9000000}}]})"),
             Catch::StartsWith("loadBalancingConfig[1].ring_hash_experimental.maxRingSize: 9000000"));
  CHECK_THAT(refusal(R"({"loadBalancingConfig": [{"ring_hash_experimental": {"minRingSize": 5000}}]})"),
             Catch::Contains("minRingSize: 5000"));
  CHECK_THAT(refusal(R"({"loadBalancingConfig": [{"least_request_experimental": {"choiceCount": 1}}]})"),
             Catch::Contains("choiceCount: 1"));
  CHECK_THAT(refusal(R"({"loadBalancingPolicy": "robin"})"), Catch::StartsWith("loadBalancingPolicy: \"robin\""));
  CHECK_THAT(refusal(R"({"loadBalancingPolicy": 1})"), Catch::StartsWith("loadBalancingPolicy: 1"));
}

TEST_CASE("service config: more than five attempts are five", "[config]") {
  auto const attempts = [](char const* number) {
    return service_config::from_json(with_retry("\"maxAttempts\": 2", std::string("\"maxAttempts\": ") + number))
        .methods->find("/s/m")
        ->retry->max_attempts;
  };
  CHECK(attempts("2") == 2);
  CHECK(attempts("5") == 5);
  CHECK(attempts("6") == 5);
  CHECK(attempts("4294967295") == 5);
}

TEST_CASE("service config: what gRPC refuses is refused, by field", "[config]") {
  auto const names = [](std::string const& text, char const* field) {
    INFO(text);
    CHECK_THAT(refusal(text), Catch::Contains(field) && !Catch::Matches("accepted"));
  };
  names(with_retry("\"maxAttempts\": 2", "\"maxAttempts\": 1"),
        "methodConfig[0].retryPolicy.maxAttempts: 1 is not allowed");
  names(with_retry("\"maxAttempts\": 2", "\"maxAttempts\": -1"), "methodConfig[0].retryPolicy.maxAttempts: -1");
  names(with_retry("\"maxAttempts\": 2", "\"maxAttempts\": 2.5"), "maxAttempts");
  names(with_retry("\"maxAttempts\": 2,", ""), "methodConfig[0].retryPolicy.maxAttempts: 0 is not allowed");
  names(with_retry("\"initialBackoff\": \"1s\",", ""), "retryPolicy.initialBackoff: 0s is not allowed");
  names(with_retry("\"initialBackoff\": \"1s\"", "\"initialBackoff\": \"-1s\""),
        "retryPolicy.initialBackoff: -1s is not allowed");
  names(with_retry("\"initialBackoff\": \"1s\"", "\"initialBackoff\": \"1 s\""), "initialBackoff");
  names(with_retry("\"initialBackoff\": \"1s\"", "\"initialBackoff\": 1"), "initialBackoff");
  names(with_retry("\"maxBackoff\": \"1s\"", "\"maxBackoff\": \"0s\""), "retryPolicy.maxBackoff: 0s is not allowed");
  names(with_retry("\"backoffMultiplier\": 1,", ""), "retryPolicy.backoffMultiplier: 0.0 is not allowed");
  names(with_retry("\"backoffMultiplier\": 1", "\"backoffMultiplier\": -2"), "backoffMultiplier: -2.0 is not allowed");
  names(with_retry("[14]", "[]"), "retryPolicy.retryableStatusCodes: an empty list is not allowed");
  names(with_retry("[14]", "[14, \"NOPE\"]"), "methodConfig[0].retryPolicy.retryableStatusCodes[1]: \"NOPE\"");
  names(with_retry("[14]", "[14, 17]"), "retryPolicy.retryableStatusCodes[1]: 17 is not allowed");
  names(with_retry("[14]", "[0]"), "retryPolicy.retryableStatusCodes[0]: 0 is not allowed");
  names(with_retry("[14]", "14"), "retryableStatusCodes");
  names(method(R"("timeout": "-1s")"), "methodConfig[0].timeout: -1s is not allowed");
  names(method(R"("timeout": "1")"), "methodConfig[0].timeout: \"1\" is not allowed; allowed: a duration in seconds");
  names(method(R"("timeout": 1)"), "timeout");
  names(method(R"("waitForReady": "yes")"), "waitForReady");
  names(method(R"("maxRequestMessageBytes": -1)"), "maxRequestMessageBytes");
  names(method(R"("retryPolicy": {}, "hedgingPolicy": {})"), "Policy");
  names(R"({"methodConfig": {"name": 1}})", "methodConfig: {\"name\":1} is not allowed; allowed: an array");
  names(R"({"methodConfig": [{"name": [{"method": "m"}]}]})", "methodConfig[0].name[0]: \"/m\" is not allowed");
  names(R"({"methodConfig": [{"name": [{"service": "s"}]}, {"name": [{"service": "s", "method": ""}]}]})",
        "methodConfig[1].name[0]: \"s/\" is not allowed");
  names(R"({"methodConfig": [{"name": [{}, {}]}]})", "methodConfig[0].name[1]");
  names(R"({"methodConfig": [{"name": [7]}]})", "methodConfig[0].name[0]: 7 is not allowed; allowed: an object");
  names(R"({"methodConfig": [{"name": [null]}]})", "methodConfig[0].name[0]: null is not allowed");
  names(R"({"retryThrottling": {"maxTokens": 0, "tokenRatio": 1}})", "retryThrottling.maxTokens: 0");
  names(R"({"retryThrottling": {"maxTokens": 1001, "tokenRatio": 1}})", "retryThrottling.maxTokens: 1001");
  names(R"({"retryThrottling": {"maxTokens": 10}})", "retryThrottling.tokenRatio: 0");
  names(R"({"retryThrottling": {"maxTokens": 10, "tokenRatio": -1}})", "retryThrottling.tokenRatio: -1");
  names(R"({"healthCheckConfig": {"serviceName": {}}})", "serviceName");
  names("[]", "the document: [] is not allowed");
  names("{", "the document is no JSON");
  names(R"({"methodConfig": [], "methodConfig": []})", "methodConfig: is given twice");
}

namespace {

method_config hedged(std::string const& policy) {
  auto const config =
      service_config::from_json(R"({"methodConfig": [{"name": [{"service": "s"}], "hedgingPolicy": )" + policy + "}]}");
  return *config.methods->find("/s/m");
}

}  // namespace

TEST_CASE("service config: a hedging policy is read as gRFC A6 has it, and declares its methods idempotent",
          "[config]") {
  auto const full = hedged(R"({"maxAttempts": 4, "hedgingDelay": "0.5s", "nonFatalStatusCodes": ["UNAVAILABLE", 13]})");
  REQUIRE(full.hedging);
  CHECK(full.hedging->max_attempts == 4);
  CHECK(full.hedging->delay == 500ms);
  CHECK(full.hedging->non_fatal == status_code_set{status_code::unavailable, status_code::internal});
  CHECK(full.idempotent == true);
  CHECK_FALSE(full.retry);

  auto const least = hedged(R"({"maxAttempts": 9})");
  CHECK(least.hedging->max_attempts == 5);
  CHECK(least.hedging->delay == 0ms);
  CHECK(least.hedging->non_fatal.empty());
}

TEST_CASE("service config: a hedging policy that is wrong is refused by its field", "[config]") {
  auto const names = [](std::string const& text, char const* field) {
    INFO(text);
    CHECK_THAT(refusal(text), Catch::Contains(field) && !Catch::Matches("accepted"));
  };
  names(method(R"("hedgingPolicy": {"maxAttempts": 1})"), "hedgingPolicy.maxAttempts: 1 is not allowed");
  names(method(R"("hedgingPolicy": {})"), "hedgingPolicy.maxAttempts: 0 is not allowed");
  names(method(R"("hedgingPolicy": {"maxAttempts": 2, "hedgingDelay": "-1s"})"), "hedgingPolicy.hedgingDelay: -1s");
  names(method(R"("hedgingPolicy": {"maxAttempts": 2, "nonFatalStatusCodes": [0]})"),
        "hedgingPolicy.nonFatalStatusCodes[0]: 0 is not allowed");
}

TEST_CASE("service config: what the engine does not use is listed", "[config]") {
  auto const config =
      service_config::from_json(R"({"methodConfig": [{"name": [{"service": "s"}], "new": 1}], "xds": {}})");
  std::string listed;
  for (auto const& one : config.unused) listed += one.path + ' ';
  CHECK_THAT(listed, Catch::Contains("methodConfig[0].new ") && Catch::Contains("xds "));
}

TEST_CASE("service config: is applied to pools and clients", "[config]") {
  auto const config = service_config::from_json(complete);
  pool_params pool{.balance = "pick_first"};
  config.apply_to(pool);
  CHECK(pool.balance == "round_robin");
  CHECK_FALSE(pool.make_picker);
  REQUIRE(pool.health_check);
  CHECK(pool.health_check->service == "echo");
  client_params client;
  config.apply_to(client);
  CHECK(client.methods == config.methods);
  CHECK(client.retry_throttling);

  service_config::from_json(R"({"loadBalancingConfig": [{"ring_hash_experimental": {"maxRingSize": 2000}}]})")
      .apply_to(pool);
  REQUIRE(pool.make_picker);
  CHECK(pool.make_picker().name() == "ring_hash");
  pool.balance = "maglev";
  config.apply_to(pool);
  CHECK(pool.balance == "maglev");
}

TEST_CASE("service config: a changed document is read, or refused with a reason", "[config]") {
  char const* const given = std::getenv("MILLRACE_SEED");
  std::uint64_t const seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 1;
  INFO("replay: MILLRACE_SEED=" << seed);
  rng random(seed);
  auto const below = [&](std::size_t n) { return static_cast<std::size_t>(random.next() % n); };
  for (int round = 0; round < 5'000; ++round) {
    std::string text = complete;
    for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
      std::size_t const at = below(text.size());
      if (below(2) == 0) {
        text[at] = static_cast<char>(random.next());
      } else {
        text.erase(at, 1 + below(8));
      }
    }
    std::string const what = refusal(text);
    bool const reasoned = what == "accepted" || what.find("allowed: ") != what.npos ||
                          what.starts_with("the document is no JSON: ") || what.starts_with("service config: ");
    if (!reasoned) FAIL(text << "\n" << what);
  }
}
