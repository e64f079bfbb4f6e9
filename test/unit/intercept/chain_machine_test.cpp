// SPDX-License-Identifier: Apache-2.0
#include "scripted_call.hpp"

#include <millrace/intercept/chain_machine.hpp>

#include <support/allocation_count.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <string>

using namespace millrace;
using kind = chain_action::kind;

namespace {

// how a hold ends
enum class after { proceed, finish, abandon };

struct row {
  form how;
  std::size_t size;
  hook stage;
  std::size_t position;  // in the stage's order
  answer says;
  after then;
};

std::size_t who_at(row const& at, hook stage, std::size_t position) {
  return runs_in_reverse(stage) ? at.size - 1 - position : position;
}

// the first `count` of a stage, in its order
std::vector<script::step> first(row const& at, hook stage, std::size_t count) {
  std::vector<script::step> steps;
  for (std::size_t position = 0; position < count; ++position) steps.push_back({who_at(at, stage, position), stage});
  return steps;
}

// on_done of the interceptors 0 to count-1
std::vector<script::step> done_of(std::size_t count) {
  std::vector<script::step> steps;
  while (count > 0) steps.push_back({--count, hook::done});
  return steps;
}

class scenario {
 public:
  scenario(row const& at, scripted_call& call, chain_ref chain, script& play)
      : at_(at), play_(play), call_(call), machine_(chain) {}

  void run() {
    if (at_.stage != hook::start && at_.stage != hook::done) pass(hook::start);
    if (at_.stage == hook::done) {
      pass(hook::start);
      run_done_stage();
    } else {
      run_stage();
    }
    CHECK(machine_.where() == chain_machine::state::over);
    for (hook stage : all_hooks) CHECK(machine_.begin(stage, call_.arguments()).what == kind::refused);
  }

 private:
  void pass(hook stage) {
    play_.log.clear();
    CHECK(machine_.begin(stage, call_.arguments()).what == kind::passed);
    CHECK(play_.log == first(at_, stage, at_.size));
  }

  chain_action resume(after how) {
    play_.handles.front().finish(status_code::not_found, "resumed with this");
    hook_result result = std::move(call_.resumed.at(0));
    return machine_.resume(how == after::proceed ? hook_result(proceed) : std::move(result));
  }

  // a stage before done: the part of it that ran decides who gets on_done
  void run_stage() {
    play_.log.clear();
    chain_action action = machine_.begin(at_.stage, call_.arguments());
    std::size_t reached = at_.position + 1;
    if (at_.says == answer::hold) {
      REQUIRE(action.what == kind::held);
      CHECK(play_.log == first(at_, at_.stage, reached));
      for (hook stage : all_hooks) CHECK(machine_.begin(stage, call_.arguments()).what == kind::refused);
      action = end_hold();
      if (at_.then == after::proceed) reached = at_.size;
    } else if (at_.says == answer::proceed) {
      CHECK(action.what == kind::passed);
      reached = at_.size;
    } else {
      CHECK(action.what == kind::finished);
      CHECK(action.outcome->code == (at_.says == answer::finish ? status_code::aborted : status_code::internal));
    }
    CHECK(play_.log == first(at_, at_.stage, reached));
    finish_call(at_.stage == hook::start ? reached : at_.size);
  }

  chain_action end_hold() {
    if (at_.then == after::abandon) {
      machine_.abandon();
      CHECK(machine_.begin(hook::send_message, call_.arguments()).what == kind::refused);
      return {};
    }
    chain_action action = resume(at_.then);
    if (at_.then == after::proceed) CHECK(action.what == kind::passed);
    if (at_.then == after::finish) {
      REQUIRE(action.what == kind::finished);
      CHECK(action.outcome->code == status_code::not_found);
    }
    return action;
  }

  void finish_call(std::size_t started) {
    play_.log.clear();
    CHECK(machine_.begin(hook::done, call_.arguments()).what == kind::passed);
    CHECK(play_.log == done_of(started));
    if (at_.says == answer::hold && at_.then == after::abandon) {
      CHECK(resume(after::finish).what == kind::refused);
      CHECK(machine_.dropped_resumes() == 1);
    }
  }

