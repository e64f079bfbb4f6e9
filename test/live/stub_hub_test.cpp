// SPDX-License-Identifier: Apache-2.0
// What stub channels share, without a pool around it.
#include <millrace/loop/loop.hpp>
#include <millrace/pool/grpc_access.hpp>
#include <millrace/pool/stub_hub.hpp>

#include <support/catch.hpp>

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace millrace;

namespace {

constexpr std::uint32_t slots = 1'000;

// ready, over idle channels, ten to an endpoint
struct fixture {
  fixture() {
    for (std::uint32_t number = 0; number < slots; ++number) {
      if (number % 10 == 0)
        at = std::make_shared<endpoint const>(endpoint{.address = "127.0.0.1:" + std::to_string(1 + number)});
      channel* const made = factory.open(*at, {});
      channels.emplace_back(made, &channel::drop_user);
      all.push_back({.number = number,
                     .endpoint = number / 10,
                     .is = at,
                     .weight = 1,
                     .endpoint_hash = number / 10,
                     .pool_weight = slots / 10,
                     .min_keepalive_time = {},
                     .state = slot_state::ready,
                     .connected = true,
                     .probing = false,
                     .channel = made,
                     .calls = std::make_shared<outside_calls>()});
    }
  }

  // the slot of each call, and what it keeps of it
  std::vector<stub_hub::slot*> calls() {
    std::vector<stub_hub::slot*> seen(slots);
    for (std::uint32_t call = 0; call < slots; ++call) {
      stub_hub::place const at = hub->pick(false);
      seen[at.slot->number] = at.slot.get();
      hub->done(at, status_code::ok);
    }
    return seen;
  }

  // the first twenty, of two endpoints, none of which can be called now
  void leave_two(slot_state first, slot_state second) {
    all.resize(20);
    for (published_slot& one : all) {
      one.state = one.endpoint == 0 ? first : second;
      one.connected = false;
    }
  }

  millrace::loop loop;
  pool_params params{.target = "127.0.0.1:1"};
  grpc_channel_factory factory{loop, params};
  std::shared_ptr<endpoint const> at;
  std::vector<std::unique_ptr<channel, void (*)(channel*)>> channels;
  std::vector<published_slot> all;
  std::shared_ptr<stub_hub> hub =
      std::make_shared<stub_hub>(loop, bound<void()>{},
                                 stub_hub::params{.picker = balance::make_picker("round_robin", 1),
                                                  .max_calls_per_slot = 100,
                                                  .grow_at = 0,
                                                  .dialer = grpc_dialer(params)});
};

// what gRPC is to dial for a call; no address where it fails at once
std::string target_of(stub_hub::place const& at) {
  char* const text = grpc_channel_get_target(grpc_access::core_of(*at.channel));
  std::string target = text;
  gpr_free(text);
  return target;
}

/// Keeps what it was told of the endpoints, in a place that outlives it.
class curious {
 public:
  static constexpr std::string_view name = "curious";

  explicit curious(std::set<std::string>& seen) : seen_(&seen) {}
  void rebuild(std::span<balance::candidate const> ready) {
    seen_->clear();
    for (balance::candidate const& one : ready)
      seen_->insert(one.attributes->address + " in " + one.attributes->locality);
  }
  std::optional<std::size_t> pick(balance::pick_info const&) noexcept { return 0; }
  void on_done(balance::done_info const&) noexcept {}

 private:
  std::set<std::string>* seen_;
};

/// Looks at what it was told of an endpoint when it picks.
class recalling {
 public:
  static constexpr std::string_view name = "recalling";

  explicit recalling(std::string& seen) : seen_(&seen) {}
  void rebuild(std::span<balance::candidate const> ready) { ready_.assign(ready.begin(), ready.end()); }
  std::optional<std::size_t> pick(balance::pick_info const&) noexcept {
    *seen_ = ready_.front().attributes->address;
    return 0;
  }
  void on_done(balance::done_info const&) noexcept {}

 private:
  std::string* seen_;
  std::vector<balance::candidate> ready_;
};

}  // namespace

