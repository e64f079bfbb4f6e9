// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/picker.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace millrace::balance {

/// A policy that says what it is called. (The name comes first: asking whether any_picker is movable asks this of it.)
template <class P>
concept named_picker_policy = std::convertible_to<decltype(P::name), std::string_view> && picker_policy<P>;

/// A policy chosen at run time: owns any picker_policy and is one itself. A pick costs one virtual call more. Move-only; a
/// moved-from one may only be assigned to or destroyed.
class any_picker {
 public:
  template <picker_policy P>
  any_picker(std::string_view name, P policy) : model_(std::make_unique<model<P>>(name, std::move(policy))) {}

  /// Named as the policy names itself.
  template <named_picker_policy P>
  explicit any_picker(P policy) : any_picker(P::name, std::move(policy)) {}

  void rebuild(std::span<candidate const> candidates) { model_->rebuild(candidates); }
  std::optional<std::size_t> pick(pick_info const& info) noexcept { return model_->pick(info); }
  void on_done(done_info const& done) noexcept { model_->on_done(done); }

  std::string_view name() const noexcept { return model_->name(); }
  dialing dials() const noexcept { return model_->dials(); }

 private:
  class base {
   public:
    explicit base(std::string_view name) : name_(name) {}
    virtual ~base() = default;

    std::string_view name() const noexcept { return name_; }
    virtual dialing dials() const noexcept = 0;
    virtual void rebuild(std::span<candidate const> candidates) = 0;
    virtual std::optional<std::size_t> pick(pick_info const& info) noexcept = 0;
    virtual void on_done(done_info const& done) noexcept = 0;

   private:
    std::string name_;
  };

  template <class P>
  class model final : public base {
   public:
    model(std::string_view name, P policy) : base(name), policy_(std::move(policy)) {}

    dialing dials() const noexcept override { return balance::dials(policy_); }
    void rebuild(std::span<candidate const> candidates) override { policy_.rebuild(candidates); }
    std::optional<std::size_t> pick(pick_info const& info) noexcept override { return policy_.pick(info); }
    void on_done(done_info const& done) noexcept override { policy_.on_done(done); }

   private:
    P policy_;
  };

  std::unique_ptr<base> model_;
};

/// The names `make_picker` knows.
std::span<std::string_view const> policy_names() noexcept;

/// The policy of that name with its defaults: `round_robin` (starting at a random candidate), `least_request` (with two choices),
/// `peak_ewma`, `pick_first`, `ring_hash` or `maglev`. Any other name is a std::invalid_argument that lists them. `endpoints` is how
/// many the pool has, ready or not; 0: not known.
any_picker make_picker(std::string_view name, std::uint64_t seed, std::size_t endpoints = 0);

}  // namespace millrace::balance
