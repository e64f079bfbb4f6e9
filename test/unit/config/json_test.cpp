// SPDX-License-Identifier: Apache-2.0
#include "arity.hpp"

#include <millrace/base/rng.hpp>
#include <millrace/config/impl/tables.hpp>
#include <millrace/config/impl/write.hpp>
#include <millrace/config/json.hpp>

#include <support/catch.hpp>

#include <cstdlib>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace millrace;
using namespace std::chrono_literals;
using config::impl::json;

namespace {

std::string refusal(std::string const& text) {
  try {
    static_cast<void>(pool_params::from_json(text));
  } catch (std::invalid_argument const& error) {
    return error.what();
  }
  return "accepted";
}

// another value than the default, of every kind a row can have
template <class T>
void change(T& value, config::impl::allowed_values const& allowed = {}) {
  if constexpr (config::impl::described<T>) {
    config::impl::for_each_row<T>([&](auto const& one) { change(value.*one.member, one.allowed); });
  } else if constexpr (config::impl::is_optional<T>) {
    change(value.emplace(), allowed);
  } else if constexpr (std::same_as<T, bool>) {
    value = !value;
  } else if constexpr (std::same_as<T, duration>) {
    value += 1ms;
  } else if constexpr (std::same_as<T, status_code_set>) {
    value.insert(status_code::aborted);
  } else if constexpr (std::is_enum_v<T>) {
    auto const& values = config::impl::values_of<T>::values;
    value = value == values[0] ? values[1] : values[0];
  } else if constexpr (std::unsigned_integral<T>) {
    value = static_cast<double>(value) < allowed.range.most ? value + 1 : value - 1;
  } else if constexpr (std::floating_point<T>) {
    value = value < allowed.range.most ? value + 0.125 : value - 0.125;
  } else {
    value = allowed.names != nullptr ? std::string(allowed.names().back()) : "host:1";
  }
}

// with all that may be absent
template <class T>
void engage(T& value) {
  if constexpr (config::impl::described<T>) {
    config::impl::for_each_row<T>([&](auto const& one) { engage(value.*one.member); });
  } else if constexpr (config::impl::is_optional<T>) {
    engage(value.emplace());
  }
}

template <class T>
consteval bool has_a_row_a_member() {
  std::size_t rows = 0;
  config::impl::for_each_row<T>([&](auto const&) { ++rows; });
  config::impl::for_each_code_row<T>([&](auto const&) { ++rows; });
  return rows == test::arity<T>();
}

std::vector<std::string> flat_paths(json const& value, std::string const& path = {}) {
  if (!value.is_object()) return {path};
  std::vector<std::string> paths;
  for (auto const& [key, one] : value.items()) {
    for (auto& inner : flat_paths(one, config::impl::joined(path, key))) paths.push_back(std::move(inner));
  }
  return paths;
}

// the k-th leaf
void visit(json& value, std::size_t& k, std::function<void(json&)> const& act) {
  if (!value.is_object()) {
    if (k-- == 0) act(value);
    return;
  }
  for (auto& one : value) visit(one, k, act);
}

}  // namespace

// a member that has no row is found here
static_assert(has_a_row_a_member<retry::backoff_params>());
static_assert(has_a_row_a_member<retry::budget_params>());
static_assert(has_a_row_a_member<retry::retry_policy>());
static_assert(has_a_row_a_member<retry::throttle_params>());
static_assert(has_a_row_a_member<slot_params>());
static_assert(has_a_row_a_member<cork_params>());
static_assert(has_a_row_a_member<balance::failover_params>());
static_assert(has_a_row_a_member<balance::dial_order_params>());
static_assert(has_a_row_a_member<balance::slow_start_params>());
static_assert(has_a_row_a_member<balance::aperture_params>());
static_assert(has_a_row_a_member<health::accrual_params>());
static_assert(has_a_row_a_member<health::success_rate_params>());
static_assert(has_a_row_a_member<health::failure_percentage_params>());
static_assert(has_a_row_a_member<health::outlier_params>());
static_assert(has_a_row_a_member<health::watch_params>());
static_assert(has_a_row_a_member<scaling_params>());
static_assert(has_a_row_a_member<keepalive_params>());
static_assert(has_a_row_a_member<rotation_params>());
static_assert(has_a_row_a_member<responsiveness_params>());
static_assert(has_a_row_a_member<concurrency_limit_params>());
static_assert(has_a_row_a_member<dns_params>());
static_assert(has_a_row_a_member<file_params>());
static_assert(has_a_row_a_member<pool_params>());
static_assert(has_a_row_a_member<client_params>());

