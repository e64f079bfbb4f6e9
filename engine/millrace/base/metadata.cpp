// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/metadata.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>

namespace millrace {
namespace {

bool legal_in_key(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

bool legal_in_value(char c) noexcept { return c >= 0x20 && c <= 0x7e; }

// an error is read by people: bytes that do not print show as \xNN
std::string quoted(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out = "\"";
  for (char c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if (legal_in_value(c)) {
      out += c;
    } else {
      out.append("\\x").append({digits[byte >> 4u], digits[byte & 15u]});
    }
  }
  return out += '"';
}

}  // namespace

bool legal_metadata_key(std::string_view key) noexcept {
  return !key.empty() && !key.starts_with("grpc-") && std::all_of(key.begin(), key.end(), legal_in_key);
}

bool legal_metadata_value(std::string_view key, std::string_view value) noexcept {
  return key.ends_with("-bin") || std::all_of(value.begin(), value.end(), legal_in_value);
}

void metadata::add(std::string_view key, std::string_view value) {
  if (!legal_metadata_key(key)) {
    throw std::invalid_argument("metadata key " + quoted(key) + " (value " + quoted(value) +
                                "): a key is one or more of 0-9 a-z _ . - and does not begin with \"grpc-\"");
  }
  if (!legal_metadata_value(key, value)) {
    throw std::invalid_argument("metadata key " + quoted(key) + ", value " + quoted(value) +
                                ": a value is printable ASCII (0x20 to 0x7e) unless its key ends in \"-bin\"");
  }
  append(key, value);
}

bool metadata::try_add(std::string_view key, std::string_view value) {
  if (!legal_metadata_key(key) || !legal_metadata_value(key, value)) return false;
  append(key, value);
  return true;
}

metadata_view metadata::view() const noexcept {
  return {this, size(),
          [](void const* list, std::size_t at) noexcept { return (*static_cast<metadata const*>(list))[at]; }};
}

void metadata::clear() noexcept {
  first_.clear();
  more_.clear();
  used_ = 0;
  overflow_.reset();
}

void metadata::append(std::string_view key, std::string_view value) {
  entry const kept{keep(key), keep(value)};
  if (first_.size() < inline_entries) {
    first_.push_back(kept);
  } else {
    more_.push_back(kept);
  }
}

std::string_view metadata::keep(std::string_view text) {
  if (text.empty()) return {};
  char* copy = bytes_.data() + used_;
  if (text.size() <= bytes_.size() - used_) {
    used_ += text.size();
  } else {
    if (!overflow_) overflow_.emplace(std::pmr::new_delete_resource());
    copy = static_cast<char*>(overflow_->allocate(text.size(), 1));
  }
  std::copy(text.begin(), text.end(), copy);
  return {copy, text.size()};
}

}  // namespace millrace
