// SPDX-License-Identifier: Apache-2.0
#include <millrace/balance/any_picker.hpp>
#include <millrace/balance/least_request.hpp>
#include <millrace/balance/round_robin.hpp>

#include "support.hpp"

#include <support/catch.hpp>

#include <memory>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

using namespace millrace;
using balance::any_picker;
using balance::candidate;
using balance::done_info;
using balance::field;
using balance::make_picker;
using balance::pick_info;

namespace {

static_assert(std::is_move_constructible_v<any_picker> && std::is_move_assignable_v<any_picker>);
static_assert(!std::is_copy_constructible_v<any_picker>);

// a user's policy: move-only, unnamed, always the last candidate
class last {
 public:
  explicit last(std::vector<status_code>& seen) : seen_(&seen) {}

  void rebuild(std::span<candidate const> candidates) { *size_ = candidates.size(); }
  std::optional<std::size_t> pick(pick_info const&) noexcept {
    return *size_ == 0 ? std::nullopt : std::optional{*size_ - 1};
  }
  void on_done(done_info const& done) noexcept { seen_->push_back(done.code); }

 private:
  std::unique_ptr<std::size_t> size_ = std::make_unique<std::size_t>();
  std::vector<status_code>* seen_;
};

struct forgetful {
  void rebuild(std::span<candidate const>) {}
  std::optional<std::size_t> pick(pick_info const&) { return 0; }  // may throw
  void on_done(done_info const&) noexcept {}
};

static_assert(balance::picker_policy<last>);
static_assert(!balance::named_picker_policy<last>);
static_assert(!balance::picker_policy<forgetful>);
static_assert(!balance::picker_policy<int>);

}  // namespace

TEST_CASE("any_picker: a user's policy is called through it", "[balance][any_picker]") {
  std::vector<status_code> seen;
  any_picker picker{"last", last{seen}};
  CHECK(picker.name() == "last");
  CHECK_FALSE(picker.pick({}));
  auto some = field::apart(3);
  picker.rebuild(some.all);
  CHECK(picker.pick({}) == 2);
  picker.on_done({.now = {}, .slot = 2, .code = status_code::unavailable, .latency = {}});
  CHECK(seen == std::vector{status_code::unavailable});
}

TEST_CASE("any_picker: moving it moves the policy with its state", "[balance][any_picker]") {
  auto some = field::apart(3);
  any_picker picker{balance::round_robin{}};
  picker.rebuild(some.all);
  CHECK(picker.pick({}) == 0);
  any_picker moved{std::move(picker)};
  CHECK(moved.pick({}) == 1);
  picker = std::move(moved);
  CHECK(picker.pick({}) == 2);
  CHECK(picker.name() == "round_robin");
}

TEST_CASE("make_picker: makes each policy under its name", "[balance][any_picker]") {
  auto some = field::apart(3);
  for (std::string_view name : balance::policy_names()) {
    auto picker = make_picker(name, 5);
    CHECK(picker.name() == name);
    CHECK_FALSE(picker.pick({}));
    picker.rebuild(some.all);
    picker.on_done({.now = {}, .slot = 0, .code = status_code::ok, .latency = {}});
    CHECK(picker.pick({}).value() < 3);
  }
}

TEST_CASE("make_picker: a least_request made by name follows the load", "[balance][any_picker]") {
  auto some = field::apart(2);
  some.load[0] = 1;
  auto picker = make_picker("least_request", 5);
  picker.rebuild(some.all);
  for (int i = 0; i < 50; ++i) CHECK(picker.pick({}) == 1);
}

TEST_CASE("make_picker: round_robins of different seeds start with different candidates", "[balance][any_picker]") {
  auto some = field::apart(10);
  std::set<std::size_t> first;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    auto picker = make_picker("round_robin", seed);
    picker.rebuild(some.all);
    first.insert(picker.pick({}).value());
  }
  CHECK(first.size() == 10);
}

TEST_CASE("any_picker: hands on whether the policy needs one endpoint; most need all", "[balance][any_picker]") {
  for (std::string_view const name : balance::policy_names()) {
    CAPTURE(name);
    auto picker = make_picker(name, 1);
    auto const expected = name == "pick_first" ? balance::dialing::first : balance::dialing::all;
    CHECK(picker.dials() == expected);
    CHECK(any_picker("outer", std::move(picker)).dials() == expected);
  }
}

TEST_CASE("make_picker: an unknown name is refused with the known ones", "[balance][any_picker]") {
  CHECK_THROWS_AS(make_picker("foo", 1), std::invalid_argument);
  std::string const allowed = "allowed: round_robin, least_request, peak_ewma, pick_first, ring_hash, maglev";
  CHECK_THROWS_WITH(make_picker("foo", 1), "balance: \"foo\" is not a policy; " + allowed);
  CHECK_THROWS_WITH(make_picker("", 1), "balance: \"\" is not a policy; " + allowed);
  CHECK_THROWS_AS(make_picker("ROUND_ROBIN", 1), std::invalid_argument);
}
