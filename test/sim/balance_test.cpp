// SPDX-License-Identifier: Apache-2.0
// Stories about the policies that choose an endpoint.
#include "support.hpp"

#include <millrace/balance/ring_hash.hpp>
#include <millrace/resolve/manual_endpoints.hpp>

#include <array>
#include <optional>
#include <set>
#include <span>

using namespace millrace;
using namespace millrace::sim;

namespace {

// calls that reach a slow endpoint, one of three, in a minute
std::uint64_t calls_to_slow(std::string policy) {
  world world{{.pool = {.target = "a:1,b:1,slow:1", .balance = std::move(policy)}, .traced = false}};
  world.net()["a:1"].call_takes({.least = 5ms, .most = 15ms});
  world.net()["b:1"].call_takes({.least = 5ms, .most = 15ms});
  world.net()["slow:1"].call_takes({.least = 400ms, .most = 600ms});
  make_calls(world, 0s, 60s, 10ms);
  world.run_until(70s);
  CHECK(count_ok(world) == 6000);
  return world.net()["slow"].received();
}

/// The endpoints of a zone by turns; any while it has none.
class zone_picker {
 public:
  static constexpr std::string_view name = "zone_picker";

  explicit zone_picker(std::string zone) : zone_(std::move(zone)) {}

  void rebuild(std::span<balance::candidate const> ready) {
    here_.clear();
    auto const in_zone = [this](balance::candidate const& one) { return one.attributes->locality == zone_; };
    bool const any = std::ranges::none_of(ready, in_zone);
    for (std::size_t at = 0; at < ready.size(); ++at) {
      if (any || in_zone(ready[at])) here_.push_back(at);
    }
  }
  std::optional<std::size_t> pick(balance::pick_info const&) noexcept {
    if (here_.empty()) return std::nullopt;
    return here_[turn_++ % here_.size()];
  }
  void on_done(balance::done_info const&) noexcept {}

 private:
  std::string zone_;
  std::vector<std::size_t> here_;
  std::size_t turn_ = 0;
};

/// Looks at what it was told of endpoints as long as it may: until it has been told anew.
class recalling_picker {
 public:
  static constexpr std::string_view name = "recalling_picker";

  explicit recalling_picker(std::set<std::string>& seen) : seen_(&seen) {}

  void rebuild(std::span<balance::candidate const> ready) {
    look();
    ready_.assign(ready.begin(), ready.end());
  }
  std::optional<std::size_t> pick(balance::pick_info const&) noexcept {
    look();
    return ready_.empty() ? std::nullopt : std::optional<std::size_t>(0);
  }
  void on_done(balance::done_info const&) noexcept {}

 private:
  void look() {
    for (balance::candidate const& one : ready_) seen_->insert(one.attributes->locality);
  }

  std::set<std::string>* seen_;
  std::vector<balance::candidate> ready_;
};

std::string user(int number) { return "user-" + std::to_string(number); }

// where the calls of a hundred users go, made one after another, so that the load bound has no say
std::vector<std::string> homes(world& in) {
  std::vector<std::string> endpoints;
  for (int i = 0; i < 100; ++i) {
    auto& call = in.call("hello", {.hash_key = user(i)});
    in.run_calls();
    CHECK(call.ok());
    endpoints.push_back(call.info.endpoint);
  }
  return endpoints;
}

}  // namespace

TEST_CASE("story: peak_ewma sends a slow endpoint few calls, and round_robin a third", "[sim][balance]") {
  CHECK(calls_to_slow("round_robin") == 2000);
  std::uint64_t const received = calls_to_slow("peak_ewma");
  CHECK(received > 0);
  CHECK(received < 200);  // a tenth of that
}

TEST_CASE("story: peak_ewma keeps away from an endpoint that fails at once", "[sim][balance]") {
  world world{{.pool = {.target = "a:1,b:1", .balance = "peak_ewma"}, .client = {.retry = {.max_attempts = 1}}}};
  world.net()["a:1"].call_takes(20ms);
  world.net()["b:1"].call_takes(1ms).answer_with({.code = status_code::unavailable, .after = 1ms});
  make_calls(world, 0s, 20s, 20ms);
  world.run_until(25s);
  CHECK(world.net()["b"].received() > 0);
  CHECK(world.net()["b"].received() < 50);
}

TEST_CASE("story: peak_ewma gives an endpoint that has recovered its share again", "[sim][balance]") {
  world world{{.pool = {.target = "a:1,b:1", .balance = "peak_ewma"}, .traced = false}};
  world.net()["a:1"].call_takes(10ms);
  world.net()["b:1"].call_takes(500ms);
  world.at(30s, [&] { world.net()["b"].call_takes(10ms); });
  make_calls(world, 0s, 150s, 20ms);
  std::uint64_t at_recovery = 0, before_end = 0;
  world.at(30s, [&] { at_recovery = world.net()["b"].received(); });
  world.at(120s, [&] { before_end = world.net()["b"].received(); });
  world.run_until(155s);
  CHECK(at_recovery < 100);
  std::uint64_t const of_1500 = world.net()["b"].received() - before_end;
  CHECK(of_1500 > 500);
  CHECK(of_1500 < 1000);
}

