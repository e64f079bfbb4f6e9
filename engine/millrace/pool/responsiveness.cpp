// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/responsiveness.hpp>

#include <millrace/retry/impl/refuse.hpp>

namespace millrace {

void validate(responsiveness_params const& params, std::string_view field_prefix) {
  using retry::impl::refuse, retry::impl::text;
  if (params.after <= duration::zero()) refuse(field_prefix, "after", text(params.after), "more than 0ms");
}

}  // namespace millrace
