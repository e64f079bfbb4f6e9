// SPDX-License-Identifier: Apache-2.0
// The system's resolver. Some tests hold up getaddrinfo, which this program therefore defines itself, over the system's.
#include <millrace/loop/cq_port.hpp>
#include <millrace/resolve/make_resolver.hpp>
#include <millrace/resolve/system_lookup.hpp>

#include <support/catch.hpp>
#include <support/endpoint_log.hpp>
#include <support/wait.hpp>

#include <dlfcn.h>
#include <netdb.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;

namespace {

// while the test holds it, getaddrinfo does not return
std::mutex gate;
std::atomic<int> inside = 0;

std::size_t threads() {
  auto const tasks = std::filesystem::directory_iterator("/proc/self/task");
  return static_cast<std::size_t>(std::distance(begin(tasks), end(tasks)));
}

struct asking {
  explicit asking(std::string const& host, std::string const& port = "80") {
    lookup->start(host, port, name_lookup::callback::to<&asking::on_done>(*this));
  }
  void on_done(lookup_result found) { result = std::move(found); }

  lookup_result const& wait() {
    run_until(loop, "the answer", [this] { return result.has_value(); });
    return *result;
  }

  millrace::loop loop;
  std::optional<lookup_result> result;
  std::unique_ptr<name_lookup> lookup = std::make_unique<resolve::system_lookup>(loop);
};

}  // namespace

extern "C" int getaddrinfo(char const* host, char const* port, addrinfo const* wanted, addrinfo** found) {
  using function = int (*)(char const*, char const*, addrinfo const*, addrinfo**);
  static auto const next = reinterpret_cast<function>(dlsym(RTLD_NEXT, "getaddrinfo"));
  ++inside;
  { std::lock_guard const lock(gate); }
  int const result = next(host, port, wanted, found);
  --inside;
  return result;
}

TEST_CASE("system lookup: this machine's own name has its own address", "[live][resolve]") {
  asking one("localhost", "8080");
  lookup_result const& found = one.wait();
  INFO(found.error);
  REQUIRE_FALSE(found.addresses.empty());
  for (std::string const& address : found.addresses) CHECK((address == "127.0.0.1:8080" || address == "[::1]:8080"));
}

TEST_CASE("system lookup: an address is its own answer", "[live][resolve]") {
  CHECK(asking("1.2.3.4").wait().addresses == std::vector<std::string>{"1.2.3.4:80"});
  CHECK(asking("::1").wait().addresses == std::vector<std::string>{"[::1]:80"});
}

TEST_CASE("system lookup: what is not found is told with the system's words", "[live][resolve]") {
  asking one("x.invalid");
  lookup_result const& found = one.wait();
  CHECK(found.addresses.empty());
  CHECK_FALSE(found.error.empty());
}

TEST_CASE("system lookup: one after the other", "[live][resolve]") {
  asking one("127.0.0.1");
  for (int n = 0; n < 100; ++n) {
    one.wait();
    one.result.reset();
    one.lookup->start("127.0.0.1", std::to_string(n + 1), name_lookup::callback::to<&asking::on_done>(one));
    CHECK(one.wait().addresses.at(0) == "127.0.0.1:" + std::to_string(n + 1));
  }
}

TEST_CASE("system lookup: getaddrinfo may outlive the lookup and the loop", "[live][resolve]") {
  std::size_t before = 0;
  {
    millrace::loop const warm;  // gRPC's threads
    before = threads();
  }
  auto const begin = clock::now();
  {
    std::lock_guard const held(gate);
    {
      asking one("localhost");
      wait_until("getaddrinfo", [] { return inside == 1; });
      one.loop.run();  // a lookup does not keep a program running
    }
    // the destructors waited for nobody; loop's would have for 5 s
    CHECK(inside == 1);
    CHECK(clock::now() - begin < patience);
  }
  wait_until("the lookup's thread to end", [&] { return inside == 0 && threads() <= before; });
}

TEST_CASE("system lookup: a question that is forgotten is not answered", "[live][resolve]") {
  asking one("localhost");
  wait_until("the answer to be on its way", [] { return inside == 0; });
  one.lookup.reset();
  one.loop.poll();
  one.loop.run();
  CHECK_FALSE(one.result);
}

TEST_CASE("dns target: the addresses of localhost, found by name, become endpoints", "[live][resolve]") {
  millrace::loop loop;
  endpoint_log log;
  auto const resolver = make_resolver("dns:///localhost:5")(loop);
  resolver->start(log);
  CHECK(log.sets.empty());
  run_until(loop, "endpoints", [&] { return !log.sets.empty(); });
  REQUIRE_FALSE(log.sets[0].empty());
  CHECK(log.sets[0][0].authority == "localhost:5");
  CHECK(std::ranges::all_of(
      log.sets[0], [](endpoint const& one) { return one.address == "127.0.0.1:5" || one.address == "[::1]:5"; }));
}
