// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/message.hpp>
#include <millrace/base/metadata_view.hpp>
#include <millrace/base/status.hpp>

namespace millrace {

class call_context;

/// What one stage hands to its hooks. All of it outlives the stage, and a stage lasts as long as its call is held:
/// `machine.begin(hook::send_message, {.context = &context, .payload = &message})`.
struct hook_arguments {
  call_context* context = nullptr;
  message const* payload = nullptr;  ///< `send_message` and `recv_message`.
  metadata_view headers{};           ///< `initial_metadata`.
  status const* outcome = nullptr;   ///< `done`.
};

}  // namespace millrace
