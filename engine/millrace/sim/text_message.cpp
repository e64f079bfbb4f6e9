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

std::size_t size_of(void const* bytes) noexcept { return static_cast<shared_text const*>(bytes)->text.size(); }

void append_to(void const* bytes, std::string& out) { out += static_cast<shared_text const*>(bytes)->text; }

void* share(void* bytes) {
  ++text_of(bytes).references;
  return bytes;
}

void release(void* bytes) noexcept {
  if (--text_of(bytes).references == 0) delete &text_of(bytes);
}

}  // namespace

constinit message_kind const text_kind{.size = &size_of, .append_to = &append_to, .share = &share, .release = &release};

message to_message(std::string text) { return {new shared_text{std::move(text)}, text_kind}; }

}  // namespace millrace::sim
