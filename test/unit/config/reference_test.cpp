// SPDX-License-Identifier: Apache-2.0
// docs/reference/parameters.md has a row for each parameter
#include <millrace/config/impl/tables.hpp>
#include <millrace/config/impl/text.hpp>

#include <support/catch.hpp>

#include <fstream>
#include <set>
#include <string>
#include <type_traits>

using namespace millrace;
using config::impl::joined;

namespace {

template <class T>
struct inner {
  using type = T;
};
template <class T>
struct inner<std::optional<T>> {
  using type = T;
};

// what the rows of a struct call its fields: `field` in the section `## name`, `name.field` anywhere
std::set<std::string> documented(std::string const& name) {
  std::ifstream file(MILLRACE_PARAMETERS_MD);
  REQUIRE(file.is_open());
  std::set<std::string> fields;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) inside = line == "## " + name;
    if (!line.starts_with("| `")) continue;
    // the first cell may name several
    for (std::size_t at = 2; at < line.find('|', 1) && line[at] == '`';) {
      std::size_t const end = line.find('`', at + 1);
      std::string const field = line.substr(at + 1, end - at - 1);
      if (inside) fields.insert(field);
      if (field.starts_with(name + ".")) fields.insert(field.substr(name.size() + 1));
      at = end + (line.compare(end + 1, 2, ", ") == 0 ? 3 : line.size());
    }
  }
  return fields;
}

// by itself, or each of its own fields
template <class M>
bool has(std::set<std::string> const& fields, std::string const& path) {
  if (fields.contains(path)) return true;
  if constexpr (config::impl::described<typename inner<M>::type>) {
    bool all = true;
    config::impl::for_each_row<typename inner<M>::type>([&]<class S, class F>(config::impl::row<S, F> const& one) {
      all = has<F>(fields, joined(path, one.name)) && all;
    });
    return all;
  }
  return false;
}

// `prefix`: the section is about several structs
template <class T>
void check(std::string const& name, std::string const& prefix = {}) {
  auto const fields = documented(name);
  config::impl::for_each_row<T>([&]<class S, class M>(config::impl::row<S, M> const& one) {
    INFO(name << '.' << one.name);
    CHECK(has<M>(fields, joined(prefix, one.name)));
  });
  config::impl::for_each_code_row<T>([&](auto const& one) {
    INFO(name << '.' << one.name);
    CHECK(fields.contains(std::string(one.name)));
  });
}

}  // namespace

TEST_CASE("config: the reference has each parameter", "[config]") {
  check<pool_params>("pool_params");
  check<dns_params>("resolver_params", "dns");
  check<file_params>("resolver_params", "file");
  check<slot_params>("slot_params");
  check<retry::budget_params>("budget_params");
  check<client_params>("client_params");
  check<balance::slow_start_params>("slow_start_params");
  check<balance::failover_params>("failover_params");
  check<balance::dial_order_params>("dial_order_params");
  check<balance::aperture_params>("aperture_params");
  check<health::accrual_params>("accrual_params");
  check<health::outlier_params>("outlier_params");
  check<health::watch_params>("watch_params");
  check<scaling_params>("scaling_params");
  check<keepalive_params>("keepalive_params");
  check<rotation_params>("rotation_params");
  check<responsiveness_params>("responsiveness_params");
  check<concurrency_limit_params>("concurrency_limit_params");
}
