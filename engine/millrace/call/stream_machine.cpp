// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/stream_machine.hpp>

#include <utility>

namespace millrace {

using namespace stream_action;

stream_actions stream_machine::step(stream_event_any const& event) noexcept {
  return std::visit([this](auto const& what) { return on(what); }, event);
}

std::optional<errc> stream_machine::refusal(stream_operation_kind what) const noexcept {
  switch (what) {
    case stream_operation_kind::read:
      if (cancelled_) return errc::cancelled;
      if (finishing_) return errc::finishing;
      return reader_ ? std::optional(errc::operation_in_progress) : std::nullopt;
    case stream_operation_kind::write:
      if (auto const why = refuse_sending()) return why;
      return writer_ || passing_out_ ? std::optional(errc::operation_in_progress) : std::nullopt;
    case stream_operation_kind::writes_done: return refuse_sending();
    case stream_operation_kind::finish: return finishing_ ? std::optional(errc::finishing) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<errc> stream_machine::refuse_sending() const noexcept {
  if (cancelled_) return errc::cancelled;
  if (finishing_) return errc::finishing;
  if (ended() || broken_) return errc::stream_ended;
  if (closing_ != closing::open) return errc::half_closed;
  return std::nullopt;
}

// ---- the user

stream_actions stream_machine::on(stream_event::read) noexcept {
  stream_actions actions;
  if (auto const why = refusal(stream_operation_kind::read)) {
    actions.push_back(end_read{why});
  } else if (std::exchange(kept_, false)) {
    actions.push_back(deliver{});
  } else if (ended()) {
    actions.push_back(end_read{});
  } else {
    reader_ = true;
    next_read(actions);
  }
  return actions;
}

// what is on its way is kept
stream_actions stream_machine::on(stream_event::unread) noexcept {
  stream_actions actions;
  if (std::exchange(reader_, false)) actions.push_back(end_read{errc::cancelled});
  return actions;
}

stream_actions stream_machine::on(stream_event::write) noexcept {
  stream_actions actions;
  if (auto const why = refusal(stream_operation_kind::write)) {
    actions.push_back(stream_action::end_write{why});
  } else {
    writer_ = passing_out_ = true;
    actions.push_back(pass_out{});
  }
  return actions;
}

stream_actions stream_machine::on(stream_event::unwrite) noexcept {
  stream_actions actions;
  end_write(errc::cancelled, actions);
  return actions;
}

stream_actions stream_machine::on(stream_event::writes_done) noexcept {
  stream_actions actions;
  if (refusal(stream_operation_kind::writes_done)) return actions;
  closing_ = closing::asked;
  next_write(actions);
  return actions;
}

stream_actions stream_machine::on(stream_event::finish) noexcept {
  stream_actions actions;
  if (std::exchange(finishing_, true)) return actions;
  if (!collects_ && std::exchange(kept_, false)) actions.push_back(drop_message{});
  if (state_ == stream_state::settled) {
    actions.push_back(end_finish{});
    return actions;
  }
  if (closing_ == closing::open) closing_ = closing::asked;
  next_write(actions);
  next_read(actions);
  return actions;
}

stream_actions stream_machine::on(stream_event::cancel) noexcept {
  if (!ended()) cancelled_ = true;
  return {};
}

// ---- interceptors

stream_actions stream_machine::on(stream_event::passed_out event) noexcept {
  stream_actions actions;
  if (!std::exchange(passing_out_, false)) return actions;
  if (ended() || broken_) {
    actions.push_back(drop_queue{});
    return actions;
  }
  ++queued_;
  if (event.room) end_write({}, actions);
  next_write(actions);
  return actions;
}

stream_actions stream_machine::on(stream_event::passed_in) noexcept {
  stream_actions actions;
  if (!std::exchange(passing_in_, false)) return actions;
  if (std::exchange(reader_, false)) {
    actions.push_back(deliver{});
  } else if (!finishing_ || collects_) {
    kept_ = true;
  } else {
    actions.push_back(drop_message{});
  }
  next_read(actions);
  return actions;
}

// ---- the wire

stream_actions stream_machine::on(stream_event::opened) noexcept {
  stream_actions actions;
  if (state_ != stream_state::waiting) return actions;
  enter(stream_state::open);
  next_write(actions);
  next_read(actions);
  return actions;
}

stream_actions stream_machine::on(stream_event::wrote event) noexcept {
  stream_actions actions;
  if (!std::exchange(wire_write_, false)) return actions;
  if (event.ok) {
    if (event.room && !passing_out_) end_write({}, actions);
    next_write(actions);
    return actions;
  }
  // the server may have ended the stream and have messages left that nobody reads: a writer must not wait for the outcome
  broken_ = true;
  queued_ = 0;
  actions.push_back(drop_queue{});
  end_write(errc::stream_ended, actions);
  return actions;
}

stream_actions stream_machine::on(stream_event::got event) noexcept {
  stream_actions actions;
  if (!std::exchange(wire_read_, false)) return actions;
  if (!event.any) {
    no_more_ = true;
    return actions;
  }
  bool const surplus = collects_ && kept_;
  if (surplus || (finishing_ && !reader_ && !collects_)) {
    next_read(actions);  // nobody wants this one
  } else {
    passing_in_ = true;
    actions.push_back(pass_in{});
  }
  return actions;
}

stream_actions stream_machine::on(stream_event::closed) noexcept {
  if (state_ == stream_state::open) enter(stream_state::closed);
  return {};
}

stream_actions stream_machine::on(stream_event::lost) noexcept {
  if (state_ != stream_state::open && state_ != stream_state::closed) return {};
  wire_read_ = wire_write_ = no_more_ = false;
  enter(stream_state::waiting);
  return {};
}

// ---- the call

stream_actions stream_machine::on(stream_event::ended) noexcept {
  stream_actions actions;
  if (ended()) return actions;
  enter(stream_state::over);
  wire_read_ = wire_write_ = passing_in_ = false;
  queued_ = 0;
  actions.push_back(drop_queue{});
  end_write(cancelled_ ? errc::cancelled : errc::stream_ended, actions);
  if (std::exchange(reader_, false)) {
    actions.push_back(end_read{cancelled_ ? std::optional(errc::cancelled) : std::nullopt});
  }
  return actions;
}

stream_actions stream_machine::on(stream_event::settled) noexcept {
  stream_actions actions;
  if (state_ != stream_state::over) return actions;
  enter(stream_state::settled);
  if (finishing_) actions.push_back(end_finish{});
  return actions;
}

// ---- what they have in common

void stream_machine::end_write(std::optional<errc> error, stream_actions& actions) noexcept {
  if (std::exchange(writer_, false)) actions.push_back(stream_action::end_write{error});
}

void stream_machine::next_write(stream_actions& actions) noexcept {
  if (state_ != stream_state::open || wire_write_ || broken_) return;
  bool const close = closing_ == closing::asked && queued_ <= 1 && !passing_out_;
  if (queued_ == 0 && !close) return;
  if (close) closing_ = closing::closed;
  wire_write_ = handed_over_ = true;
  if (queued_ == 0) {
    actions.push_back(start_close{});
  } else {
    --queued_;
    actions.push_back(start_write{.last = close, .more = queued_ > 0});
  }
}

void stream_machine::next_read(stream_actions& actions) noexcept {
  bool const wanted = reader_ || finishing_ || collects_;
  bool const busy = wire_read_ || passing_in_ || (kept_ && !collects_);
  if (state_ != stream_state::open || !wanted || busy || no_more_) return;
  wire_read_ = true;
  actions.push_back(start_read{});
}

}  // namespace millrace
