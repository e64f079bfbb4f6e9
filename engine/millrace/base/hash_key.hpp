// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/rng.hpp>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string_view>

namespace millrace {

/// A hash that is the same in every process, on every machine and in every release: clients that share it send a key to the
/// same endpoint. FNV-1a of the bytes (Fowler, Noll and Vo), scattered by splitmix64, because FNV leaves the high bits of short
/// texts alike. Not for secrets, nor against somebody who chooses keys to collide.
constexpr std::uint64_t stable_hash(std::string_view text) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (char const one : text) hash = (hash ^ static_cast<unsigned char>(one)) * 0x100000001b3u;
  return rng{hash}.next();
}

/// What calls that belong together have in common, such as a user or a session, for the policies that hash: `ring_hash` and
/// `maglev`. Made of a text, of which it keeps the `stable_hash` only. None of an empty text: such a call goes anywhere.
class hash_key {
 public:
  constexpr hash_key() noexcept = default;

  // converts, so that one can write {.hash_key = user}
  template <std::convertible_to<std::string_view> Text>
  constexpr hash_key(Text const& text) noexcept {
    if (std::string_view const key(text); !key.empty()) hash_ = stable_hash(key);
  }

  constexpr std::optional<std::uint64_t> const& hash() const noexcept { return hash_; }

 private:
  std::optional<std::uint64_t> hash_;
};

}  // namespace millrace
