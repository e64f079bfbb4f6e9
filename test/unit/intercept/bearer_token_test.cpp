// SPDX-License-Identifier: Apache-2.0
#include "scripted_call.hpp"

#include <millrace/intercept/bearer_token.hpp>

#include <support/catch.hpp>

#include <deque>
#include <optional>
#include <string>

using namespace millrace;
using namespace std::chrono_literals;

namespace {

// a place that hands out tokens when the test says so, and calls that want them
struct world {
  bearer_token_params params() {
    return {.fetch = [this](std::function<void(token_result)> done) { fetches.push_back(std::move(done)); }};
  }

  hook_result::kind start(bearer_token_interceptor& tokens, duration at) {
    scripted_call& call = calls.emplace_back();
    call.context.set_started(time_point{} + at);
    hook_result answer = tokens.on_start(call.context);
    if (auto end = answer.take_status()) call.outcome = *end;
    return answer.what();
  }

  std::string header(std::size_t call) const {
    return std::string(calls[call].request_metadata.find("authorization").value_or("none"));
  }

  // what the call was resumed with
  status end(std::size_t call) {
    auto const said = calls[call].resumed.at(0).take_status();
    return said != nullptr ? *said : status{};
  }

  std::vector<std::function<void(token_result)>> fetches;
  std::deque<scripted_call> calls;
};

constexpr auto proceeds = hook_result::kind::proceed;
constexpr auto holds = hook_result::kind::hold;
constexpr auto finishes = hook_result::kind::finish;

bearer_token token(char const* value, duration expires) { return {value, time_point{} + expires}; }

}  // namespace

TEST_CASE("bearer_token: calls without a token wait for one fetch and take its token", "[intercept]") {
  world w;
  bearer_token_interceptor tokens(w.params());
  for (int i = 0; i < 3; ++i) CHECK(w.start(tokens, 10s) == holds);
  REQUIRE(w.fetches.size() == 1);
  w.fetches[0](token("abc", 1h));
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(w.calls[i].resumed.size() == 1);
    CHECK(w.calls[i].resumed[0].what() == proceeds);
    CHECK(w.header(i) == "Bearer abc");
  }
  CHECK(w.start(tokens, 11s) == proceeds);
  CHECK(w.header(3) == "Bearer abc");
  CHECK(w.fetches.size() == 1);
}

TEST_CASE("bearer_token: near its end a token is used on and replaced behind the calls' back", "[intercept]") {
  world w;
  bearer_token_interceptor tokens(w.params());
  (void)w.start(tokens, 0s);
  w.fetches[0](token("old", 1000s));
  CHECK(w.start(tokens, 939s) == proceeds);
  CHECK(w.fetches.size() == 1);
  CHECK(w.start(tokens, 940s) == proceeds);
  CHECK(w.start(tokens, 941s) == proceeds);
  CHECK(w.fetches.size() == 2);
  CHECK(w.header(3) == "Bearer old");
  w.fetches[1](token("new", 2000s));
  CHECK(w.start(tokens, 942s) == proceeds);
  CHECK(w.header(4) == "Bearer new");
  CHECK(w.fetches.size() == 2);
}

TEST_CASE("bearer_token: a call that finds the token expired waits for the refresh in flight", "[intercept]") {
  world w;
  bearer_token_interceptor tokens(w.params());
  (void)w.start(tokens, 0s);
  w.fetches[0](token("old", 1000s));
  CHECK(w.start(tokens, 999s) == proceeds);
  CHECK(w.start(tokens, 1000s) == holds);
  CHECK(w.fetches.size() == 2);
  w.fetches[1](token("new", 2000s));
  CHECK(w.header(2) == "Bearer new");
}

TEST_CASE("bearer_token: a failed fetch ends the waiting calls, and none is started for a while", "[intercept]") {
  world w;
  bearer_token_interceptor tokens(w.params());
  CHECK(w.start(tokens, 10s) == holds);
  CHECK(w.start(tokens, 15s) == holds);
  w.fetches[0](token_failure{"the issuer is down"});
  for (std::size_t i = 0; i < 2; ++i) {
    status const end = w.end(i);
    CHECK(end.code == status_code::unauthenticated);
    CHECK(end.message == "token refresh failed: the issuer is down");
  }
  CHECK(w.start(tokens, 15999ms) == finishes);
  CHECK(w.calls[2].outcome.code == status_code::unauthenticated);
  CHECK(w.calls[2].outcome.message == "token refresh failed: the issuer is down");
  CHECK(w.fetches.size() == 1);
  CHECK(w.start(tokens, 16s) == holds);
  REQUIRE(w.fetches.size() == 2);
  w.fetches[1](token("abc", 1h));
  CHECK(w.header(3) == "Bearer abc");
}

TEST_CASE("bearer_token: a failed refresh leaves the old token in use and is tried again at intervals", "[intercept]") {
  world w;
  bearer_token_interceptor tokens(w.params());
  (void)w.start(tokens, 0s);
  w.fetches[0](token("old", 1000s));
  CHECK(w.start(tokens, 950s) == proceeds);
  w.fetches[1](token_failure{"busy"});
  CHECK(w.start(tokens, 950500ms) == proceeds);
  CHECK(w.fetches.size() == 2);
  CHECK(w.start(tokens, 951s) == proceeds);
  CHECK(w.fetches.size() == 3);
  CHECK(w.header(3) == "Bearer old");
}

