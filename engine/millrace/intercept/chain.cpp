// SPDX-License-Identifier: Apache-2.0
#include <millrace/intercept/chain.hpp>

#include <millrace/intercept/impl/invoke_hook.hpp>

#include <stdexcept>

namespace millrace {

void chain::add(std::shared_ptr<interceptor> one) {
  if (one == nullptr) throw std::invalid_argument("chain::add: the interceptor is null; give it one, or do not add");
  hook_set const hooks = one->hooks();
  members_.push_back({std::move(one), hooks});
  hooks_ |= hooks;
}

template <hook Hook>
stage_outcome chain::run_stage(hook_arguments const& with, std::size_t from) noexcept {
  std::size_t const count = members_.size();
  for (std::size_t at = from; at < count; ++at) {
    member& next = members_[runs_in_reverse(Hook) ? count - 1 - at : at];
    if (!next.hooks.contains(Hook)) continue;
    hook_result result = impl::invoke_hook<Hook>(*next.one, with);
    if (result.what() != hook_result::kind::proceed) return {std::move(result), at};
  }
  return {};
}

stage_outcome chain::run(hook which, hook_arguments const& with, std::size_t from) noexcept {
  switch (which) {
    case hook::start: return run_stage<hook::start>(with, from);
    case hook::send_message: return run_stage<hook::send_message>(with, from);
    case hook::initial_metadata: return run_stage<hook::initial_metadata>(with, from);
    case hook::recv_message: return run_stage<hook::recv_message>(with, from);
    case hook::done: return run_stage<hook::done>(with, from);
  }
  return {};
}

}  // namespace millrace