TEST_CASE("story: ring_hash and maglev keep a key's calls on one endpoint through another one's restart",
          "[sim][balance]") {
  std::string const policy = GENERATE("ring_hash", "maglev");
  CAPTURE(policy);
  world world{{.pool = {.target = "a:1,b:1,c:1", .min_slots = 6, .max_slots = 6, .balance = policy}}};
  world.pool().open();
  world.run_for(1s);
  auto const before = homes(world);
  CHECK(std::set<std::string>(before.begin(), before.end()).size() == 3);
  CHECK(homes(world) == before);
  world.net()["b"].kill();
  world.run_for(1s);
  auto const during = homes(world);
  int moved_in_vain = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(during[i] != "b:1");
    moved_in_vain += before[i] != "b:1" && during[i] != before[i] ? 1 : 0;
  }
  CHECK(moved_in_vain <= (policy == "maglev" ? 5 : 0));
  world.net()["b"].up();
  world.run_for(60s);
  CHECK(world.pool().ready() >= 5);
  CHECK(homes(world) == before);
}

TEST_CASE("story: a ring of one's own size moves no key in vain either, nor when the endpoints came later",
          "[sim][balance]") {
  world world{{.pool = {.target = "z:1", .make_picker = [] {
                          return balance::any_picker(
                              balance::ring_hash(1, {.min_ring_size = 200, .max_ring_size = 300}));
                        }}}};
  world.pool().update_endpoints({{.address = "a:1"}, {.address = "b:1"}, {.address = "c:1", .weight = 2}});
  world.pool().open();
  world.run_for(1s);
  auto const before = homes(world);
  CHECK(std::set<std::string>(before.begin(), before.end()).size() == 3);
  world.net()["b"].kill();
  world.run_for(1s);
  auto const during = homes(world);
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i] == "b:1")
      CHECK(during[i] != "b:1");
    else
      CHECK(during[i] == before[i]);
  }
}

TEST_CASE("story: a header is the key of a call that has none", "[sim][balance]") {
  class tenant final : public interceptor {
   public:
    hook_set hooks() const noexcept override { return {hook::start}; }
    hook_result on_start(call_context& context) override {
      if (context.request_metadata().empty()) context.request_metadata().add("user", "user-5");
      return proceed;
    }
  };
  world world{{.pool = {.target = "a:1,b:1,c:1", .balance = "maglev"},
               .client = {.hash_header = "user"},
               .interceptors = list(std::make_shared<tenant>())}};
  world.pool().open();
  world.run_for(100ms);
  auto const before = homes(world);
  auto const endpoint_of = [&](call_options const& options) {
    auto& call = world.call("hello", options);
    world.run_calls();
    CHECK(call.ok());
    return call.info.endpoint;
  };
  for (int i = 0; i < 100; ++i) {
    std::string const& home = before[static_cast<std::size_t>(i)];
    CHECK(endpoint_of({.metadata = {{"tenant", "x"}, {"user", user(i)}, {"user", "second"}}}) == home);
    // the call's own key comes first
    CHECK(endpoint_of({.hash_key = user(i), .metadata = {{"user", user(i + 1)}}}) == home);
    CHECK(endpoint_of({}) == before[5]);  // from the interceptor
  }
}

TEST_CASE("story: without the header, or with an empty one, a call goes anywhere", "[sim][balance]") {
  world world{{.pool = {.target = "a:1,b:1,c:1", .balance = "maglev"}, .client = {.hash_header = "user"}}};
  world.pool().open();
  world.run_for(100ms);
  for (char const* header : {"tenant", "user"}) {
    std::set<std::string> seen;
    for (int i = 0; i < 50; ++i) {
      auto& call = world.call("hello", {.metadata = {{header, header == std::string("user") ? "" : "same"}}});
      world.run_calls();
      seen.insert(call.info.endpoint);
    }
    CHECK(seen.size() == 3);
  }
}

TEST_CASE("client: a hash_header that cannot be one is refused by name", "[sim][balance]") {
  for (std::string header : {"User", "grpc-tags", "user-bin", "us er"}) {
    CHECK_THROWS_WITH(world({.pool = {.target = "a:1"}, .client = {.hash_header = header}}),
                      "client_params.hash_header: \"" + header +
                          "\" is not allowed; it must be of 0-9 a-z _ . -, not begin with grpc-, nor end in -bin");
  }
}

TEST_CASE("story: under load a key's calls overflow to other endpoints", "[sim][balance]") {
  world world{{.pool = {.target = "a:1,b:1,c:1", .balance = "ring_hash"}}};
  for (char const* name : {"a:1", "b:1", "c:1"}) world.net()[name].call_takes(1s);
  world.pool().open();
  world.run_for(100ms);
  for (int i = 0; i < 120; ++i) world.call("hello", {.hash_key = "the same"});
  world.run_calls();
  CHECK(count_ok(world) == 120);
  // a mean of 40, and a quarter more at most
  for (server* one : world.net().servers()) CHECK(one->received() <= 50);
}