TEST_CASE("config: every parameter is written and read back", "[config]") {
  pool_params pool;
  change(pool);
  std::string const text = to_json(pool);
  CHECK(text != to_json(pool_params{}));
  CHECK(to_json(pool_params::from_json(text)) == text);
  CHECK(to_json(pool_params::from_json(to_json(pool_params{}))) == to_json(pool_params{}));

  client_params client;
  change(client);
  CHECK(to_json(client_params_from_json(to_json(client))) == to_json(client));
  CHECK(to_json(client_params_from_json(to_json(client_params{}))) == to_json(client_params{}));
  CHECK(to_json(client_params_from_json(R"({"retry_throttling": null})", client)).find("max_tokens") ==
        std::string::npos);
}

TEST_CASE("config: each parameter alone changes that parameter", "[config]") {
  pool_params changed;
  change(changed);
  json const all = json::parse(to_json(changed));
  pool_params base;
  engage(base);
  json const defaults = json::parse(to_json(base));
  for (std::string const& path : flat_paths(all)) {
    INFO(path);
    std::string pointer = "/" + path;
    for (char& c : pointer) c = c == '.' ? '/' : c;
    json::json_pointer const at(pointer);
    json text = json::object();
    text[at] = all[at];
    json expected = defaults;
    expected[at] = all[at];
    CHECK(json::parse(to_json(pool_params_from_json(text.dump(), base))) == expected);
  }
}

