// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/text_message.hpp>

#include <utility>

namespace millrace::sim {
namespace {

struct shared_text {
  std::string text;
  unsigned references = 1;
};

shared_text& text_of(void* bytes) noexcept { return *static_cast<shared_text*>(bytes); }

}  // namespace

message_kind const text_kind{
    .size = [](void const* bytes) noexcept { return static_cast<shared_text const*>(bytes)->text.size(); },
    .append_to = [](void const* bytes, std::string& out) { out += static_cast<shared_text const*>(bytes)->text; },
    .share =
        [](void* bytes) {
          ++text_of(bytes).references;
          return bytes;
        },
    .release =
        [](void* bytes) noexcept {
          if (--text_of(bytes).references == 0) delete &text_of(bytes);
        },
};

message to_message(std::string text) { return {new shared_text{std::move(text)}, text_kind}; }

}  // namespace millrace::sim
