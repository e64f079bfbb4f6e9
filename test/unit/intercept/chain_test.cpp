// SPDX-License-Identifier: Apache-2.0
#include "scripted_call.hpp"

#include <support/catch.hpp>

#include <memory>

using namespace millrace;

namespace {

struct starts_only {
  hook_result on_start(call_context&) {
    ++starts;
    return proceed;
  }
  int starts = 0;
};

struct ends_only {
  hook_result on_done(call_context&, status const&) { return finish(status_code::aborted, "no"); }
};

class virtual_starts_only final : public interceptor {
 public:
  hook_set hooks() const noexcept override { return {hook::start}; }
  hook_result on_start(call_context&) override {
    ++starts;
    return proceed;
  }
  hook_result on_done(call_context&, status const&) override { throw std::logic_error("not asked for"); }
  int starts = 0;
};

struct no_hook {};

struct wrong_parameter {
  hook_result on_start(int) { return proceed; }
};

struct wrong_result {
  void on_done(call_context&, status const&) {}
};

static_assert(interceptor_chain<chain>);
static_assert(interceptor_chain<static_chain<starts_only, ends_only>>);
static_assert(interceptor_chain<chain_ref>);
static_assert(!interceptor_chain<starts_only>);
static_assert(impl::hooks_of<starts_only>() == hook_set{hook::start});
static_assert(impl::hooks_of<interceptor>() == hook_set::all());
static_assert(impl::hooks_of<no_hook>().empty());
static_assert(impl::hooks_fit<starts_only>() && impl::hooks_fit<interceptor>());
static_assert(!impl::hooks_fit<wrong_parameter>());
static_assert(!impl::hooks_fit<wrong_result>());

}  // namespace

TEST_CASE("chains: messages out pass the first interceptor first, all that comes back passes it last", "[intercept]") {
  for (form how : {form::run_time, form::compile_time}) {
    for (hook which : all_hooks) {
      script play;
      with_chain(how, 3, play, [&](chain_ref chain) {
        scripted_call call;
        CHECK(chain.size() == 3);
        CHECK(chain.run(which, call.arguments(), 0).passed());
      });
      REQUIRE(play.log.size() == 3);
      bool const outward = which == hook::start || which == hook::send_message;
      CHECK(play.log[0] == script::step{outward ? 0u : 2u, which});
      CHECK(play.log[1] == script::step{1, which});
      CHECK(play.log[2] == script::step{outward ? 2u : 0u, which});
    }
  }
}

TEST_CASE("chains: a stage goes on from the position it is given, and past the end it passes", "[intercept]") {
  for (form how : {form::run_time, form::compile_time}) {
    for (hook which : all_hooks) {
      for (std::size_t from = 0; from <= 4; ++from) {
        script play;
        play.says = [](auto, auto) { return answer::finish; };
        with_chain(how, 3, play, [&](chain_ref chain) {
          scripted_call call;
          stage_outcome const outcome = chain.run(which, call.arguments(), from);
          CHECK(outcome.passed() == (from >= 3));
          if (!outcome.passed()) CHECK(outcome.at == from);
        });
        CHECK(play.log.size() == (from >= 3 ? 0 : 1));
      }
    }
  }
}

TEST_CASE("chain_ref: wants a hook when one of the interceptors has it", "[intercept]") {
  CHECK(chain_ref{}.hooks().empty());
  CHECK(chain_ref{}.size() == 0);

  static_chain fixed{starts_only{}, ends_only{}};
  CHECK(chain_ref(fixed).hooks() == hook_set{hook::start, hook::done});
  CHECK(chain_ref(fixed).wants(hook::start));
  CHECK_FALSE(chain_ref(fixed).wants(hook::send_message));

  chain dynamic;
  dynamic.emplace<virtual_starts_only>();
  CHECK(chain_ref(dynamic).hooks() == hook_set{hook::start});

  static_chain held_by_value{virtual_starts_only{}};
  CHECK(chain_ref(held_by_value).hooks() == hook_set{hook::start});
}

TEST_CASE("chain: hooks that an interceptor does not list are not called", "[intercept]") {
  chain both;
  auto& first = both.emplace<virtual_starts_only>();
  script play;
  both.emplace<virtual_actor>(play, 1);
  scripted_call call;
  for (hook which : all_hooks) CHECK(both.run(which, call.arguments(), 0).passed());
  CHECK(first.starts == 1);
  CHECK(play.log.size() == 5);
}

TEST_CASE("static_chain: absent hooks are stepped over, and positions count them", "[intercept]") {
  static_chain chain{starts_only{}, ends_only{}, starts_only{}};
  scripted_call call;
  CHECK(chain.run(hook::send_message, call.arguments(), 0).passed());
  CHECK(chain.run(hook::start, call.arguments(), 0).passed());
  stage_outcome const outcome = chain.run(hook::done, call.arguments(), 0);
  CHECK(outcome.result.what() == hook_result::kind::finish);
  CHECK(outcome.at == 1);
}

TEST_CASE("chain: takes unique and shared interceptors, and no null", "[intercept]") {
  auto const shared = std::make_shared<virtual_starts_only>();
  chain one;
  chain other;
  one.add(std::make_unique<virtual_starts_only>());
  one.add(shared);
  other.add(shared);
  scripted_call call;
  CHECK(one.run(hook::start, call.arguments(), 0).passed());
  CHECK(other.run(hook::start, call.arguments(), 0).passed());
  CHECK(shared->starts == 2);
  CHECK(one.size() == 2);
  CHECK_THROWS_AS(one.add(nullptr), std::invalid_argument);
}

TEST_CASE("held_call: resumes once, and only if it was not moved from", "[intercept]") {
  scripted_call call;
  held_call first = call.context.hold_call();
  held_call second = std::move(first);
  CHECK_FALSE(first);
  first.proceed();
  CHECK(call.resumed.empty());
  second.proceed();
  second.finish(status_code::aborted, "too late");
  REQUIRE(call.resumed.size() == 1);
  CHECK(call.resumed[0].what() == hook_result::kind::proceed);
}

TEST_CASE("trap T34: a held_call that is dropped finishes its call with CANCELLED", "[intercept][T34]") {
  scripted_call call;
  { held_call const dropped = call.context.hold_call(); }
  REQUIRE(call.resumed.size() == 1);
  status const end = *call.resumed[0].take_status();
  CHECK(end.code == status_code::cancelled);
  CHECK(end.message == "an interceptor dropped the call it held");
}

TEST_CASE("held_call: assigning over one drops it", "[intercept]") {
  scripted_call first;
  scripted_call second;
  held_call one = first.context.hold_call();
  one = second.context.hold_call();
  CHECK(first.resumed.size() == 1);
  CHECK(second.resumed.empty());
  one.proceed();
  CHECK(second.resumed.size() == 1);
}

TEST_CASE("call_context: a call has one handle at a time", "[intercept]") {
  scripted_call call;
  held_call const first = call.context.hold_call();
  held_call const second = call.context.hold_call();
  CHECK(first);
  CHECK_FALSE(second);
  CHECK(call.context.handle_out());
}
