// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/errc.hpp>
#include <millrace/base/inplace_vector.hpp>
#include <millrace/call/call_kind.hpp>

#include <cstdint>
#include <optional>
#include <variant>

namespace millrace {

/// Where a stream's messages stand.
enum class stream_state : std::uint8_t {
  waiting,  ///< No attempt is on the wire: before the first one, or between two.
  open,     ///< One is.
  closed,   ///< It is over; a message that it brought may still be with the interceptors.
  over,     ///< The outcome is known, and nothing is on the wire; the interceptors see it.
  settled,  ///< The outcome is final. Terminal.
};

/// What users ask of a stream.
enum class stream_operation_kind : std::uint8_t { read, write, writes_done, finish };

namespace stream_event {

// the user

struct read {};
struct unread {};  ///< It no longer waits for a message; none is lost.
struct write {};
struct unwrite {};  ///< It no longer waits for the write; the message goes out.
struct writes_done {};
struct finish {};
struct cancel {};

// interceptors

struct passed_out {  ///< The message to send is through, and in the queue.
  bool room;         ///< The queue takes more.
};
struct passed_in {};  ///< The received message is through.

// the wire

struct opened {};  ///< An attempt has begun.
struct wrote {
  bool ok;
  bool room;
};
struct got {
  bool any;  ///< Otherwise there are no more messages.
};
struct closed {};  ///< The attempt is over.
struct lost {};    ///< Another will follow.

// the call

struct ended {};    ///< The outcome is known.
struct settled {};  ///< The last interceptor has seen it.

}  // namespace stream_event

using stream_event_any =
    std::variant<stream_event::read, stream_event::unread, stream_event::write, stream_event::unwrite,
                 stream_event::writes_done, stream_event::finish, stream_event::cancel, stream_event::passed_out,
                 stream_event::passed_in, stream_event::opened, stream_event::wrote, stream_event::got,
                 stream_event::closed, stream_event::lost, stream_event::ended, stream_event::settled>;

namespace stream_action {

struct pass_out {};   ///< Show the interceptors the message to send; answered by passed_out.
struct start_write {  ///< Give the wire the queue's first message; answered by wrote.
  bool last;          ///< With the half-close.
  bool more;          ///< Another will follow at once.
};
struct start_close {};   ///< Half-close; answered by wrote.
struct drop_queue {};    ///< Nothing of it can be sent any more.
struct start_read {};    ///< Answered by got.
struct pass_in {};       ///< Show the interceptors the message that came; answered by passed_in.
struct drop_message {};  ///< Nobody wants the one that passed.
struct end_write {
  std::optional<errc> error;  ///< None: accepted.
};
struct deliver {};  ///< The read ends with the message that came.
struct end_read {
  std::optional<errc> error;  ///< None: there are no more messages.
};
struct end_finish {};

}  // namespace stream_action

using stream_action_any = std::variant<stream_action::pass_out, stream_action::start_write, stream_action::start_close,
                                       stream_action::drop_queue, stream_action::start_read, stream_action::pass_in,
                                       stream_action::drop_message, stream_action::end_write, stream_action::deliver,
                                       stream_action::end_read, stream_action::end_finish>;
using stream_actions = inplace_vector<stream_action_any, 4>;

/// Orders the messages of one stream: at most one read and one write on the wire, one half-close, after the queue, and with the
/// last message if that still waits for its turn. It takes from the wire only what somebody asks for; a finish asks for all that
/// is left, and drops it, for a server's status comes after its messages. The one answer to a client stream is asked for at once.
///
/// What a user may ask for. Everything else is refused with an errc and has no effect:
///
/// | operation   | at first  | its like is out       | after writes_done | after finish | writes failed | over, settled                     | after cancel |
/// |-------------|-----------|-----------------------|-------------------|--------------|---------------|-----------------------------------|--------------|
/// | read        | runs      | operation_in_progress | runs              | finishing    | runs          | the message kept, then no message | cancelled    |
/// | write       | runs      | operation_in_progress | half_closed       | finishing    | stream_ended  | stream_ended                      | cancelled    |
/// | writes_done | runs      | half_closed           | half_closed       | finishing    | stream_ended  | stream_ended                      | cancelled    |
/// | finish      | runs      | finishing             | runs              | finishing    | runs          | runs                              | runs         |
///
/// Operations that are out when the stream ends end too: a read with no message, a write with stream_ended, and both with
/// cancelled if the user cancelled.
class stream_machine {
 public:
  explicit stream_machine(call_kind kind) noexcept
      : collects_(kind == call_kind::client_stream),
        closing_(kind == call_kind::server_stream ? closing::closed : closing::open) {}

  stream_actions step(stream_event_any const& event) noexcept;

  /// Why the user may not ask for that now; none: it may.
  std::optional<errc> refusal(stream_operation_kind what) const noexcept;

  stream_state state() const noexcept { return state_; }

  /// A message or a half-close was given to the wire, apart from what a server stream begins with.
  bool handed_over() const noexcept { return handed_over_; }

  /// A message is with the interceptors.
  bool passing_in() const noexcept { return passing_in_; }

  /// Something waits for the server: a read or a finish.
  bool awaits_server() const noexcept { return reader_ || (finishing_ && state_ != stream_state::settled); }

  /// Something waits to be taken by the wire.
  bool awaits_wire() const noexcept { return queued_ > 0 || wire_write_; }

 private:
  enum class closing : std::uint8_t { open, asked, closed };

  stream_actions on(stream_event::read) noexcept;
  stream_actions on(stream_event::unread) noexcept;
  stream_actions on(stream_event::write) noexcept;
  stream_actions on(stream_event::unwrite) noexcept;
  stream_actions on(stream_event::writes_done) noexcept;
  stream_actions on(stream_event::finish) noexcept;
  stream_actions on(stream_event::cancel) noexcept;
  stream_actions on(stream_event::passed_out event) noexcept;
  stream_actions on(stream_event::passed_in) noexcept;
  stream_actions on(stream_event::opened) noexcept;
  stream_actions on(stream_event::wrote event) noexcept;
  stream_actions on(stream_event::got event) noexcept;
  stream_actions on(stream_event::closed) noexcept;
  stream_actions on(stream_event::lost) noexcept;
  stream_actions on(stream_event::ended) noexcept;
  stream_actions on(stream_event::settled) noexcept;

  void enter(stream_state next) noexcept { state_ = next; }
  bool ended() const noexcept { return state_ == stream_state::over || state_ == stream_state::settled; }
  std::optional<errc> refuse_sending() const noexcept;
  void next_write(stream_actions& actions) noexcept;
  void next_read(stream_actions& actions) noexcept;
  void end_write(std::optional<errc> error, stream_actions& actions) noexcept;

  stream_state state_ = stream_state::waiting;
  bool const collects_;  // the one answer, for the finish

  bool reader_ = false;  // a user waits for a message
  bool wire_read_ = false;
  bool passing_in_ = false;
  bool kept_ = false;     // a message is here for whoever asks next
  bool no_more_ = false;  // the wire said so

  bool writer_ = false;  // a user waits until its message is accepted
  bool passing_out_ = false;
  bool wire_write_ = false;
  bool broken_ = false;  // the wire takes no more
  bool handed_over_ = false;
  closing closing_;
  std::uint32_t queued_ = 0;

  bool finishing_ = false;
  bool cancelled_ = false;
};

}  // namespace millrace