TEST_CASE(
    "stub hub: of a thousand slots each is told apart from the others, and known again when they are published anew",
    "[live][stub]") {
  fixture with;
  with.hub->publish(with.all, "");
  auto const first = with.calls();
  CHECK(std::set(first.begin(), first.end()).size() == slots);
  CHECK_FALSE(first.front() == nullptr);
  // every tenth goes, the others stay what they are
  std::erase_if(with.all, [](published_slot const& one) { return one.number % 10 == 3; });
  with.hub->publish(with.all, "");
  auto const second = with.calls();
  for (std::uint32_t number = 0; number < slots; ++number) {
    INFO("slot " << number);
    CHECK(second[number] == (number % 10 == 3 ? nullptr : first[number]));
  }
  with.hub->detach();
}

TEST_CASE("stub hub: its picker sees what the source says of an endpoint", "[live][stub]") {
  std::set<std::string> seen;
  fixture with;
  auto const hub = std::make_shared<stub_hub>(with.loop, bound<void()>{},
                                              stub_hub::params{.picker = balance::any_picker{curious{seen}},
                                                               .max_calls_per_slot = 100,
                                                               .grow_at = 0,
                                                               .dialer = grpc_dialer(with.params)});
  with.all.resize(20);
  for (published_slot& one : with.all) {
    one.is = std::make_shared<endpoint const>(
        endpoint{.address = one.endpoint == 0 ? "a:1" : "b:1", .locality = one.endpoint == 0 ? "east" : "west"});
  }
  hub->publish(with.all, "");
  CHECK(seen == std::set<std::string>{"a:1 in east", "b:1 in west"});
  hub->detach();
}

TEST_CASE("stub hub: what its picker was told of an endpoint is there as long as the picker may look at it",
          "[live][stub]") {
  std::string seen;
  fixture with;
  auto const hub = std::make_shared<stub_hub>(with.loop, bound<void()>{},
                                              stub_hub::params{.picker = balance::any_picker{recalling{seen}},
                                                               .max_calls_per_slot = 100,
                                                               .grow_at = 0,
                                                               .dialer = grpc_dialer(with.params)});
  with.all.resize(1);
  with.all.front().is = std::make_shared<endpoint const>(endpoint{.address = "a-name-that-has-a-place-of-its-own:1"});
  std::weak_ptr<endpoint const> const told = with.all.front().is;
  hub->publish(with.all, "");
  with.all.clear();
  REQUIRE_FALSE(told.expired());
  hub->done(hub->pick(false), status_code::ok);
  CHECK(seen == "a-name-that-has-a-place-of-its-own:1");
  hub->publish({}, "there are none");
  CHECK(told.expired());
  hub->detach();
}

TEST_CASE("stub hub: a call that waits for ready does not go to an endpoint that takes no new calls", "[live][stub]") {
  slot_state const state = GENERATE(slot_state::draining, slot_state::closed);
  CAPTURE(to_string(state));
  fixture with;
  with.leave_two(state, slot_state::backing_off);
  with.hub->publish(with.all, "no endpoint is ready");
  CHECK(target_of(with.hub->pick(true)) == "dns:///127.0.0.1:11");
  with.leave_two(state, state);
  with.hub->publish(with.all, "there are none");
  CHECK_THAT(target_of(with.hub->pick(true)), !Catch::Contains("127.0.0.1"));
  with.hub->detach();
}

TEST_CASE("stub hub: calls that wait for ready share a channel until its endpoint takes no new calls or is gone",
          "[live][stub]") {
  fixture with;
  with.leave_two(slot_state::backing_off, slot_state::backing_off);
  with.hub->publish(with.all, "no endpoint is ready");
  auto const first = with.hub->pick(true).channel;
  CHECK(target_of({.channel = first}) == "dns:///127.0.0.1:1");
  with.leave_two(slot_state::connecting, slot_state::backing_off);
  with.hub->publish(with.all, "no endpoint is ready");
  CHECK(with.hub->pick(true).channel == first);
  with.leave_two(slot_state::draining, slot_state::backing_off);
  with.hub->publish(with.all, "no endpoint is ready");
  auto const second = with.hub->pick(true).channel;
  CHECK(target_of({.channel = second}) == "dns:///127.0.0.1:11");
  with.hub->publish({}, "there are none");
  CHECK_THAT(target_of(with.hub->pick(true)), !Catch::Contains("127.0.0.1"));
  with.hub->detach();
}
