// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/intrusive_list.hpp>
#include <millrace/loop/operation.hpp>
#include <millrace/time/clock.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// What a started operation is for.
enum class op_kind : std::uint8_t {
  call,    ///< An attempt of an RPC.
  watch,   ///< A connectivity watch.
  probe,   ///< A question to a failed channel, answered without leaving the process.
  health,  ///< A question after a server's health.
  user,    ///< Started by an embedding program on the loop's completion queue.
};

constexpr std::string_view to_string(op_kind kind) noexcept {
  switch (kind) {
    case op_kind::call: return "call";
    case op_kind::watch: return "watch";
    case op_kind::probe: return "probe";
    case op_kind::health: return "health";
    case op_kind::user: return "user";
  }
  return "?";
}

struct ledger_tag;

/// An operation that is out with the completion queue. While it is, its loop's ledger knows its kind, owner and age, and
/// nobody may destroy it.
class tracked_operation : public operation, private list_base<ledger_tag> {
 public:
  using operation::operation;

  /// Started and not yet come back.
  bool outstanding() const noexcept { return refused_ || list_base<ledger_tag>::linked(); }

  /// What the completion queue is given.
  void* as_tag() noexcept { return static_cast<operation*>(this); }

 protected:
  ~tracked_operation() = default;

 private:
  friend class ledger;
  friend class loop;
  template <class T, class Tag>
  friend class intrusive_list;

  op_kind kind_ = op_kind::user;
  bool refused_ = false;  // on its way back without having been started
  time_point started_{};
  std::string_view owner_;
};

/// One line of a stop report: an operation that did not come back.
struct outstanding_operation {
  op_kind kind;
  std::string owner;  ///< The endpoint or the method it was started for.
  duration age;
};

/// Every operation that is out, oldest first.
class ledger {
 public:
  void enter(tracked_operation& op, op_kind kind, std::string_view owner, time_point now) noexcept {
    op.kind_ = kind;
    op.owner_ = owner;
    op.started_ = now;
    list_.push_back(op);
    ++size_;
    if (holds_loop(kind)) ++foreground_;
  }

  /// False when the operation had already been struck out.
  bool strike(tracked_operation& op) noexcept {
    if (!op.outstanding()) return false;
    static_cast<list_base<ledger_tag>&>(op).unlink();
    --size_;
    if (holds_loop(op.kind_)) --foreground_;
    return true;
  }

  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }

  /// Operations for whose sake `run` goes on. A pool's watches are none: a program whose work is done may end.
  std::size_t foreground() const noexcept { return foreground_; }

  std::vector<outstanding_operation> list(time_point now) {
    std::vector<outstanding_operation> lines;
    lines.reserve(size_);
    list_.for_each([&](tracked_operation& op) {
      lines.push_back({op.kind_, std::string(op.owner_), now - op.started_});
    });
    return lines;
  }

 private:
  static constexpr bool holds_loop(op_kind kind) noexcept { return kind == op_kind::call || kind == op_kind::user; }

  intrusive_list<tracked_operation, ledger_tag> list_;
  std::size_t size_ = 0;
  std::size_t foreground_ = 0;
};

}  // namespace millrace
