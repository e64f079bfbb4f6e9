// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/method.hpp>

#include <deque>
#include <mutex>
#include <stdexcept>

namespace millrace {
namespace {

void check(std::string_view path) {
  std::size_t const slash = path.rfind('/');
  bool const legal = path.size() > 2 && path.front() == '/' && slash > 1 && slash + 1 < path.size() &&
                     path.find_first_of(" \t\r\n") == path.npos;
  if (!legal) {
    throw std::invalid_argument("method: \"" + std::string(path) +
                                "\" is not allowed; it must be /package.Service/Method");
  }
}

}  // namespace

method method::unnumbered(std::string path) {
  check(path);
  return method(std::move(path), no_number);
}

method const& method::numbered(std::string_view path) {
  static std::mutex guard;
  static std::deque<method> known;
  check(path);
  std::lock_guard const lock(guard);
  for (method const& one : known) {
    if (one.path() == path) return one;
  }
  known.push_back(method(std::string(path), static_cast<std::uint32_t>(known.size())));
  return known.back();
}

}  // namespace millrace
