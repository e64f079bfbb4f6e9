// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <support/call_once.hpp>
#include <support/wait.hpp>

#include <map>
#include <string>
#include <utility>

namespace millrace::test {

/// Keeps so many calls in flight until told to stop.
class steady_load {
 public:
  steady_load(client<echo::Echo> echo, int in_flight) : echo_(std::move(echo)) {
    for (int call = 0; call < in_flight; ++call) start();
  }

  void stop() { going_ = false; }
  int in_flight() const { return started_ - ended_; }
  int ok() const { return ok_; }
  /// Failed calls by what they said.
  std::map<std::string, int> const& failures() const { return failures_; }

  /// The same in one line, for a failure's INFO.
  std::string told() const {
    std::string text;
    for (auto const& [what, count] : failures_) text += std::to_string(count) + " x " + what + "; ";
    return text;
  }

 private:
  void start() {
    std::string const text = std::to_string(started_++);
    echo_.async_call<&echo::Echo::Stub::PrepareAsyncSay>(
        saying(text), {.timeout = patience},
        [this, text](rpc_result<echo::EchoReply> reply) { on_answer(text, reply); });
  }

  void on_answer(std::string const& text, rpc_result<echo::EchoReply> const& reply) {
    ++ended_;
    if (reply && reply->text() == text) {
      ++ok_;
    } else {
      ++failures_[reply ? "the answer to another call" : reply.error().error_message()];
    }
    if (going_) start();
  }

  client<echo::Echo> echo_;
  bool going_ = true;
  int started_ = 0;
  int ended_ = 0;
  int ok_ = 0;
  std::map<std::string, int> failures_;
};

}  // namespace millrace::test
