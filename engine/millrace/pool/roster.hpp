// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/balance/dial_order.hpp>
#include <millrace/balance/subset.hpp>
#include <millrace/base/intrusive_list.hpp>
#include <millrace/loop/wait.hpp>
#include <millrace/pool/endpoint_health.hpp>
#include <millrace/pool/slot.hpp>
#include <millrace/pool/slot_rotation.hpp>
#include <millrace/resolve/endpoint.hpp>
#include <millrace/time/timer.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace millrace {

/// How many slots are in which state.
class slot_census {
 public:
  void moved(slot_state from, slot_state to) noexcept {
    if (from != slot_state::vacant) --of(from);
    ++of(to);
  }
  void removed(slot_state from) noexcept { --of(from); }

  std::uint32_t in(slot_state state) const noexcept { return counts_[static_cast<std::size_t>(state)]; }
  std::uint32_t ready() const noexcept { return in(slot_state::ready); }
  /// A connection is on its way.
  std::uint32_t dialing() const noexcept { return in(slot_state::idle) + in(slot_state::connecting); }
  /// Those there are, or will be soon; a slot that backs off has none.
  std::uint32_t connections() const noexcept { return dialing() + ready(); }
  /// Neither draining nor closed.
  std::uint32_t open() const noexcept { return connections() + in(slot_state::backing_off); }
  std::uint32_t all() const noexcept { return open() + in(slot_state::draining) + in(slot_state::closed); }

 private:
  std::uint32_t& of(slot_state state) noexcept { return counts_[static_cast<std::size_t>(state)]; }

  std::array<std::uint32_t, static_cast<std::size_t>(slot_state::closed) + 1> counts_{};
};

/// What a slot still had to wait out when the turn of its endpoint was over, and why.
struct unfinished_redial {
  slot_redial redial;
  std::string why;
};

/// An endpoint of a pool: one of its set, or one that has left it while slots of it are still in use.
struct roster_entry {
  roster_entry(endpoint what, std::uint32_t with_number);

  /// Calls may go there.
  bool wanted() const noexcept { return may_be_wanted() && dialed; }
  bool may_be_wanted() const noexcept { return listed && !drained && within_aperture; }

  /// Calls could go there: it has a connection, and has said whether it serves if it is asked.
  bool connected() const noexcept { return slots.ready() > 0 && (health == nullptr || !health->pending()); }

  /// It may soon be: a dial is under way, or it was asked whether it serves.
  bool connects() const noexcept { return slots.dialing() > 0 || (slots.ready() > 0 && !connected()); }

  /// And nothing speaks against it.
  bool usable() const noexcept { return slots.ready() > 0 && (health == nullptr || health->usable()); }

  /// What has come of dialing it.
  balance::dial_outcome outcome() const noexcept;

  /// In flight.
  std::uint32_t calls() const noexcept { return in_flight + outside; }

  /// What is known of its health, whether or not it has a connection.
  bool unhealthy() const noexcept { return severity() == health::severity::unhealthy; }
  bool probing() const noexcept { return severity() == health::severity::probing; }

  /// Of one that is connected and that no call goes to.
  std::string_view why_unused() const noexcept {
    if (unhealthy()) return health->verdict().why();
    return connected() ? "its priority is not in use" : "it has not said yet whether it serves";
  }

  std::string const address;
  std::shared_ptr<endpoint const> is;  ///< As its source described it last; shared with those who pick.
  std::uint32_t const number;
  std::uint64_t const hash;      ///< Of the address, for policies.
  bool listed = true;            ///< In the pool's set.
  bool drained = false;          ///< Taken out by async_drain_endpoint, which outlasts its place in the set.
  bool within_aperture = false;  ///< Among those that this client connects to.
  bool dialed = true;            ///< Always, but where one endpoint is enough: if it is its turn.
  bool revoked = false;          ///< Calls were cut off because that drain's grace was over.
  slot_census slots;
  time_point connected_since{};               ///< When it got the first of its present connections.
  time_point failed_at = time_point::min();   ///< When it could not be reached last; `min` once it could, or untried.
  std::optional<unfinished_redial> left_off;  ///< For its next slot, where one endpoint is enough.
  std::uint32_t in_flight = 0;                ///< Calls on all its slots.
  std::uint32_t outside = 0;                  ///< Those that others made there, when they were counted last.
  std::uint32_t peak = 0;                     ///< The most of that since scaling looked last.
  duration min_keepalive_time{};            ///< Of channels that are opened from now on; grows when it minds the pings.
  std::unique_ptr<endpoint_health> health;  ///< Null when nobody wants to know.
  std::unique_ptr<slot_rotation> rotation;
  slot* dialing = nullptr;  ///< Whose turn to dial it is.
  intrusive_list<slot, dial_queue_tag> dial_queue;
  wait_list drain_waits;
  bound<void(roster_entry&)> on_grace_over{};
  timer grace{bound<void()>::to<&roster_entry::grace_is_over>(*this)};