  void run_done_stage() {
    play_.log.clear();
    chain_action action = machine_.begin(hook::done, call_.arguments());
    if (at_.says == answer::hold) {
      REQUIRE(action.what == kind::held);
      CHECK(play_.log == first(at_, hook::done, at_.position + 1));
      if (at_.then == after::abandon) {
        machine_.abandon();
        action = machine_.begin(hook::done, call_.arguments());
      } else {
        action = resume(at_.then);
      }
    }
    CHECK(play_.log == done_of(at_.size));
    bool const replaced = at_.says == answer::finish || at_.says == answer::throws ||
                          (at_.says == answer::hold && at_.then == after::finish);
    CHECK(action.what == (replaced ? kind::finished : kind::passed));
    CHECK((action.outcome != nullptr) == replaced);
  }

  row at_;
  script& play_;
  scripted_call& call_;
  chain_machine machine_;
};

template <class Visit>
void for_each_row(Visit&& visit) {
  for (form how : {form::run_time, form::compile_time}) {
    for (std::size_t size = 1; size <= 3; ++size) {
      for (hook stage : all_hooks) {
        for (std::size_t position = 0; position < size; ++position) {
          for (answer says :
               {answer::proceed, answer::hold, answer::finish, answer::throws, answer::hold_without_handle}) {
            for (after then : {after::proceed, after::finish, after::abandon}) {
              if (says == answer::hold || then == after::proceed) visit(row{how, size, stage, position, says, then});
            }
          }
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("chain_machine: every answer of every hook at every position of chains of 1 to 3", "[intercept]") {
  std::size_t rows = 0;
  for_each_row([&](row const& at) {
    INFO((at.how == form::run_time ? "chain" : "static_chain")
         << " of " << at.size << ", " << to_string(at.stage) << " at position " << at.position << " answers "
         << static_cast<int>(at.says) << ", the hold ends " << static_cast<int>(at.then));
    scripted_call call;
    script play;
    play.says = [&](std::size_t who, hook which) {
      return which == at.stage && who == who_at(at, at.stage, at.position) ? at.says : answer::proceed;
    };
    with_chain(at.how, at.size, play, [&](chain_ref chain) { scenario(at, call, chain, play).run(); });
    ++rows;
  });
  CHECK(rows == 2 * 5 * (1 + 2 + 3) * 7);
}

TEST_CASE("chain_machine: a chain without interceptors passes every stage", "[intercept]") {
  script play;
  auto const passes = [](chain_ref chain) {
    scripted_call call;
    chain_machine machine(chain);
    for (hook stage : all_hooks) CHECK(machine.begin(stage, call.arguments()).what == kind::passed);
    CHECK(machine.where() == chain_machine::state::over);
  };
  passes(chain_ref{});
  for (form how : {form::run_time, form::compile_time}) with_chain(how, 0, play, passes);
}

TEST_CASE("chain_machine: a call that ends before it started runs no on_done", "[intercept]") {
  scripted_call call;
  script play;
  with_chain(form::run_time, 3, play, [&](chain_ref chain) {
    chain_machine machine(chain);
    CHECK(machine.begin(hook::done, call.arguments()).what == kind::passed);
    CHECK(play.log.empty());
    CHECK(machine.begin(hook::start, call.arguments()).what == kind::refused);
  });
}

TEST_CASE("chain_machine: stages out of order and arguments that lack something are refused", "[intercept]") {
  scripted_call call;
  script play;
  with_chain(form::compile_time, 2, play, [&](chain_ref chain) {
    chain_machine machine(chain);
    for (hook stage : {hook::send_message, hook::initial_metadata, hook::recv_message}) {
      CHECK(machine.begin(stage, call.arguments()).what == kind::refused);
    }
    CHECK(machine.begin(hook::start, {}).what == kind::refused);
    CHECK(machine.begin(hook::done, {.context = &call.context}).what == kind::refused);
    CHECK(machine.begin(hook::start, {.context = &call.context}).what == kind::passed);
    CHECK(machine.begin(hook::start, {.context = &call.context}).what == kind::refused);
    CHECK(machine.begin(hook::send_message, {.context = &call.context}).what == kind::refused);
    CHECK(machine.begin(hook::recv_message, {.context = &call.context}).what == kind::refused);
    CHECK(machine.begin(hook::done, {.context = &call.context}).what == kind::refused);
    CHECK(play.log.size() == 2);
  });
}

TEST_CASE("chain_machine: a resume of what is not held is refused and counted", "[intercept]") {
  scripted_call call;
  script play;
  with_chain(form::run_time, 1, play, [&](chain_ref chain) {
    chain_machine machine(chain);
    CHECK(machine.resume(proceed).what == kind::refused);
    (void)machine.begin(hook::start, call.arguments());
    machine.abandon();
    CHECK(machine.where() == chain_machine::state::between);
    CHECK(machine.resume(finish(status_code::aborted, "late")).what == kind::refused);
    (void)machine.begin(hook::done, call.arguments());
    CHECK(machine.resume(proceed).what == kind::refused);
    CHECK(machine.dropped_resumes() == 3);
  });
}

TEST_CASE("chain_machine: a resume with hold is refused, and the call stays held", "[intercept]") {
  scripted_call call;
  script play;
  play.says = [](auto, hook which) { return which == hook::start ? answer::hold : answer::proceed; };
  with_chain(form::run_time, 1, play, [&](chain_ref chain) {
    chain_machine machine(chain);
    CHECK(machine.begin(hook::start, call.arguments()).what == kind::held);
    CHECK(machine.resume(hold).what == kind::refused);
    CHECK(machine.where() == chain_machine::state::held);
    CHECK(machine.resume(proceed).what == kind::passed);
  });
}

TEST_CASE("chain_machine: a finish from on_done is what the outer interceptors and the caller see", "[intercept]") {
  for (form how : {form::run_time, form::compile_time}) {
    scripted_call call;
    script play;
    play.says = [](std::size_t who, hook which) {
      return who == 1 && which == hook::done ? answer::finish : answer::proceed;
    };
    with_chain(how, 3, play, [&](chain_ref chain) {
      call.outcome = {status_code::unavailable, "the call's own", {}};
      chain_machine machine(chain);
      (void)machine.begin(hook::start, call.arguments());
      chain_action const action = machine.begin(hook::done, call.arguments());
      REQUIRE(play.done_with.size() == 3);
      CHECK(play.done_with[0].code == status_code::unavailable);
      CHECK(play.done_with[1].code == status_code::unavailable);
      CHECK(play.done_with[2].code == status_code::aborted);
      REQUIRE(action.what == kind::finished);
      CHECK(action.outcome->code == status_code::aborted);
      CHECK(action.outcome->message == "finished by an interceptor");
    });
  }
}

TEST_CASE("chain_machine: an exception becomes INTERNAL with its text", "[intercept]") {
  for (form how : {form::run_time, form::compile_time}) {
    scripted_call call;
    script play;
    play.says = [](auto, auto) { return answer::throws; };
    with_chain(how, 1, play, [&](chain_ref chain) {
      chain_machine machine(chain);
      chain_action const action = machine.begin(hook::start, call.arguments());
      REQUIRE(action.what == kind::finished);
      CHECK(action.outcome->code == status_code::internal);
      CHECK(action.outcome->message == "interceptor threw: no luck");
    });
  }
}

TEST_CASE("chain_machine: something thrown that is no std::exception becomes INTERNAL as well", "[intercept]") {
  struct thrower {
    hook_result on_start(call_context&) { throw 42; }
  };
  static_chain chain{thrower{}};
  scripted_call call;
  chain_machine machine{chain_ref(chain)};
  chain_action const action = machine.begin(hook::start, call.arguments());
  REQUIRE(action.what == kind::finished);
  CHECK(action.outcome->message == "interceptor threw: something that is no std::exception");
}

TEST_CASE("chain_machine: after an abandoned hold on_done cannot wait on the handle that is still out", "[intercept]") {
  scripted_call call;
  script play;
  play.says = [](std::size_t who, hook which) {
    return (who == 1 && which == hook::start) || (who == 0 && which == hook::done) ? answer::hold : answer::proceed;
  };
  with_chain(form::run_time, 2, play, [&](chain_ref chain) {
    chain_machine machine(chain);
    CHECK(machine.begin(hook::start, call.arguments()).what == kind::held);
    machine.abandon();
    CHECK(call.context.handle_out());
    CHECK(machine.begin(hook::done, call.arguments()).what == kind::passed);
    REQUIRE(play.handles.size() == 2);
    CHECK(play.handles[0]);
    CHECK_FALSE(play.handles[1]);
  });
}

TEST_CASE("chain_machine: a handle that leaked from a hook that proceeded resumes nobody else", "[intercept]") {
  struct leaker {
    hook_result on_start(call_context& call) {
      *kept = call.hold_call();
      return proceed;
    }
    held_call* kept;
  };
  scripted_call call;
  script play;
  play.says = [](auto, hook which) { return which == hook::start ? answer::hold : answer::proceed; };
  held_call kept;
  static_chain chain{leaker{&kept}, actor{play, 1}};
  chain_machine machine{chain_ref(chain)};
  chain_action const action = machine.begin(hook::start, call.arguments());
  REQUIRE(action.what == kind::finished);
  CHECK(action.outcome->message == "an interceptor held the call without taking its handle");
  kept.proceed();
  CHECK(machine.resume(std::move(call.resumed.at(0))).what == kind::refused);
  CHECK_FALSE(call.context.handle_out());
}

TEST_CASE("chain_machine: begin and resume from inside a hook are refused", "[intercept]") {
  struct meddler {
    hook_result on_start(call_context& call) {
      inner.push_back(machine->begin(hook::send_message, {.context = &call}).what);
      inner.push_back(machine->begin(hook::done, {.context = &call}).what);
      inner.push_back(machine->resume(proceed).what);
      machine->abandon();
      return proceed;
    }
    chain_machine* machine = nullptr;
    std::vector<kind> inner{};
  };
  static_chain chain{meddler{}};
  chain_machine machine{chain_ref(chain)};
  chain.get<meddler>().machine = &machine;
  scripted_call call;
  CHECK(machine.begin(hook::start, call.arguments()).what == kind::passed);
  CHECK(chain.get<meddler>().inner == std::vector(3, kind::refused));
}

TEST_CASE("chain_machine: a deadline is shortened in on_start, and only there", "[intercept]") {
  struct capper {
    hook_result on_start(call_context& call) {
      shortened.push_back(call.shorten_deadline(time_point{} + std::chrono::seconds(5)));
      shortened.push_back(call.shorten_deadline(time_point{} + std::chrono::seconds(9)));
      return proceed;
    }
    hook_result on_send_message(call_context& call, message const&) {
      shortened.push_back(call.shorten_deadline(time_point{} + std::chrono::seconds(1)));
      return proceed;
    }
    std::vector<bool> shortened{};
  };
  static_chain chain{capper{}};
  chain_machine machine{chain_ref(chain)};
  scripted_call call;
  (void)machine.begin(hook::start, call.arguments());
  (void)machine.begin(hook::send_message, call.arguments());
  CHECK(chain.get<capper>().shortened == std::vector{true, false, false});
  CHECK(call.context.deadline() == time_point{} + std::chrono::seconds(5));
}

TEST_CASE("chain_machine: a call through two interceptors allocates nothing", "[intercept]") {
  struct tagger {
    hook_result on_start(call_context& call) {
      call.request_metadata().add("x-tag", "blue");
      return proceed;
    }
    hook_result on_done(call_context&, status const&) { return proceed; }
  };
  static_chain chain{tagger{}, tagger{}};
  scripted_call call;
  std::size_t const before = allocation_count();
  chain_machine machine{chain_ref(chain)};
  for (hook stage : all_hooks) (void)machine.begin(stage, call.arguments());
  CHECK(allocation_count() == before);
  CHECK(call.request_metadata.size() == 2);
}
