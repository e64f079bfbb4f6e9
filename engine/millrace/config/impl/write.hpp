// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status_code.hpp>
#include <millrace/config/impl/rows.hpp>
#include <millrace/config/impl/text.hpp>
#include <millrace/time/duration_text.hpp>

#include <string>

namespace millrace::config::impl {

json written_codes(status_code_set codes);
json written_duration(duration value);

/// What `read` reads back as the same.
template <class T>
json written(T const& value) {
  if constexpr (described<T>) {
    json object = json::object();
    for_each_row<T>([&](auto const& one) { object[std::string(one.name)] = written(value.*one.member); });
    return object;
  } else if constexpr (is_optional<T>) {
    return value ? written(*value) : json(nullptr);
  } else if constexpr (std::same_as<T, duration>) {
    return written_duration(value);
  } else if constexpr (std::same_as<T, status_code_set>) {
    return written_codes(value);
  } else if constexpr (std::is_enum_v<T>) {
    return json(to_string(value));
  } else {
    return json(value);
  }
}

}  // namespace millrace::config::impl