TEST_CASE("story: a leased connection is chosen by its key", "[sim][balance]") {
  world world{{.pool = {.target = "a:1,b:1,c:1", .balance = "maglev"}}};
  world.pool().open();
  world.run_for(100ms);
  for (int i = 0; i < 20; ++i) {
    std::string leased;
    world.pool().async_acquire({.hash_key = user(i)}, [&](error_code error, lease one) {
      CHECK_FALSE(error);
      leased = one.endpoint();
    });
    auto& call = world.call("hello", {.hash_key = user(i)});
    world.run_calls();
    CHECK(call.ok());
    CHECK(leased == call.info.endpoint);
  }
}

TEST_CASE("story: pick_first goes from one address family to the other, wherever the list is from", "[sim][balance]") {
  bool const listed = GENERATE(true, false);
  std::vector<std::string> const all = {"[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"};
  world world{{.pool = {.target = listed ? all[0] + "," + all[1] + "," + all[2] + "," + all[3] + "," + all[4] : "x:1",
                        .balance = "pick_first"}}};
  if (!listed) {
    endpoint_set set;
    for (std::string const& one : all) {
      world.net().add(one);
      set.push_back({.address = one});
    }
    world.pool().update_endpoints(set);
  }
  world.pool().open();
  world.run_for(100ms);
  for (char const* const expected : {"[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"}) {
    auto& call = world.call();
    world.run_calls();
    CHECK(call.info.endpoint == expected);
    world.net()[expected].kill();
    world.run_for(10ms);
  }
}

TEST_CASE("story: pick_first fails over, stays, and comes back", "[sim][balance]") {
  world world{{.pool = {.target = "a:1,b:1", .balance = "pick_first"}}};
  world.pool().open();
  world.run_for(100ms);
  auto const next_goes_to = [&] {
    auto& call = world.call();
    world.run_calls();
    CHECK(call.ok());
    return call.info.endpoint;
  };
  for (int i = 0; i < 5; ++i) CHECK(next_goes_to() == "a:1");
  world.net()["a"].kill();
  world.run_for(10ms);
  CHECK(next_goes_to() == "b:1");
  world.net()["a"].up();
  world.run_for(60s);
  CHECK(world.pool().ready() == 1);
  CHECK(next_goes_to() == "b:1");
  world.net()["b"].kill();
  world.run_for(10ms);
  CHECK(next_goes_to() == "a:1");
}

TEST_CASE(
    "story: a picker of one's own keeps to its zone while that has an endpoint, and follows an endpoint that moves",
    "[sim][balance]") {
  manual_endpoints source;
  auto const located = [&](std::string c_is_in) {
    return endpoint_set{{.address = "a:1", .locality = "east"},
                        {.address = "b:1", .locality = "west", .metadata = {{"rack", "7"}}},
                        {.address = "c:1", .locality = std::move(c_is_in)}};
  };
  source.update(located("east"));
  world world{{.pool = {.make_resolver = source.factory(),
                        .make_picker = [] { return balance::any_picker{zone_picker{"west"}}; }}}};
  make_calls(world, 0s, 40s, 10ms);
  std::array<std::uint64_t, 3> before{};
  auto const got = [&] {
    std::array<std::uint64_t, 3> now{};
    for (std::size_t at = 0; at < 3; ++at)
      now[at] = world.net()[std::string(1, static_cast<char>('a' + at)) + ":1"].received();
    std::array<std::uint64_t, 3> const change{now[0] - before[0], now[1] - before[1], now[2] - before[2]};
    before = now;
    return change;
  };
  world.at(1s, [&] { got(); });
  world.at(10s, [&] { CHECK(got() == std::array<std::uint64_t, 3>{0, 900, 0}); });
  world.at(10s, [&] { world.net()["b:1"].kill(); });
  world.at(11s, [&] { got(); });
  world.at(15s, [&] { CHECK(got() == std::array<std::uint64_t, 3>{200, 0, 200}); });
  world.at(15s, [&] { world.net()["b:1"].up(); });
  world.at(30s, [&] { source.update(located("west")); });
  world.at(31s, [&] { got(); });
  world.at(39s, [&] { CHECK(got() == std::array<std::uint64_t, 3>{0, 400, 400}); });
  world.run_calls();
  CHECK(count_ok(world) == world.calls().size());
}

TEST_CASE("story: what a picker was told of an endpoint is there until it has been told anew", "[sim][balance]") {
  // too long for the string itself, whose memory might stay as it was
  std::string const east = "the rack at the eastern wall";
  std::string const west = "the rack at the western wall";
  std::set<std::string> seen;
  world world{{.pool = {.target = "a:1", .make_picker = [&] { return balance::any_picker{recalling_picker{seen}}; }}}};
  for (std::string const& where : {east, west, east}) {
    world.pool().update_endpoints({{.address = "a:1", .locality = where}});
    auto& call = world.call();
    world.run_calls();
    CHECK(call.ok());
    CHECK(seen.contains(where));
  }
  CHECK(seen == std::set<std::string>{east, west});
}
