// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/manual_endpoints.hpp>

#include <millrace/loop/loop.hpp>
#include <millrace/resolve/impl/doorbell.hpp>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace millrace {

class manual_endpoints::shared {
 public:
  using button = resolve::impl::doorbell::button;

  /// What is known at one moment. Each update and each failure has a number of its own.
  struct news {
    endpoint_set set;
    std::string failure;
    std::uint64_t updated = 0;  // 0: never
    std::uint64_t failed = 0;   // 0: not since the last update
  };

  void update(endpoint_set set) {
    tell([&] { latest_ = {.set = std::move(set), .failure = {}, .updated = ++number_}; });
  }
  void fail(std::string why) {
    tell([&] {
      latest_.failure = std::move(why);
      latest_.failed = ++number_;
    });
  }

  news latest() const {
    std::lock_guard const lock(mutex_);
    return latest_;
  }

  void add(button const& one) {
    std::lock_guard const lock(mutex_);
    buttons_.push_back(one);
  }
  void remove(button const& one) noexcept {
    std::lock_guard const lock(mutex_);
    buttons_.erase(std::remove(buttons_.begin(), buttons_.end(), one), buttons_.end());
  }

 private:
  template <class Change>
  void tell(Change change) {
    std::lock_guard const lock(mutex_);
    change();
    for (button const& one : buttons_) one.press();
  }

  std::mutex mutable mutex_;
  news latest_;
  std::uint64_t number_ = 0;
  std::vector<button> buttons_;
};

class manual_endpoints::manual_resolver final : public resolver {
 public:
  manual_resolver(loop& on, std::shared_ptr<shared> from)
      : shared_(std::move(from)), bell_(on, bound<void()>::to<&manual_resolver::on_news>(*this)) {}
  ~manual_resolver() { shared_->remove(bell_.make_button()); }

  void start(resolver_listener& listener) override {
    listener_ = &listener;
    shared_->add(bell_.make_button());
    on_news();
  }

 private:
  void on_news() {
    shared::news latest = shared_->latest();
    if (latest.updated > std::exchange(seen_.updated, latest.updated)) listener_->on_endpoints(std::move(latest.set));
    if (latest.failed > std::exchange(seen_.failed, latest.failed)) listener_->on_resolve_failed(latest.failure);
  }

  struct numbers {
    std::uint64_t updated = 0;
    std::uint64_t failed = 0;
  };

  std::shared_ptr<shared> shared_;
  resolve::impl::doorbell bell_;
  resolver_listener* listener_ = nullptr;
  numbers seen_;
};

manual_endpoints::manual_endpoints() : shared_(std::make_shared<shared>()) {}

manual_endpoints::manual_endpoints(endpoint_set set) : manual_endpoints() { update(std::move(set)); }

void manual_endpoints::update(endpoint_set set) const {
  validate(set, "manual_endpoints");
  shared_->update(std::move(set));
}

void manual_endpoints::fail(std::string why) const { shared_->fail(std::move(why)); }

resolver_factory manual_endpoints::factory() const {
  return [from = shared_](loop& on) { return std::make_unique<manual_resolver>(on, from); };
}

}  // namespace millrace
