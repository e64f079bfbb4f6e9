// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/roster.hpp>

#include <millrace/base/hash_key.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

namespace millrace {

roster_entry::roster_entry(endpoint what, std::uint32_t with_number)
    : address(what.address),
      is(std::make_shared<endpoint const>(std::move(what))),
      number(with_number),
      hash(stable_hash(address)) {}

balance::dial_outcome roster_entry::outcome() const noexcept {
  using balance::dial_outcome;
  if (usable()) return dial_outcome::usable;
  if (slots.ready() > 0) return connected() ? dial_outcome::unusable : dial_outcome::asked;
  return failed_at != time_point::min() ? dial_outcome::failed : dial_outcome::none;
}

roster::change roster::apply(endpoint_set set) {
  for (roster_entry* const one : std::exchange(listed_, {})) one->listed = false;
  for (endpoint& what : set) {
    roster_entry* one = find(what.address);
    if (one == nullptr)
      one = &add(std::move(what));
    else
      one->is = std::make_shared<endpoint const>(std::move(what));
    one->listed = true;
    listed_.push_back(one);
  }
  return refresh();
}

roster::change roster::refresh() {
  std::vector<roster_entry*> const before = std::exchange(eligible_, {});
  choose();
  weight_ = 0;
  for (roster_entry const* const one : listed_) {
    if (one->within_aperture || one->drained) weight_ += one->is->weight;
  }
  std::ranges::copy_if(listed_, std::back_inserter(eligible_), &roster_entry::may_be_wanted);
  change made = collect();
  made.left = static_cast<std::uint32_t>(std::ranges::count_if(before, std::not_fn(&roster_entry::may_be_wanted)));
  made.added = static_cast<std::uint32_t>(eligible_.size() - (before.size() - made.left));
  return made;
}

roster::change roster::collect() {
  change made;
  std::vector<roster_entry*> const before = std::exchange(wanted_, {});
  std::ranges::copy_if(eligible_, std::back_inserter(wanted_), &roster_entry::wanted);
  std::ranges::copy_if(before, std::back_inserter(made.removed), std::not_fn(&roster_entry::wanted));
  if (one_by_one()) {
    for (roster_entry* const one : made.removed) one->dialed = false;
  }
  made.turned = wanted_ != before;
  return made;
}

// ---- where one is enough

roster::change roster::look(time_point now) {
  if (!one_by_one()) return {};
  std::map<std::uint32_t, std::vector<balance::dial_candidate>> levels;
  for (roster_entry const* const one : eligible_) levels[one->is->priority].push_back({one->number, one->outcome()});
  std::erase_if(orders_, [&](auto const& one) { return !levels.contains(one.first); });
  look_again_ = never;
  std::vector<roster_entry*> chosen;
  for (auto const& [priority, candidates] : levels) {
    balance::dial_order& order = orders_.try_emplace(priority, *turns_).first->second;
    auto const before = order.chosen();
    look_again_ = std::min(look_again_, order.step(now, candidates));
    if (order.chosen() && order.chosen() != before) chosen.push_back(&(*this)[*order.chosen()]);
    for (balance::dial_candidate const& one : candidates) {
      roster_entry& at = (*this)[one.endpoint];
      // what came of it when it was its turn before does not count here; its next slot may know that it has to wait
      if (!std::exchange(at.dialed, order.dialed().contains(at.number))) at.failed_at = time_point::min();
    }
  }
  change made = collect();
  made.chosen = std::move(chosen);
  return made;
}

bool roster::searching(std::uint32_t priority) const noexcept {
  auto const found = orders_.find(priority);
  return found != orders_.end() && found->second.searching();
}

bool roster::any_chosen() const noexcept {
  return std::ranges::any_of(orders_, [](auto const& one) { return one.second.chosen().has_value(); });
}

std::vector<std::string> roster::chosen() const {
  std::vector<std::string> addresses;
  for (auto const& [priority, order] : orders_) {
    if (order.chosen()) addresses.push_back((*this)[*order.chosen()].address);
  }
  return addresses;
}

// who is drained leaves its place to another
void roster::choose() {
  struct level {
    std::vector<roster_entry*> entries;
    std::vector<std::uint64_t> hashes;
  };
  std::map<std::uint32_t, level> levels;  // by priority
  for (roster_entry* const one : listed_) {
    one->within_aperture = false;
    if (one->drained) continue;
    level& of = levels[one->is->priority];
    of.entries.push_back(one);
    of.hashes.push_back(one->hash);
  }
  for (auto const& [priority, of] : levels) {
    for (std::uint32_t const at : balance::choose_subset(of.hashes, aperture_, seed_)) {
      of.entries[at]->within_aperture = true;
    }
  }
}

roster_entry* roster::find(std::string_view address) noexcept {
  auto const found = numbers_.find(address);
  return found == numbers_.end() ? nullptr : entries_[found->second].get();
}

roster_entry& roster::add(endpoint what) {
  auto number = static_cast<std::uint32_t>(entries_.size());
  if (free_.empty())
    entries_.emplace_back();
  else
    number = free_.back(), free_.pop_back();
  entries_[number] = std::make_unique<roster_entry>(std::move(what), number);
  entries_[number]->dialed = !one_by_one();
  numbers_.emplace(entries_[number]->address, number);
  return *entries_[number];
}

void roster::forget(roster_entry& one) {
  std::uint32_t const number = one.number;
  numbers_.erase(one.address);
  free_.push_back(number);
  entries_[number].reset();
}

}  // namespace millrace
