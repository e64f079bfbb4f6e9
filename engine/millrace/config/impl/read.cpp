// SPDX-License-Identifier: Apache-2.0
#include <millrace/config/impl/read.hpp>

#include <millrace/time/duration_text.hpp>

#include <algorithm>
#include <cmath>

namespace millrace::config::impl {
namespace {

bool within(double value, bounds const& range) noexcept {
  return (range.above ? value > range.least : value >= range.least) && value <= range.most;
}

// what is allowed, with `show` to write a bound: "a number from 0 to 1", "a duration of more than 0s"
template <class Show>
std::string described_range(std::string what, bounds const& range, Show const& show) {
  bool const below = std::isfinite(range.most);
  if (!std::isfinite(range.least)) return below ? what + " of at most " + show(range.most) : what;
  if (below && !range.above) return what + " from " + show(range.least) + " to " + show(range.most);
  what += range.above ? " of more than " : " of at least ";
  what += show(range.least);
  return below ? what + " and at most " + show(range.most) : what;
}

std::string listed(std::span<std::string_view const> names) {
  std::string text;
  for (std::string_view const one : names) text.append(text.empty() ? "" : ", ").append(one);
  return text;
}

status_code read_code(json const& from, std::string_view path) {
  constexpr std::string_view allowed = "gRPC's codes but OK, as a name or a number";
  bool const readable = from.is_string() || from.is_number_unsigned();
  auto const code =
      readable ? status_code_from(from.is_string() ? from.get<std::string>() : from.dump()) : std::nullopt;
  if (!code || *code == status_code::ok) refuse_value(path, from, allowed);
  return *code;
}

}  // namespace

bool read_flag(json const& from, std::string_view path) {
  if (!from.is_boolean()) refuse_value(path, from, "true or false");
  return from.get<bool>();
}

std::uint64_t read_whole(json const& from, std::string_view path, bounds const& range, std::uint64_t largest) {
  std::uint64_t const least = std::isfinite(range.least) ? static_cast<std::uint64_t>(range.least) : 0;
  std::uint64_t const most = std::isfinite(range.most) ? static_cast<std::uint64_t>(range.most) : largest;
  bool const whole = from.is_number_unsigned();
  if (!whole || from.get<std::uint64_t>() < least || from.get<std::uint64_t>() > most) {
    refuse_value(path, from, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return from.get<std::uint64_t>();
}

double read_real(json const& from, std::string_view path, bounds const& range) {
  if (!from.is_number() || !within(from.get<double>(), range)) {
    refuse_value(path, from, described_range("a number", range, [](double value) { return json(value).dump(); }));
  }
  return from.get<double>();
}

duration read_duration(json const& from, std::string_view path, bounds const& range) {
  std::optional<duration> value;
  if (from.is_string()) {
    auto const& text = from.get_ref<std::string const&>();
    value = text == forever ? std::optional(duration::max()) : parse_duration(text);
  }
  if (!value || !within(number(*value), range)) {
    auto const show = [](double ticks) { return to_text(duration(static_cast<duration::rep>(ticks))); };
    refuse_value(path, from, described_range(R"(a duration such as "250ms", "1.5s" or "2m")", range, show));
  }
  return *value;
}

std::string read_text(json const& from, std::string_view path, words names) {
  if (names != nullptr) return std::string(names()[read_choice(from, path, names())]);
  if (!from.is_string()) refuse_value(path, from, "a text");
  return from.get<std::string>();
}

std::size_t read_choice(json const& from, std::string_view path, std::span<std::string_view const> names) {
  auto const found = from.is_string() ? std::ranges::find(names, from.get_ref<std::string const&>()) : names.end();
  if (found == names.end()) refuse_value(path, from, listed(names));
  return static_cast<std::size_t>(found - names.begin());
}

status_code_set read_codes(json const& from, std::string_view path) {
  if (!from.is_array()) refuse_value(path, from, "an array of gRPC's codes");
  status_code_set codes;
  for (std::size_t at = 0; at < from.size(); ++at) {
    codes.insert(read_code(from[at], std::string(path) + '[' + std::to_string(at) + ']'));
  }
  return codes;
}

void check_keys(json const& from, std::string_view path, std::span<std::string_view const> known,
                std::span<std::string_view const> code_only) {
  if (!from.is_object()) refuse_value(path, from, "an object");
  for (auto const& [key, value] : from.items()) {
    if (std::ranges::find(known, key) != known.end()) continue;
    if (std::ranges::find(code_only, key) != code_only.end()) {
      refuse_value(joined(path, key), value, "nothing, because JSON cannot give it: set it in code");
    }
    refuse_key(path, key, known);
  }
}

}  // namespace millrace::config::impl
