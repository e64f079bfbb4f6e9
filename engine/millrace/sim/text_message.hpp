// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/message.hpp>

#include <string>

namespace millrace::sim {

/// The kind of a message that is a string.
extern message_kind const text_kind;

message to_message(std::string text);

}  // namespace millrace::sim