TEST_CASE("config: what the text leaves out stays as it was", "[config]") {
  auto const pool = pool_params_from_json(R"({"slot": {"backoff": {"initial": "250ms"}}, "max_waiting": 0})",
                                          {.target = "a:1", .slot = {.backoff = {.max = 3s}}});
  CHECK(pool.target == "a:1");
  CHECK(pool.max_waiting == 0);
  CHECK(pool.slot.backoff.initial == 250ms);
  CHECK(pool.slot.backoff.max == 3s);
  CHECK(pool_params::from_json("{}").max_waiting == 10'000);
  CHECK(pool_params::from_json(R"({"slot": {"ready_watch_slice": "forever"}})").slot.ready_watch_slice ==
        duration::max());
  auto const retry = client_params_from_json(R"({"retry": {"retryable": ["ABORTED", 14, "unknown"]}})").retry;
  CHECK(retry.retryable == status_code_set{status_code::aborted, status_code::unavailable, status_code::unknown});
}

TEST_CASE("config: what is wrong is named with its path, its value and what is allowed", "[config]") {
  auto const is = [](char const* text, char const* what) {
    INFO(text);
    CHECK(refusal(text) == what);
  };
  is(R"({"slot": {"backoff": {"initial": "5 parsecs"}}})",
     "slot.backoff.initial: \"5 parsecs\" is not allowed; allowed: a duration such as \"250ms\", \"1.5s\" or \"2m\" of "
     "more than "
     "0s");
  is(R"({"slot": {"backoff": {"initial": 5}}})",
     "slot.backoff.initial: 5 is not allowed; allowed: a duration such as \"250ms\", \"1.5s\" or \"2m\" of more than "
     "0s");
  is(R"({"slot": {"backoff": {"jitter": 1.5}}})",
     "slot.backoff.jitter: 1.5 is not allowed; allowed: a number from 0.0 to 1.0");
  is(R"({"slot": {"backoff": {"multiplier": "2"}}})",
     "slot.backoff.multiplier: \"2\" is not allowed; allowed: a number of at least 1.0");
  is(R"({"max_calls_per_slot": 0})",
     "max_calls_per_slot: 0 is not allowed; allowed: a whole number from 1 to 4294967295");
  is(R"({"max_calls_per_slot": 4294967296})",
     "max_calls_per_slot: 4294967296 is not allowed; allowed: a whole number from 1 to 4294967295");
  is(R"({"min_slots": -1})", "min_slots: -1 is not allowed; allowed: a whole number from 0 to 100000");
  is(R"({"min_slots": 1.0})", "min_slots: 1.0 is not allowed; allowed: a whole number from 0 to 100000");
  is(R"({"budget": {"ttl": "61s"}})",
     "budget.ttl: \"61s\" is not allowed; allowed: a duration such as \"250ms\", \"1.5s\" or \"2m\" from 1s to 1m");
  is(R"({"cork": 1})", "cork: 1 is not allowed; allowed: true or false");
  is(R"({"target": null})", "target: null is not allowed; allowed: a text");
  is(R"({"slot": []})", "slot: [] is not allowed; allowed: an object");
  is(R"([])", "the document: [] is not allowed; allowed: an object");
  is(R"({"observer": null})",
     "observer: null is not allowed; allowed: nothing, because JSON cannot give it: set it in code");
  is(R"({"slot": {"backoff": {"initial": "1s", "initial": "2s"}}})",
     "slot.backoff.initial: is given twice; allowed: once");
  is(R"({"cork_rule": {"min_in_flght": 1}})",
     "cork_rule.\"min_in_flght\": there is no such parameter; did you mean min_in_flight?; allowed: min_in_flight, "
     "flush_every");
  CHECK_THAT(refusal(R"({"balance": "robin"})"),
             Catch::StartsWith("balance: \"robin\" is not allowed; allowed: ") && Catch::Contains("round_robin"));
  CHECK_THAT(refusal("{\"min_slots\": 1,}"),
             Catch::StartsWith("the document is no JSON: parse error at line 1, column"));
  CHECK_THAT(refusal("{\"budget\": {\"percent\": 1e999}}"),
             Catch::StartsWith("the document is no JSON: number overflow"));
  CHECK_THAT(refusal("{\"target\": \"\xff\"}"), Catch::StartsWith("the document is no JSON: "));
  CHECK(refusal(R"({"zzzzzzzzzzzz": 1})").find("did you mean") == std::string::npos);
  CHECK_THROWS_WITH(client_params_from_json(R"({"retry": {"retryable": ["ABORTED", "OK"]}})"),
                    Catch::StartsWith("retry.retryable[1]: \"OK\" is not allowed"));
}

TEST_CASE("config: a changed document is read, or refused with a reason", "[config]") {
  char const* const given = std::getenv("MILLRACE_SEED");
  std::uint64_t const seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 1;
  INFO("replay: MILLRACE_SEED=" << seed);
  rng random(seed);
  pool_params changed;
  change(changed);
  std::string const valid = to_json(changed);
  auto const below = [&](std::size_t n) { return static_cast<std::size_t>(random.next() % n); };
  std::size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text = valid;
    for (std::size_t edits = 1 + below(4); edits > 0; --edits) {
      std::size_t const at = below(text.size());
      switch (below(4)) {
        case 0: text[at] = static_cast<char>(random.next()); break;
        case 1: text.erase(at, 1 + below(8)); break;
        case 2: text.insert(at, text.substr(below(text.size()), below(12))); break;
        case 3: text.insert(at, 1, "{}[]\",:-0e."[below(11)]); break;
      }
    }
    std::string const what = refusal(text);
    if (what == "accepted") continue;
    ++refused;
    bool const reasoned = what.find("allowed: ") != what.npos || what.starts_with("the document is no JSON: ");
    if (!reasoned || what.size() > 1000) FAIL(text << "\n" << what);
  }
  CHECK(refused > 10'000);
}

TEST_CASE("config: a value of another type is refused wherever it stands", "[config]") {
  pool_params changed;
  change(changed);
  json const valid = json::parse(to_json(changed));
  auto const paths = flat_paths(valid);
  for (json const& wrong : {json(nullptr), json(-1), json(1e300), json("nonsense"), json::array(), json::object()}) {
    for (std::size_t at = 0; at < paths.size(); ++at) {
      json document = valid;
      std::size_t k = at;
      bool same_type = false;
      visit(document, k, [&](json& leaf) {
        // any text is a target, and no code at all is a set of codes
        same_type = (leaf == "host:1" && wrong.is_string()) || (leaf.is_array() && wrong.is_array());
        leaf = wrong;
      });
      INFO(paths[at] << " = " << wrong.dump());
      bool const free_number = wrong.is_number() && wrong > 0 && refusal(document.dump()) == "accepted";
      bool const absent = wrong.is_null() && paths[at] == "aperture.client_index";
      if (!same_type && !free_number && !absent)
        CHECK_THAT(refusal(document.dump()), Catch::StartsWith(paths[at] + ": " + wrong.dump()));
    }
  }
}
