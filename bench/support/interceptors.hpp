// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status_code.hpp>
#include <millrace/intercept/chain.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace millrace::bench {

/// Ends every call after `longest` at the latest.
class deadline_cap final : public interceptor {
 public:
  explicit deadline_cap(millrace::duration longest) noexcept : longest_(longest) {}

  hook_set hooks() const noexcept override { return {hook::start}; }
  hook_result on_start(call_context& call) override {
    call.shorten_deadline(call.now() + longest_);
    return proceed;
  }

 private:
  millrace::duration longest_;
};

/// Counts calls by outcome.
class outcome_count final : public interceptor {
 public:
  hook_set hooks() const noexcept override { return {hook::start, hook::done}; }
  hook_result on_start(call_context&) override {
    ++begun_;
    return proceed;
  }
  hook_result on_done(call_context&, status const& outcome) override {
    ++ended_[static_cast<std::size_t>(outcome.code)];
    return proceed;
  }

 private:
  std::uint64_t begun_ = 0;
  std::array<std::uint64_t, status_code_count> ended_{};
};

/// Two interceptors as services have them; between them they see every call twice on its way out and once on its way back.
inline chain two_interceptors(millrace::duration longest) {
  chain made;
  made.emplace<deadline_cap>(longest);
  made.emplace<outcome_count>();
  return made;
}

}  // namespace millrace::bench
