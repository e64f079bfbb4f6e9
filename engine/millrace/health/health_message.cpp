// SPDX-License-Identifier: Apache-2.0
#include <millrace/health/health_message.hpp>

#include <cstdint>

namespace millrace::health {
namespace {

// both messages have one field, of number 1
constexpr char service_key = 1 << 3 | 2;  // a string
constexpr std::uint64_t status_key = 1 << 3 | 0;

enum wire_type : unsigned { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

void append_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7u) to += static_cast<char>(value | 0x80u);
  to += static_cast<char>(value);
}

std::optional<std::uint64_t> take_varint(std::string_view& from) noexcept {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !from.empty(); shift += 7) {
    auto const byte = static_cast<unsigned char>(from.front());
    from.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  return std::nullopt;
}

bool skip(std::string_view& from, std::uint64_t size) noexcept {
  if (size > from.size()) return false;
  from.remove_prefix(size);
  return true;
}

// a field that a later version of the message may have
bool skip_field(std::string_view& from, std::uint64_t key) noexcept {
  switch (key & 7u) {
    case varint: return take_varint(from).has_value();
    case fixed64: return skip(from, 8);
    case bytes: {
      auto const size = take_varint(from);
      return size && skip(from, *size);
    }
    case fixed32: return skip(from, 4);
    default: return false;
  }
}

serving_status to_status(std::uint64_t value) noexcept {
  return value <= static_cast<std::uint64_t>(serving_status::service_unknown) ? static_cast<serving_status>(value)
                                                                              : serving_status::unknown;
}

}  // namespace

std::string encode_health_request(std::string_view service) {
  std::string message;
  if (service.empty()) return message;
  message += service_key;
  append_varint(message, service.size());
  return message.append(service);
}

std::optional<serving_status> decode_health_response(std::string_view from) noexcept {
  serving_status found = serving_status::unknown;
  while (!from.empty()) {
    auto const key = take_varint(from);
    if (!key) return std::nullopt;
    if (*key != status_key) {
      if (!skip_field(from, *key)) return std::nullopt;
      continue;
    }
    auto const value = take_varint(from);
    if (!value) return std::nullopt;
    found = to_status(*value);
  }
  return found;
}

}  // namespace millrace::health
