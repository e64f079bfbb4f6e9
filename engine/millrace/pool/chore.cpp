// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/chore.hpp>

#include <millrace/loop/loop.hpp>

namespace millrace {

class chore::errand final : public operation {
 public:
  explicit errand(chore& owner) noexcept : operation(&errand::run), loop_(owner.loop_), owner_(&owner) {}

  void orphan() noexcept { owner_ = nullptr; }

 private:
  static void run(operation& self, completion how) {
    auto& one = static_cast<errand&>(self);
    chore* const owner = one.owner_;
    one.loop_.deallocate(&one, sizeof(errand));
    if (owner == nullptr) return;
    owner->queued_ = nullptr;
    if (how != completion::abandoned) owner->what_();
  }

  loop& loop_;
  chore* owner_;
};

chore::~chore() {
  if (queued_ != nullptr) queued_->orphan();
}

void chore::soon() noexcept {
  if (queued_ != nullptr) return;
  queued_ = ::new (loop_.allocate(sizeof(errand))) errand(*this);
  loop_.submit(*queued_);
}

}  // namespace millrace
