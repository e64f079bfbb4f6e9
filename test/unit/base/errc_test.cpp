// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/errc.hpp>

#include <support/catch.hpp>

#include <set>
#include <string>

using namespace millrace;

namespace {

constexpr errc all[] = {errc::timed_out,        errc::cancelled,
                        errc::loop_stopping,    errc::pool_closed,
                        errc::queue_full,       errc::no_endpoint_ready,
                        errc::out_of_range,     errc::waited_too_long,
                        errc::unknown_endpoint, errc::operation_in_progress,
                        errc::half_closed,      errc::finishing,
                        errc::stream_ended};

}  // namespace

TEST_CASE("errc: converts to an error of the category millrace", "[base][errc]") {
  error_code const error = errc::queue_full;
  CHECK(error.failed());
  CHECK(error == errc::queue_full);
  CHECK(error != errc::pool_closed);
  CHECK(error.category() == engine_category());
  CHECK(std::string{error.category().name()} == "millrace");
}

TEST_CASE("errc: each value has a message of its own, and none is success", "[base][errc]") {
  std::set<std::string> messages;
  for (errc value : all) {
    error_code const error = value;
    CHECK(error.value() != 0);
    char unused[1];
    CHECK(error.message() == error.message(unused, sizeof unused));
    messages.insert(error.message());
  }
  CHECK(messages.size() == std::size(all));
  CHECK(messages.count("unknown millrace error") == 0);
  CHECK(error_code(999, engine_category()).message() == "unknown millrace error");
}
