// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/make_resolver.hpp>

#include <millrace/resolve/dns_resolver.hpp>
#include <millrace/resolve/file_resolver.hpp>
#include <millrace/resolve/static_resolver.hpp>
#include <millrace/resolve/system_lookup.hpp>
#include <millrace/resolve/target.hpp>

#include <string>
#include <utility>
#include <variant>

namespace millrace {
namespace {

std::unique_ptr<name_lookup> lookup_of(resolver_params const& params, loop& on) {
  if (params.make_lookup) return params.make_lookup(on);
  return std::make_unique<resolve::system_lookup>(on);
}

std::unique_ptr<resolver> make(endpoint_set const& set, resolver_params const&, loop&) {
  return std::make_unique<resolve::static_resolver>(set);
}

std::unique_ptr<resolver> make(resolve::dns_name const& name, resolver_params const& params, loop& on) {
  return std::make_unique<resolve::dns_resolver>(on, name, params.dns, lookup_of(params, on));
}

std::unique_ptr<resolver> make(resolve::file_name const& file, resolver_params const& params, loop& on) {
  return std::make_unique<resolve::file_resolver>(on, file.path, params.file);
}

}  // namespace

void validate(resolver_params const& params, std::string_view field_prefix) {
  std::string const prefix(field_prefix);
  validate(params.dns, prefix + ".dns");
  validate(params.file, prefix + ".file");
}

resolver_factory make_resolver(std::string_view target, resolver_params params, std::string_view where) {
  validate(params, "resolver_params");
  return [from = resolve::parse_target(target, where), with = std::move(params)](loop& on) {
    return std::visit([&](auto const& source) { return make(source, with, on); }, from);
  };
}

}  // namespace millrace