 private:
  health::severity severity() const noexcept {
    return health == nullptr ? health::severity::healthy : health->verdict().severity();
  }
  void grace_is_over() {
    if (on_grace_over) on_grace_over(*this);
  }
};

/// The endpoints of a pool, each with a small number that is used again when it is gone.
///
/// Of the endpoints of each priority, without those that are drained, those within the aperture are wanted: all of them, or, where one
/// is enough (`balance::dialing::first`), those whose turn it is.
class roster {
 public:
  /// What a change of the set, or a look, came to. Valid until the next.
  struct change {
    std::uint32_t added = 0;             ///< To the set, without those that are drained or beyond the aperture.
    std::uint32_t left = 0;              ///< From it.
    std::vector<roster_entry*> removed;  ///< From those that are wanted.
    std::vector<roster_entry*> chosen;   ///< Found by a look to be the one of their priority.
    bool turned = false;                 ///< A look found others to be wanted.
  };

  /// `seed` is for an aperture that is chosen at random.
  roster(balance::aperture_params const& aperture, std::uint64_t seed) : aperture_(aperture), seed_(seed) {}

  /// One of each priority is enough. Call it before the first set.
  void dial_one_by_one(balance::dial_order_params const& params) { turns_ = params; }

  /// The set is this one from now on. An address that was known keeps its entry. What is new is not wanted before the next look,
  /// where one is enough.
  change apply(endpoint_set set);

  bool one_by_one() const noexcept { return turns_.has_value(); }

  /// Where one is enough, finds out whose turn it is. Call it when something has changed, and at `look_again`.
  change look(time_point now);
  time_point look_again() const noexcept { return look_again_; }

  /// Among the endpoints of that priority is one that was not tried yet.
  bool searching(std::uint32_t priority) const noexcept;

  /// One is.
  bool any_chosen() const noexcept;

  /// Those that are chosen, by priority.
  std::vector<std::string> chosen() const;

  /// Those that are wanted, in the order of the set. Valid until the next change.
  std::span<roster_entry* const> wanted() const noexcept { return wanted_; }

  /// None is wanted, nor would be if it was its turn.
  bool empty() const noexcept { return eligible_.empty(); }

  /// How many that are.
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(eligible_.size()); }

  /// Of all that are listed, together.
  std::uint64_t weight() const noexcept { return weight_; }

  /// Call when `drained` of an entry has changed.
  change refresh();

  roster_entry& operator[](std::uint32_t number) noexcept { return *entries_[number]; }
  roster_entry const& operator[](std::uint32_t number) const noexcept { return *entries_[number]; }

  /// Null when it is not known.
  roster_entry* find(std::string_view address) noexcept;

  /// Drops an entry that is neither listed nor drained, and has no slots.
  void forget(roster_entry& one);

  template <class Visit>
  void for_each(Visit visit) {
    for (auto const& one : entries_) {
      if (one != nullptr) visit(*one);
    }
  }

 private:
  roster_entry& add(endpoint what);
  void choose();
  change collect();

  balance::aperture_params const aperture_;
  std::uint64_t const seed_;
  std::vector<std::unique_ptr<roster_entry>> entries_;  // by number
  std::vector<std::uint32_t> free_;                     // numbers
  std::unordered_map<std::string_view, std::uint32_t> numbers_;
  std::vector<roster_entry*> listed_;    // in the order of the set
  std::vector<roster_entry*> eligible_;  // of these, those that may be wanted
  std::vector<roster_entry*> wanted_;
  std::optional<balance::dial_order_params> turns_;
  std::map<std::uint32_t, balance::dial_order> orders_;  // by priority
  time_point look_again_ = never;
  std::uint64_t weight_ = 0;
};

}  // namespace millrace
