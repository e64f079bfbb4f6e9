// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace millrace {

/// An RPC's full name, `/package.Service/Method`. Methods known at compile time are numbered, and each channel registers them
/// with gRPC once; one made at run time has no number, and gRPC looks its name up at each call. Copies share the name.
class method {
 public:
  /// Throws std::invalid_argument unless `path` is `/service/method`.
  static method unnumbered(std::string path);

  /// The same object for the same path, for ever: only for names that a program holds, never for names from the wire.
  static method const& numbered(std::string_view path);

  std::string const& path() const noexcept { return *path_; }

  static constexpr std::uint32_t no_number = ~std::uint32_t{0};
  std::uint32_t number() const noexcept { return number_; }

 private:
  method(std::string path, std::uint32_t number)
      : path_(std::make_shared<std::string const>(std::move(path))), number_(number) {}

  std::shared_ptr<std::string const> path_;
  std::uint32_t number_;
};

}  // namespace millrace
