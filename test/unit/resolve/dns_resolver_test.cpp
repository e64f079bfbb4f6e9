// SPDX-License-Identifier: Apache-2.0
// A name whose answers change, on virtual time.
#include <millrace/loop/loop.hpp>
#include <millrace/resolve/dns_resolver.hpp>
#include <millrace/sim/port.hpp>

#include <support/catch.hpp>
#include <support/endpoint_log.hpp>

#include <memory>
#include <optional>

using namespace millrace;
using namespace millrace::resolve;
using namespace std::chrono_literals;

namespace {

// what the name server would say, and when it was asked
struct server {
  lookup_result says;
  duration latency = 10ms;
  std::vector<time_point> asked{};
};

class scripted_lookup final : public name_lookup {
 public:
  scripted_lookup(loop& on, server& from) : loop_(on), from_(from) {}

  void start(std::string const& host, std::string const& port, callback done) override {
    CHECK(host == "a.example");
    CHECK(port == "1");
    CHECK_FALSE(due_.armed());
    from_.asked.push_back(loop_.now());
    done_ = done;
    loop_.arm(due_, loop_.now() + from_.latency);
  }

 private:
  void on_due() { done_(from_.says); }

  loop& loop_;
  server& from_;
  callback done_;
  timer due_{bound<void()>::to<&scripted_lookup::on_due>(*this)};
};

struct world {
  explicit world(lookup_result first) : names{.says = std::move(first)} { loop.work_started(); }
  ~world() { loop.work_finished(); }

  void start() { resolver->start(log); }
  void run_for(duration time) { loop.run_until(loop.now() + time); }
  // since the start, in seconds
  std::vector<double> asked() const {
    std::vector<double> times;
    for (time_point const at : names.asked) times.push_back(std::chrono::duration<double>(at - begin).count());
    return times;
  }

  millrace::loop loop{std::make_unique<sim::port>()};
  time_point const begin = loop.now();
  server names;
  test::endpoint_log log;
  std::unique_ptr<dns_resolver> resolver = std::make_unique<dns_resolver>(
      loop, dns_name{"a.example", "1"},
      dns_params{.jitter = 0,
                 .evidence = {.initial = 1s, .multiplier = 2, .max = 30s, .jitter = 0},
                 .backoff = {.initial = 500ms, .multiplier = 2, .max = 30s, .jitter = 0}},
      std::make_unique<scripted_lookup>(loop, names));
};

lookup_result addresses(std::initializer_list<char const*> all) { return {.addresses = {all.begin(), all.end()}}; }

}  // namespace

TEST_CASE("dns resolver: a name is looked up each period, and only another set is told", "[resolve]") {
  world in(addresses({"1.1.1.1:1", "[::1]:1"}));
  in.start();
  in.run_for(1s);
  CHECK(in.log.sets == std::vector<endpoint_set>{{{.address = "1.1.1.1:1", .authority = "a.example:1"},
                                                  {.address = "[::1]:1", .authority = "a.example:1"}}});
  in.names.says = addresses({"[::1]:1", "1.1.1.1:1"});
  in.run_for(60s);
  CHECK(in.log.sets.size() == 1);
  in.names.says = addresses({"2.2.2.2:1"});
  in.run_for(30s);
  CHECK(in.log.sets.size() == 2);
  CHECK(in.log.last() == "2.2.2.2:1");
  CHECK(in.asked() == std::vector<double>{0, 30.01, 60.02, 90.03});
  CHECK(in.log.failures.empty());
}

TEST_CASE("dns resolver: what cannot be looked up leaves the last set, and is told", "[resolve]") {
  world in(addresses({"1.1.1.1:1"}));
  in.start();
  in.run_for(1s);
  in.names.says = {.error = "Temporary failure in name resolution"};
  in.run_for(31s);
  CHECK(in.log.failures.size() == 3);
  CHECK(in.log.failures[0] == "the addresses of a.example are not known: Temporary failure in name resolution");
  in.names.says = {};
  in.run_for(2s);
  CHECK(in.log.failures.back() == "the addresses of a.example are not known: the name has no addresses");
  CHECK(in.log.sets.size() == 1);
  in.names.says = addresses({"1.1.1.1:1"});
  in.run_for(30s);
  CHECK(in.log.sets.size() == 2);  // the failure is over
}

TEST_CASE("dns resolver: a storm of evidence costs a few lookups", "[resolve]") {
  world in(addresses({"1.1.1.1:1"}));
  in.start();
  for (int n = 0; n < 6000; ++n) {
    in.run_for(10ms);
    in.resolver->refresh();
  }
  // 1, 2, 4, 8, 16 and 30 s apart
  CHECK(in.names.asked.size() <= 7);
  CHECK(in.log.sets.size() == 1);
}

TEST_CASE("dns resolver: a server that was replaced is found at the first evidence", "[resolve]") {
  world in(addresses({"1.1.1.1:1"}));
  in.start();
  in.run_for(10s);
  in.names.says = addresses({"2.2.2.2:1"});
  in.resolver->refresh();
  in.run_for(20ms);
  CHECK(in.log.last() == "2.2.2.2:1");
}

TEST_CASE("dns resolver: evidence may come from inside the listener", "[resolve]") {
  world in(addresses({"1.1.1.1:1"}));
  in.log.on_set = [&] { in.resolver->refresh(); };
  in.start();
  in.run_for(10s);
  CHECK(in.log.sets.size() == 1);
  CHECK(in.asked() == std::vector<double>{0, 1.01});
}

TEST_CASE("dns resolver: destroyed with a lookup under way, it calls nobody", "[resolve]") {
  world in(addresses({"1.1.1.1:1"}));
  in.start();
  in.run_for(5ms);
  in.resolver.reset();
  in.run_for(60s);
  CHECK(in.log.sets.empty());
  CHECK(in.names.asked.size() == 1);
}

TEST_CASE("dns resolver: it does not keep a program running, and a loop that stops looks nothing up", "[resolve]") {
  world in(addresses({"1.1.1.1:1"}));
  in.loop.work_finished();
  in.start();
  CHECK(in.loop.run() == 0);
  in.loop.work_started();
  in.run_for(5s);
  CHECK(in.loop.stop().finished);
  in.resolver->refresh();
  in.loop.stop();
  CHECK(in.names.asked.size() == 1);
}