TEST_CASE("bearer_token: tokens that live shorter than the margin are not fetched for every call", "[intercept]") {
  world w;
  bearer_token_interceptor tokens(w.params());
  (void)w.start(tokens, 0s);
  w.fetches[0](token("short", 30s));
  for (int i = 1; i <= 9; ++i) CHECK(w.start(tokens, i * 100ms) == proceeds);
  CHECK(w.fetches.size() == 1);
  CHECK(w.start(tokens, 1s) == proceeds);
  CHECK(w.fetches.size() == 2);
}

TEST_CASE("bearer_token: a fetch may end at once", "[intercept]") {
  world w;
  bearer_token_interceptor good({.fetch = [](auto done) { done(token("now", 1h)); }});
  CHECK(w.start(good, 1s) == proceeds);
  CHECK(w.header(0) == "Bearer now");

  bearer_token_interceptor bad({.fetch = [](auto done) { done(token_failure{"no"}); }});
  CHECK(w.start(bad, 1s) == finishes);
  CHECK(w.calls[1].outcome.message == "token refresh failed: no");
  CHECK_FALSE(w.calls[1].context.handle_out());
}

TEST_CASE("bearer_token: a fetch that throws, is dropped or says nothing has failed", "[intercept]") {
  world w;
  bearer_token_interceptor throws({.fetch = [](auto) { throw std::runtime_error("no socket"); }});
  CHECK(w.start(throws, 1s) == finishes);
  CHECK(w.calls[0].outcome.message == "token refresh failed: no socket");

  bearer_token_interceptor odd({.fetch = [](auto) { throw 1; }});
  CHECK(w.start(odd, 1s) == finishes);
  CHECK(w.calls[1].outcome.message == "token refresh failed: no reason was given");

  bearer_token_interceptor dropped(w.params());
  CHECK(w.start(dropped, 1s) == holds);
  w.fetches.clear();
  CHECK(w.end(2).message == "token refresh failed: the fetch was dropped without an outcome");
}

TEST_CASE("bearer_token: an outcome counts once", "[intercept]") {
  world w;
  bearer_token_interceptor tokens(w.params());
  (void)w.start(tokens, 1s);
  w.fetches[0](token("first", 1h));
  w.fetches[0](token("second", 1h));
  w.fetches[0](token_failure{"late"});
  CHECK(w.start(tokens, 2s) == proceeds);
  CHECK(w.header(1) == "Bearer first");
}

TEST_CASE("bearer_token: a token no header may carry has failed, and its text appears nowhere", "[intercept]") {
  for (char const* value : {"", "secret\r\nx-admin: 1"}) {
    world w;
    bearer_token_interceptor tokens(w.params());
    (void)w.start(tokens, 1s);
    w.fetches[0](token(value, 1h));
    status const end = w.end(0);
    CHECK(end.code == status_code::unauthenticated);
    CHECK(end.message.find("secret") == std::string::npos);
    CHECK(w.header(0) == "none");
  }
}

TEST_CASE("bearer_token: a token that comes expired has failed", "[intercept]") {
  world w;
  bearer_token_interceptor tokens(w.params());
  (void)w.start(tokens, 10s);
  w.fetches[0](token("stale", 10s));
  CHECK(w.end(0).message == "token refresh failed: the token had expired when it came");
}

TEST_CASE("bearer_token: an outcome after the interceptor is gone is harmless, and held calls end", "[intercept]") {
  world w;
  {
    std::optional<bearer_token_interceptor> tokens(std::in_place, w.params());
    CHECK(w.start(*tokens, 1s) == holds);
    tokens.reset();
  }
  CHECK(w.end(0).code == status_code::cancelled);
  w.fetches[0](token("abc", 1h));
  CHECK(w.calls[0].resumed.size() == 1);
}

TEST_CASE("bearer_token: a call's own authorization stays", "[intercept]") {
  world w;
  bearer_token_interceptor tokens(w.params());
  scripted_call call;
  call.request_metadata.add("authorization", "Basic eA==");
  CHECK(tokens.on_start(call.context).what() == proceeds);
  CHECK(call.request_metadata.size() == 1);
  CHECK(w.fetches.empty());
}

TEST_CASE("bearer_token: parameters are checked, and the error names the field", "[intercept]") {
  world w;
  auto margin = w.params();
  margin.refresh_margin = -1s;
  auto interval = w.params();
  interval.min_retry_interval = -1s;
  CHECK_THROWS_WITH(bearer_token_interceptor({}), Catch::Matchers::Contains("bearer_token_params.fetch"));
  CHECK_THROWS_WITH(bearer_token_interceptor(margin), Catch::Matchers::Contains("refresh_margin"));
  CHECK_THROWS_WITH(bearer_token_interceptor(interval), Catch::Matchers::Contains("min_retry_interval"));
}
