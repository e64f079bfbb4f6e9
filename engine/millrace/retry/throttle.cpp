// SPDX-License-Identifier: Apache-2.0
#include <millrace/retry/throttle.hpp>

#include <millrace/retry/impl/refuse.hpp>

#include <cmath>

namespace millrace::retry {

void validate(throttle_params const& params, std::string_view field_prefix) {
  using impl::refuse, impl::text;
  if (params.max_tokens < 1 || params.max_tokens > 1000) {
    refuse(field_prefix, "max_tokens", text(params.max_tokens), "1 to 1000");
  }
  if (!(params.token_ratio >= 0.001) || std::isinf(params.token_ratio)) {
    refuse(field_prefix, "token_ratio", text(params.token_ratio), "a finite number of at least 0.001");
  }
}

}  // namespace millrace::retry
