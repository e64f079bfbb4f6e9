// SPDX-License-Identifier: Apache-2.0
// A name whose addresses change: getaddrinfo reads a file of this test's instead of /etc/hosts (nss_wrapper).
#include <millrace/call/client.hpp>
#include <millrace/loop/cq_port.hpp>
#include <millrace/pool/pool.hpp>
#include <millrace/resolve/make_resolver.hpp>

#include <support/catch.hpp>
#include <support/echo_server.hpp>
#include <support/endpoint_log.hpp>
#include <support/steady_load.hpp>
#include <support/wait.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// nss_wrapper reads the file anew when its time, in seconds, has changed
void write_hosts(std::string const& text) {
  static auto time = fs::file_time_type::clock::now();
  char const* const file = std::getenv("NSS_WRAPPER_HOSTS");
  INFO("run by meson test, which sets LD_PRELOAD and NSS_WRAPPER_HOSTS");
  REQUIRE(file != nullptr);
  std::ofstream(file) << text;
  fs::last_write_time(file, time += 2s);
}

struct watched {
  watched() : resolver(make_resolver("dns:///moving.example:5", {.dns = often()})(loop)) { resolver->start(log); }

  static dns_params often() { return {.refresh_interval = 5ms, .backoff = {.initial = 5ms, .max = 5ms}}; }

  void wait_for(std::string const& addresses) {
    run_until(loop, "endpoints " + addresses, [&] { return log.last() == addresses; });
  }

  millrace::loop loop;
  endpoint_log log;
  std::unique_ptr<millrace::resolver> resolver;
};

}  // namespace

TEST_CASE("names: endpoints follow the addresses of a name", "[live][resolve]") {
  write_hosts("10.0.0.1 moving.example\n");
  watched name;
  name.wait_for("10.0.0.1:5");
  write_hosts("10.0.0.1 moving.example\n10.0.0.2 moving.example\n");
  name.wait_for("10.0.0.1:5 10.0.0.2:5");
  write_hosts("10.0.0.3 moving.example\n");
  name.wait_for("10.0.0.3:5");
}

TEST_CASE("names: a name that is gone keeps its addresses until it is back with others", "[live][resolve]") {
  write_hosts("10.0.0.1 moving.example\n");
  watched name;
  name.wait_for("10.0.0.1:5");
  write_hosts("10.0.0.9 other.example\n");
  run_until(name.loop, "a failure", [&] { return !name.log.failures.empty(); });
  CHECK(name.log.last() == "10.0.0.1:5");
  write_hosts("10.0.0.4 moving.example\n");
  name.wait_for("10.0.0.4:5");
}

TEST_CASE("names: a pool's calls follow the addresses of a name, and none fails", "[live][resolve]") {
  echo_server first("127.0.0.2:0");
  std::string const port = std::to_string(first.port());
  echo_server second("127.0.0.3:" + port);
  REQUIRE(second.running());
  write_hosts("127.0.0.2 moving.example\n");
  millrace::loop loop;
  millrace::pool pool{loop, {.target = "dns:///moving.example:" + port, .dns = watched::often()}};
  steady_load load(client<millrace::echo::Echo>(pool), 16);
  run_until(loop, "calls at the first address", [&] { return first.calls() > 100; });
  write_hosts("127.0.0.2 moving.example\n127.0.0.3 moving.example\n");
  run_until(loop, "calls at both", [&] { return second.calls() > 100; });
  write_hosts("127.0.0.3 moving.example\n");
  int before = first.calls();
  int then = second.calls();
  run_until(loop, "calls at the second alone", [&] {
    bool const moved = second.calls() > then + 200 && first.calls() == before;
    if (first.calls() != before) before = first.calls(), then = second.calls();
    return moved;
  });
  load.stop();
  run_until(loop, "the last calls", [&] { return load.in_flight() == 0; });
  INFO(load.told());
  CHECK(load.failures().empty());
}
