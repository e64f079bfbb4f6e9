// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/status_code.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cctype>
#include <string>

using namespace millrace;

namespace {

std::string lower(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

TEST_CASE("status_code: names are gRPC's", "[base][status_code]") {
  CHECK(to_string(status_code::ok) == "OK");
  CHECK(to_string(status_code::cancelled) == "CANCELLED");
  CHECK(to_string(status_code::deadline_exceeded) == "DEADLINE_EXCEEDED");
  CHECK(to_string(status_code::resource_exhausted) == "RESOURCE_EXHAUSTED");
  CHECK(to_string(status_code::unavailable) == "UNAVAILABLE");
  CHECK(to_string(status_code::unauthenticated) == "UNAUTHENTICATED");
  CHECK(to_string(static_cast<status_code>(17)) == "UNKNOWN");
  CHECK(to_string(static_cast<status_code>(255)) == "UNKNOWN");
}

TEST_CASE("status_code: every code reads back from its name in any case and from its number", "[base][status_code]") {
  for (int number = 0; number < status_code_count; ++number) {
    auto const code = static_cast<status_code>(number);
    CHECK(status_code_from(to_string(code)) == code);
    CHECK(status_code_from(lower(to_string(code))) == code);
    CHECK(status_code_from(std::to_string(number)) == code);
  }
}

TEST_CASE("status_code: what is no code reads as none", "[base][status_code]") {
  for (auto text : {"", "17", "-1", "99999999999999999999", "1x", "OKAY", "O", "UNAVAILABLE ", " 14", "DATA-LOSS"}) {
    INFO(text);
    CHECK_FALSE(status_code_from(text));
  }
}

TEST_CASE("status_code_set: contains what it was made of and nothing else", "[base][status_code]") {
  constexpr status_code_set some{status_code::ok, status_code::unavailable, status_code::unauthenticated};
  int contained = 0;
  for (int number = 0; number < status_code_count; ++number) {
    contained += some.contains(static_cast<status_code>(number)) ? 1 : 0;
  }
  CHECK(contained == 3);
  CHECK(some.contains(status_code::unauthenticated));
  CHECK(some == status_code_set{status_code::unauthenticated, status_code::ok, status_code::unavailable});
  CHECK_FALSE(some == status_code_set{});
  CHECK(status_code_set{}.empty());
  CHECK_FALSE(some.empty());
}

TEST_CASE("status_code_set: a code is a failure of the server, its refusal or neither", "[base][status_code]") {
  int failures = 0, refusals = 0;
  for (int number = 0; number < status_code_count; ++number) {
    auto const code = static_cast<status_code>(number);
    failures += server_failures.contains(code) ? 1 : 0;
    refusals += server_refusals.contains(code) ? 1 : 0;
    CHECK_FALSE((server_failures.contains(code) && server_refusals.contains(code)));
  }
  CHECK(failures == 5);
  CHECK(refusals == 2);
  for (status_code code : {status_code::ok, status_code::cancelled, status_code::not_found}) {
    CHECK_FALSE((server_failures.contains(code) || server_refusals.contains(code)));
  }
}
