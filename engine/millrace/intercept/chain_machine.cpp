// SPDX-License-Identifier: Apache-2.0
#include <millrace/intercept/chain_machine.hpp>

#include <millrace/intercept/call_context.hpp>

#include <utility>

namespace millrace {
namespace {

bool complete(hook stage, hook_arguments const& arguments) noexcept {
  if (arguments.context == nullptr) return false;
  switch (stage) {
    case hook::start:
    case hook::initial_metadata: return true;
    case hook::send_message:
    case hook::recv_message: return arguments.payload != nullptr;
    case hook::done: return arguments.outcome != nullptr;
  }
  return false;
}

}  // namespace

chain_action chain_machine::begin(hook stage, hook_arguments const& arguments) noexcept {
  if (!may_begin(stage, arguments)) return {chain_action::kind::refused};
  stage_ = stage;
  arguments_ = arguments;
  arguments_.context->stage_ = stage;
  outcome_.reset();
  next_ = stage == hook::done ? chain_.size() - owed_ : 0;
  return go_on();
}

chain_action chain_machine::resume(hook_result result) noexcept {
  bool const held = state_ == state::held && result.what() != hook_result::kind::hold;
  if (!held) ++dropped_resumes_;
  // a call has one handle, and this came from it: the next hold may have it
  if (arguments_.context != nullptr) arguments_.context->handle_out_ = false;
  if (!held) return {chain_action::kind::refused};
  accept(std::move(result));
  return go_on();
}

void chain_machine::abandon() noexcept {
  if (state_ == state::held) enter(state::abandoned);
}

bool chain_machine::may_begin(hook stage, hook_arguments const& arguments) const noexcept {
  if (!complete(stage, arguments)) return false;
  switch (state_) {
    case state::fresh: return stage == hook::start || stage == hook::done;
    case state::between: return stage != hook::start;
    case state::abandoned: return stage == hook::done;
    case state::running:
    case state::held:
    case state::over: return false;
  }
  return false;
}

// as far as the hooks proceed
chain_action chain_machine::go_on() noexcept {
  while (next_ < chain_.size()) {
    hook_result result = run();
    if (result.what() == hook_result::kind::hold) {
      enter(state::held);
      return {chain_action::kind::held};
    }
    accept(std::move(result));
  }
  enter(stage_ == hook::done ? state::over : state::between);
  if (outcome_ == nullptr) return {chain_action::kind::passed};
  return {chain_action::kind::finished, std::move(outcome_)};
}

// a hook's answer that is no `hold`. A `finish` is the stage's end, but for `done`, where the others see what it says
void chain_machine::accept(hook_result&& result) noexcept {
  if (result.what() != hook_result::kind::finish) return;
  outcome_ = result.take_status();
  if (stage_ == hook::done) {
    arguments_.outcome = outcome_.get();
  } else {
    next_ = chain_.size();
  }
}

hook_result chain_machine::run() noexcept {
  enter(state::running);
  call_context& context = *arguments_.context;
  context.handle_taken_ = false;
  stage_outcome outcome = chain_.wants(stage_) ? chain_.run(stage_, arguments_, next_) : stage_outcome{};
  next_ = outcome.passed() ? chain_.size() : outcome.at + 1;
  if (stage_ == hook::start) owed_ = next_;
  if (stage_ == hook::done) owed_ = chain_.size() - next_;
  if (outcome.result.what() != hook_result::kind::hold) return std::move(outcome.result);
  return context.handle_taken_ && context.handle_out_ ? std::move(outcome.result) : unheld();
}

// for a `hold` that nobody could resume; in `done` the call has its status, and waiting could change nothing
hook_result chain_machine::unheld() const noexcept {
  if (stage_ == hook::done) return proceed;
  return finish(status_code::internal, "an interceptor held the call without taking its handle");
}

}  // namespace millrace
