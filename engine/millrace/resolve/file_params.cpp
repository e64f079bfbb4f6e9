// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/file_params.hpp>

#include <millrace/retry/impl/refuse.hpp>

namespace millrace {

void validate(file_params const& params, std::string_view field_prefix) {
  auto const positive = [&](duration value, std::string_view field) {
    if (value <= duration::zero()) retry::impl::refuse(field_prefix, field, retry::impl::text(value), "more than 0ms");
  };
  positive(params.settle_interval, "settle_interval");
  positive(params.poll_interval, "poll_interval");
}

}  // namespace millrace
