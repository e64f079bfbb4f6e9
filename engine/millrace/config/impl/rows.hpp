// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/time/clock.hpp>

#include <concepts>
#include <limits>
#include <optional>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace millrace::config::impl {

/// What a number may be, or a duration, in its ticks.
struct bounds {
  double least = -std::numeric_limits<double>::infinity();
  double most = std::numeric_limits<double>::infinity();
  bool above = false;  ///< More than `least`, not `least` itself.
};

constexpr double number(double value) noexcept { return value; }
constexpr double number(duration value) noexcept { return static_cast<double>(value.count()); }

constexpr bounds at_least(auto value) noexcept { return {.least = number(value)}; }
constexpr bounds more_than(auto value) noexcept { return {.least = number(value), .above = true}; }
constexpr bounds between(auto least, auto most) noexcept { return {.least = number(least), .most = number(most)}; }

inline constexpr bounds positive = more_than(0);

/// The words that a text may be; null: any text.
using words = std::span<std::string_view const> (*)() noexcept;

/// What a field may be.
struct allowed_values {
  bounds range{};
  words names = nullptr;
};

/// One parameter: all that reading, writing, explaining and checking the reference need to know of it.
template <class S, class M>
struct row {
  constexpr row(std::string_view n, M S::*m) noexcept : name(n), member(m) {}
  constexpr row(std::string_view n, M S::*m, bounds range) noexcept : name(n), member(m), allowed{.range = range} {}
  constexpr row(std::string_view n, M S::*m, words names) noexcept : name(n), member(m), allowed{.names = names} {}

  std::string_view name;
  M S::*member;
  allowed_values allowed{};
};

/// A parameter that JSON cannot give: credentials, callbacks, observers.
template <class S, class M>
struct code_row {
  constexpr code_row(std::string_view n, M S::*m) noexcept : name(n), member(m) {}

  std::string_view name;
  M S::*member;
};

/// The parameters of a struct, in its order: `rows`, a tuple of row, and `code_rows`, a tuple of code_row, if it has such.
template <class S>
struct table;

template <class S>
concept described = requires {
  table<S>::rows;
};

/// The values of an enum that JSON names, by its to_string.
template <class E>
struct values_of;

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

/// Calls `visit` with each row.
template <described S, class Visit>
constexpr void for_each_row(Visit&& visit) {
  std::apply([&](auto const&... one) { (visit(one), ...); }, table<S>::rows);
}

template <described S, class Visit>
constexpr void for_each_code_row(Visit&& visit) {
  if constexpr (requires { table<S>::code_rows; }) {
    std::apply([&](auto const&... one) { (visit(one), ...); }, table<S>::code_rows);
  }
}

}  // namespace millrace::config::impl
