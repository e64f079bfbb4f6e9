// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/addresses.hpp>

#include <support/catch.hpp>

using namespace millrace::resolve;

namespace {

using list = std::vector<std::string>;

}  // namespace

TEST_CASE("addresses: the families take turns, in the order that they came", "[resolve]") {
  CHECK(interleaved(list{}).empty());
  CHECK(interleaved(list{"1.1.1.1:1", "2.2.2.2:1"}) == list{"1.1.1.1:1", "2.2.2.2:1"});
  CHECK(interleaved(list{"[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"}) ==
        list{"[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"});
  CHECK(interleaved(list{"1.1.1.1:1", "[::1]:1", "[::2]:1", "[::3]:1"}) ==
        list{"1.1.1.1:1", "[::1]:1", "[::2]:1", "[::3]:1"});
}

TEST_CASE("addresses: endpoints take turns as their addresses do, and stay what they are", "[resolve]") {
  millrace::endpoint_set const mixed = interleaved(millrace::endpoint_set{
      {.address = "[::1]:1", .weight = 2}, {.address = "[::2]:1"}, {.address = "name:1", .locality = "here"}});
  CHECK(mixed == millrace::endpoint_set{{.address = "[::1]:1", .weight = 2},
                                        {.address = "name:1", .locality = "here"},
                                        {.address = "[::2]:1"}});
}

TEST_CASE("addresses: endpoints take turns with those of their own priority", "[resolve]") {
  millrace::endpoint_set const mixed = interleaved(millrace::endpoint_set{{.address = "[::1]:1", .priority = 0},
                                                                          {.address = "1.1.1.1:1", .priority = 1},
                                                                          {.address = "[::2]:1", .priority = 0},
                                                                          {.address = "2.2.2.2:1", .priority = 0},
                                                                          {.address = "3.3.3.3:1", .priority = 1},
                                                                          {.address = "[::3]:1", .priority = 1}});
  CHECK(mixed == millrace::endpoint_set{{.address = "[::1]:1", .priority = 0},
                                        {.address = "2.2.2.2:1", .priority = 0},
                                        {.address = "[::2]:1", .priority = 0},
                                        {.address = "1.1.1.1:1", .priority = 1},
                                        {.address = "[::3]:1", .priority = 1},
                                        {.address = "3.3.3.3:1", .priority = 1}});
}

TEST_CASE("addresses: the same set in another order is the same set", "[resolve]") {
  CHECK(same_addresses(list{}, list{}));
  CHECK(same_addresses(list{"a", "b", "c"}, list{"c", "a", "b"}));
  CHECK_FALSE(same_addresses(list{"a", "b"}, list{"a"}));
  CHECK_FALSE(same_addresses(list{"a", "b"}, list{"a", "c"}));
  CHECK_FALSE(same_addresses(list{"a", "a", "b"}, list{"a", "b", "b"}));
}
