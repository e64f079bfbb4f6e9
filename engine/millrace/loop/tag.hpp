// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/ledger.hpp>

namespace millrace {

namespace detail {

template <auto Member>
struct member_owner;
template <class Owner, void (Owner::*Member)(completion)>
struct member_owner<Member> {
  using type = Owner;
};
template <class Owner, void (Owner::*Member)(completion) noexcept>
struct member_owner<Member> {
  using type = Owner;
};

}  // namespace detail

/// A tracked operation embedded in its owner that completes by calling one of the owner's members:
/// `tag<&watcher::on_change> change_{*this};`. Binds without allocating.
template <auto Member>
class tag final : public tracked_operation {
 public:
  using owner_type = typename detail::member_owner<Member>::type;

  explicit tag(owner_type& owner) noexcept : tracked_operation(&tag::run), owner_(owner) {}

 private:
  static void run(operation& self, completion how) { (static_cast<tag&>(self).owner_.*Member)(how); }

  owner_type& owner_;
};

/// The same for an operation that is only ever scheduled on the loop, not given to gRPC.
template <auto Member>
class task final : public operation {
 public:
  using owner_type = typename detail::member_owner<Member>::type;

  explicit task(owner_type& owner) noexcept : operation(&task::run), owner_(owner) {}

 private:
  static void run(operation& self, completion how) { (static_cast<task&>(self).owner_.*Member)(how); }

  owner_type& owner_;
};

}  // namespace millrace
