// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/intercept/interceptor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <variant>

namespace millrace {

struct bearer_token {
  std::string value;  ///< Without `Bearer `.
  time_point expires_at = never;
};

struct token_failure {
  std::string why;
};

using token_result = std::variant<bearer_token, token_failure>;

struct bearer_token_params {
  /// Begins to fetch a token and hands the outcome to the function it is given: once, on the loop's thread, at once or later,
  /// even when the interceptor is gone. To drop that function, or to throw, counts as a failure. Required.
  std::function<void(std::function<void(token_result)> done)> fetch{};
  /// How long before it expires a token is replaced. At least zero.
  duration refresh_margin = std::chrono::seconds(60);
  /// No further fetch for so long after one that failed, and after the start of one in the background. At least zero.
  duration min_retry_interval = std::chrono::seconds(1);
};

/// Gives each call `authorization: Bearer …`, with a token that it fetches when first needed and replaces in the background
/// when it is about to expire. Calls that find no valid token are held until the one fetch in flight ends; where that fails,
/// they end with UNAUTHENTICATED "token refresh failed: …". A call that brings its own `authorization` is left alone.
///
/// The text of a token appears in no error.
class bearer_token_interceptor final : public interceptor {
 public:
  /// Throws `std::invalid_argument` naming the field.
  explicit bearer_token_interceptor(bearer_token_params params);
  ~bearer_token_interceptor() override;

  hook_set hooks() const noexcept override { return {hook::start}; }
  hook_result on_start(call_context& context) override;

 private:
  class token_source;

  // shared, because a fetch may end after the interceptor: it holds a weak reference. The interceptor lets go last, and calls
  // then held finish with CANCELLED
  std::shared_ptr<token_source> source_;
};

}  // namespace millrace
