// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status_code.hpp>
#include <millrace/config/impl/rows.hpp>
#include <millrace/config/impl/text.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace millrace::config::impl {

bool read_flag(json const& from, std::string_view path);
std::uint64_t read_whole(json const& from, std::string_view path, bounds const& range, std::uint64_t largest);
double read_real(json const& from, std::string_view path, bounds const& range);
duration read_duration(json const& from, std::string_view path, bounds const& range);
std::string read_text(json const& from, std::string_view path, words names);
status_code_set read_codes(json const& from, std::string_view path);

/// The index of a text among the names; throws for any other.
std::size_t read_choice(json const& from, std::string_view path, std::span<std::string_view const> names);

/// Throws unless `from` is an object whose keys are among `known`; says so of those in `code_only`.
void check_keys(json const& from, std::string_view path, std::span<std::string_view const> known,
                std::span<std::string_view const> code_only);

template <described S>
std::vector<std::string_view> names_of() {
  std::vector<std::string_view> names;
  for_each_row<S>([&](auto const& one) { names.push_back(one.name); });
  return names;
}

template <described S>
std::vector<std::string_view> code_names_of() {
  std::vector<std::string_view> names;
  for_each_code_row<S>([&](auto const& one) { names.push_back(one.name); });
  return names;
}

/// Reads a value of any kind that a row can have. What an object leaves out stays as it was; null empties an optional.
/// Throws std::invalid_argument that names the path, the value and what is allowed.
template <class T>
void read(json const& from, T& into, std::string const& path, allowed_values const& allowed = {}) {
  if constexpr (described<T>) {
    check_keys(from, path, names_of<T>(), code_names_of<T>());
    for_each_row<T>([&](auto const& one) {
      auto const found = from.find(one.name);
      if (found != from.end()) read(*found, into.*one.member, joined(path, one.name), one.allowed);
    });
  } else if constexpr (is_optional<T>) {
    if (from.is_null()) return into.reset();
    if (!into) into.emplace();
    read(from, *into, path, allowed);
  } else if constexpr (std::same_as<T, bool>) {
    into = read_flag(from, path);
  } else if constexpr (std::same_as<T, duration>) {
    into = read_duration(from, path, allowed.range);
  } else if constexpr (std::same_as<T, status_code_set>) {
    into = read_codes(from, path);
  } else if constexpr (std::is_enum_v<T>) {
    std::array<std::string_view, std::size(values_of<T>::values)> names;
    std::ranges::transform(values_of<T>::values, names.begin(), [](T one) { return to_string(one); });
    into = values_of<T>::values[read_choice(from, path, names)];
  } else if constexpr (std::unsigned_integral<T>) {
    into = static_cast<T>(read_whole(from, path, allowed.range, std::numeric_limits<T>::max()));
  } else if constexpr (std::floating_point<T>) {
    into = read_real(from, path, allowed.range);
  } else {
    static_assert(std::same_as<T, std::string>, "a kind of parameter that impl/read.hpp does not know yet");
    into = read_text(from, path, allowed.names);
  }
}

}  // namespace millrace::config::impl
