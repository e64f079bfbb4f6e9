// SPDX-License-Identifier: Apache-2.0
// Pools whose endpoints come and go, or say that they do not serve, while calls are made: no call may fail.
#include <millrace/call/client.hpp>
#include <millrace/metrics/observer.hpp>
#include <millrace/pool/pool.hpp>
#include <millrace/resolve/manual_endpoints.hpp>

#include <support/call_once.hpp>
#include <support/echo_server.hpp>
#include <support/steady_load.hpp>
#include <support/wait.hpp>

#include <grpcpp/health_check_service_interface.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>

#include <unistd.h>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
using millrace::echo::Echo;
namespace fs = std::filesystem;

namespace {

/// Sixteen calls in flight on a pool, for as long as it takes.
struct loaded {
  explicit loaded(pool_params params) : pool(loop, std::move(params)), load(client<Echo>(pool), 16) {}

  template <class Condition>
  void until(std::string const& what, Condition condition) {
    run_until(loop, what, condition);
  }

  void until_moved_from(echo_server& from, echo_server& to) {
    int const before = to.calls();
    until("calls at the other server", [&] { return to.calls() > before + 200; });
    int const settled = from.calls();
    int const then = to.calls();
    until("more calls there", [&] { return to.calls() > then + 200; });
    CHECK(from.calls() == settled);
  }

  void finish() {
    load.stop();
    until("the last calls", [&] { return load.in_flight() == 0; });
    INFO(load.told());
    CHECK(load.failures().empty());
    CHECK(load.ok() > 400);
  }

  millrace::loop loop;
  millrace::pool pool;
  steady_load load;
};

/// A list of endpoints in a file, replaced as tools do it: written beside and renamed.
struct listing {
  ~listing() { fs::remove_all(folder); }
  void write(std::string const& text) const {
    std::ofstream(folder / "new") << text;
    fs::rename(folder / "new", folder / "list.json");
  }
  void name(echo_server const& one) const { write(R"([{"targets": [")" + one.address() + R"("]}])"); }

  fs::path folder = [] {
    std::string made = (fs::temp_directory_path() / "millrace-XXXXXX").string();
    return fs::path(::mkdtemp(made.data()));
  }();
  std::string target = "file://" + (folder / "list.json").string();
};

class failures final : public observer {
 public:
  std::vector<std::string> seen;
  using observer::on;
  void on(events::resolve_failed const& event) noexcept override { seen.emplace_back(event.why); }
};

}  // namespace

TEST_CASE("live: a pool follows a file, also past a broken one", "[live][discovery]") {
  echo_server first, second;
  listing list;
  failures told;
  list.name(first);
  loaded one({.target = list.target, .observer = &told});
  one.until("calls", [&] { return first.calls() > 100; });
  list.write("[{");
  one.until("the complaint", [&] { return !told.seen.empty(); });
  CHECK_THAT(told.seen[0], Catch::Contains("list.json"));
  int const before = first.calls();
  one.until("more calls", [&] { return first.calls() > before + 100; });
  list.name(second);
  one.until_moved_from(first, second);
  one.finish();
}

TEST_CASE("live: a pool follows what the program says from another thread", "[live][discovery]") {
  echo_server first, second;
  manual_endpoints source;
  loaded one({.make_resolver = source.factory()});
  std::thread([&] { source.update({{.address = first.address()}}); }).join();
  one.until("calls", [&] { return first.calls() > 100; });
  std::thread([&] { source.update({{.address = second.address()}}); }).join();
  one.until_moved_from(first, second);
  one.finish();
}

TEST_CASE("live: calls leave a server that says it does not serve, and return", "[live][discovery]") {
  grpc::EnableDefaultHealthCheckService(true);
  echo_server first, second;
  grpc::EnableDefaultHealthCheckService(false);
  loaded one({.target = first.address() + "," + second.address(), .health_check = health::watch_params{}});
  one.until("calls at both", [&] { return first.calls() > 100 && second.calls() > 100; });
  first.health()->SetServingStatus(false);
  one.until_moved_from(first, second);
  int const before = first.calls();
  first.health()->SetServingStatus(true);
  one.until("calls at the first again", [&] { return first.calls() > before + 100; });
  one.finish();
}

TEST_CASE("live: an endpoint is drained under load and readmitted", "[live][discovery]") {
  echo_server first, second;
  loaded one({.target = first.address() + "," + second.address()});
  one.until("calls at both", [&] { return first.calls() > 100 && second.calls() > 100; });
  std::optional<error_code> drained;
  one.pool.async_drain_endpoint(first.address(), 10s, [&](error_code error) { drained = error; });
  one.until("the drain", [&] { return drained.has_value(); });
  CHECK_FALSE(*drained);
  one.until_moved_from(first, second);
  int const before = first.calls();
  CHECK_FALSE(one.pool.readmit_endpoint(first.address()));
  one.until("calls at the first again", [&] { return first.calls() > before + 100; });
  one.finish();
}

TEST_CASE("live: a name is looked up by the engine", "[live][discovery]") {
  echo_server server;
  loaded one({.target = "dns:///localhost:" + std::to_string(server.port())});
  one.until("calls", [&] { return server.calls() > 500; });
  one.finish();
}
