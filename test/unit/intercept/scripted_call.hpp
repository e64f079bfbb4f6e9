// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/metadata.hpp>
#include <millrace/intercept/chain.hpp>
#include <millrace/intercept/chain_ref.hpp>
#include <millrace/intercept/static_chain.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <functional>
#include <stdexcept>
#include <utility>
#include <vector>

/// A call without a driver: what would be queued on its loop waits in `resumed`. As a driver must, it outlives its handle:
/// make it before the script that may keep one.
struct scripted_call final : millrace::hold_target {
  ~scripted_call() {
    if (context.handle_out() && resumed.empty()) std::terminate();
  }

  void resume(millrace::hook_result result) noexcept override { resumed.push_back(std::move(result)); }

  millrace::hook_arguments arguments() noexcept { return {&context, &payload, {}, &outcome}; }

  std::vector<millrace::hook_result> resumed;
  millrace::metadata request_metadata;
  millrace::call_context context{"/echo.Echo/Say", request_metadata, *this};
  millrace::message payload;
  millrace::status outcome;
};

inline constexpr std::array all_hooks = {millrace::hook::start, millrace::hook::send_message,
                                         millrace::hook::initial_metadata, millrace::hook::recv_message,
                                         millrace::hook::done};

enum class answer { proceed, hold, finish, throws, hold_without_handle };

/// What the interceptors of a test do, and what they were asked.
struct script {
  struct step {
    std::size_t who;
    millrace::hook which;
    friend bool operator==(step const&, step const&) = default;
  };

  millrace::hook_result play(std::size_t who, millrace::hook which, millrace::call_context& context) {
    log.push_back({who, which});
    switch (says(who, which)) {
      case answer::proceed: break;
      case answer::hold: handles.push_back(context.hold_call()); return millrace::hold;
      case answer::finish: return millrace::finish(millrace::status_code::aborted, "finished by an interceptor");
      case answer::throws: throw std::runtime_error("no luck");
      case answer::hold_without_handle: return millrace::hold;
    }
    return millrace::proceed;
  }

  std::function<answer(std::size_t who, millrace::hook which)> says = [](auto, auto) { return answer::proceed; };
  std::vector<step> log;
  std::vector<millrace::status> done_with;  // what each on_done was told
  std::vector<millrace::held_call> handles;
};

/// One interceptor of a script, as static_chain takes it: no base class.
class actor {
 public:
  actor(script& play, std::size_t who) : play_(&play), who_(who) {}

  millrace::hook_result on_start(millrace::call_context& call) {
    return play_->play(who_, millrace::hook::start, call);
  }
  millrace::hook_result on_send_message(millrace::call_context& call, millrace::message const&) {
    return play_->play(who_, millrace::hook::send_message, call);
  }
  millrace::hook_result on_initial_metadata(millrace::call_context& call, millrace::metadata_view) {
    return play_->play(who_, millrace::hook::initial_metadata, call);
  }
  millrace::hook_result on_recv_message(millrace::call_context& call, millrace::message const&) {
    return play_->play(who_, millrace::hook::recv_message, call);
  }
  millrace::hook_result on_done(millrace::call_context& call, millrace::status const& outcome) {
    play_->done_with.push_back(outcome);
    return play_->play(who_, millrace::hook::done, call);
  }

 private:
  script* play_;
  std::size_t who_;
};

/// The same as chain takes it.
class virtual_actor final : public millrace::interceptor {
 public:
  virtual_actor(script& play, std::size_t who) : actor_(play, who) {}

  millrace::hook_result on_start(millrace::call_context& call) override { return actor_.on_start(call); }
  millrace::hook_result on_send_message(millrace::call_context& call, millrace::message const& payload) override {
    return actor_.on_send_message(call, payload);
  }
  millrace::hook_result on_initial_metadata(millrace::call_context& call, millrace::metadata_view headers) override {
    return actor_.on_initial_metadata(call, headers);
  }
  millrace::hook_result on_recv_message(millrace::call_context& call, millrace::message const& payload) override {
    return actor_.on_recv_message(call, payload);
  }
  millrace::hook_result on_done(millrace::call_context& call, millrace::status const& outcome) override {
    return actor_.on_done(call, outcome);
  }

 private:
  actor actor_;
};

enum class form { run_time, compile_time };

/// Runs `test(chain_ref)` on a chain of `size` (0 to 3) interceptors that play `play`.
template <class Test>
void with_chain(form how, std::size_t size, script& play, Test&& test) {
  auto const run = [&](auto chain) { test(millrace::chain_ref(chain)); };
  if (how == form::run_time) {
    millrace::chain chain;
    for (std::size_t who = 0; who < size; ++who) chain.emplace<virtual_actor>(play, who);
    return run(std::move(chain));
  }
  switch (size) {
    case 0: return run(millrace::static_chain<>{});
    case 1: return run(millrace::static_chain{actor{play, 0}});
    case 2: return run(millrace::static_chain{actor{play, 0}, actor{play, 1}});
    case 3: return run(millrace::static_chain{actor{play, 0}, actor{play, 1}, actor{play, 2}});
    default: throw std::logic_error("with_chain makes chains of up to 3");
  }
}
