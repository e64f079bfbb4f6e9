// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/fewer_pings.hpp>

#include <support/catch.hpp>

using namespace millrace;
using namespace std::chrono_literals;

TEST_CASE("fewer_pings: the silence before a ping doubles up to two hours, and never shrinks", "[pool][fewer_pings]") {
  struct row {
    duration time;
    duration next;
  };
  for (row const& one : {
           row{0s, 0s},  // no pings are no fewer
           row{1ns, 2ns},
           row{30s, 60s},
           row{59min, 118min},
           row{1h, 2h},
           row{90min, 2h},
           row{2h, 2h},
           row{5h, 5h},  // as somebody wants it
           row{duration::max(), duration::max()},
       }) {
    INFO(one.time.count() << " ns");
    CHECK(with_fewer_pings(one.time) == one.next);
  }
}

TEST_CASE("fewer_pings: pings are blamed by gRPC's servers and by what a GOAWAY says, and by nothing else",
          "[pool][fewer_pings]") {
  CHECK(blames_pings("Too many pings"));
  CHECK(blames_pings("GOAWAY received; Error code: 11; Debug Text: too_many_pings"));
  CHECK_FALSE(blames_pings(""));
  CHECK_FALSE(blames_pings("Socket closed"));
  CHECK_FALSE(blames_pings("Too many pings?"));  // an application's, say
}
