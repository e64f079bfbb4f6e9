// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/rng.hpp>
#include <millrace/call/stream_machine.hpp>

#include <support/catch.hpp>

#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

// inside, because read and write are also functions of the system's
namespace millrace {
namespace {

using namespace stream_event;
using op = stream_operation_kind;

std::string why(std::optional<errc> error) {
  static std::map<errc, char const*> const names{{errc::cancelled, "_cancelled"},
                                                 {errc::operation_in_progress, "_in_progress"},
                                                 {errc::half_closed, "_half_closed"},
                                                 {errc::finishing, "_finishing"},
                                                 {errc::stream_ended, "_stream_ended"}};
  return error ? names.at(*error) : "";
}

std::string words(stream_actions const& actions) {
  struct {
    std::string operator()(stream_action::pass_out) { return "pass_out"; }
    std::string operator()(stream_action::start_write one) {
      return std::string("write") + (one.last ? "_last" : "") + (one.more ? "_more" : "");
    }
    std::string operator()(stream_action::start_close) { return "close"; }
    std::string operator()(stream_action::drop_queue) { return "drop_queue"; }
    std::string operator()(stream_action::start_read) { return "read"; }
    std::string operator()(stream_action::pass_in) { return "pass_in"; }
    std::string operator()(stream_action::drop_message) { return "drop"; }
    std::string operator()(stream_action::end_write one) { return "written" + why(one.error); }
    std::string operator()(stream_action::deliver) { return "deliver"; }
    std::string operator()(stream_action::end_read one) { return "no_message" + why(one.error); }
    std::string operator()(stream_action::end_finish) { return "finished"; }
  } word;
  std::string text;
  for (auto const& one : actions) text += (text.empty() ? "" : " ") + std::visit(word, one);
  return text;
}

struct fixture {
  explicit fixture(call_kind kind = call_kind::bidi_stream) : machine(kind) {}
  stream_machine machine;

  std::string step(stream_event_any const& what) { return words(machine.step(what)); }
  template <class... Events>
  fixture& after(Events const&... events) {
    (step(events), ...);
    return *this;
  }
  void check_refusals(std::array<std::optional<errc>, 4> const& expected) {
    CHECK(machine.refusal(op::read) == expected[0]);
    CHECK(machine.refusal(op::write) == expected[1]);
    CHECK(machine.refusal(op::writes_done) == expected[2]);
    CHECK(machine.refusal(op::finish) == expected[3]);
  }
};

constexpr passed_out with_room{true};
constexpr passed_out full{false};
constexpr std::nullopt_t runs = std::nullopt;

}  // namespace

namespace {

constexpr char const* state_names[] = {"waiting", "open", "closed", "over", "settled"};

/// Quiet: nobody asked for anything. Busy: a message is asked for, one is on the wire, one behind it, a third with the interceptors
/// and awaited; when the attempt is over, one that it brought is with them too; in the end it is kept, for nobody asks any longer.
void lead_to(fixture& of, stream_state to, bool busy) {
  if (busy) of.after(read{}, write{}, with_room, write{}, with_room, write{});
  if (to == stream_state::waiting) return;
  of.after(opened{});
  if (to == stream_state::open) return;
  if (busy) of.after(wrote{true, true}, wrote{true, true}, got{true});
  of.after(closed{});
  if (to == stream_state::closed) return;
  if (busy) of.after(unread{}, passed_in{});
  of.after(ended{});
  if (to == stream_state::over) return;
  of.after(settled{});
}

using cells = std::array<char const*, 5>;  // waiting, open, closed, over, settled: what it does, and `> where it goes`

struct input_row {
  stream_event_any what;
  cells quiet;
  cells busy;
};

}  // namespace

TEST_CASE("stream: every state answers every input as the table says", "[call][stream]") {
  std::vector<input_row> const rows = {
      {read{},
       {"", "read", "", "no_message", "no_message"},
       {"no_message_in_progress", "no_message_in_progress", "no_message_in_progress", "deliver", "deliver"}},
      {unread{},
       {"", "", "", "", ""},
       {"no_message_cancelled", "no_message_cancelled", "no_message_cancelled", "", ""}},
      {write{},
       {"pass_out", "pass_out", "pass_out", "written_stream_ended", "written_stream_ended"},
       {"written_in_progress", "written_in_progress", "written_in_progress", "written_stream_ended",
        "written_stream_ended"}},
      {unwrite{}, {"", "", "", "", ""}, {"written_cancelled", "written_cancelled", "written_cancelled", "", ""}},
      {writes_done{}, {"", "close", "", "", ""}, {"", "", "", "", ""}},
      {finish{}, {"", "close read", "", "", "finished"}, {"", "", "", "drop", "drop finished"}},
      {cancel{}, {"", "", "", "", ""}, {"", "", "", "", ""}},
      {with_room, {"", "", "", "", ""}, {"written", "written", "written", "drop_queue", "drop_queue"}},
      {full, {"", "", "", "", ""}, {"", "", "", "drop_queue", "drop_queue"}},
      {passed_in{}, {"", "", "", "", ""}, {"", "", "deliver", "", ""}},
      {opened{}, {"> open", "", "", "", ""}, {"write_more read > open", "", "", "", ""}},
      {wrote{true, true}, {"", "", "", "", ""}, {"", "write", "", "", ""}},
      {wrote{true, false}, {"", "", "", "", ""}, {"", "write", "", "", ""}},
      {wrote{false, true}, {"", "", "", "", ""}, {"", "drop_queue written_stream_ended", "", "", ""}},
      {got{true}, {"", "", "", "", ""}, {"", "pass_in", "", "", ""}},
      {got{false}, {"", "", "", "", ""}, {"", "", "", "", ""}},
      {closed{}, {"", "> closed", "", "", ""}, {"", "> closed", "", "", ""}},
      {lost{}, {"", "> waiting", "> waiting", "", ""}, {"", "> waiting", "> waiting", "", ""}},
      {ended{},
       {"drop_queue > over", "drop_queue > over", "drop_queue > over", "", ""},
       {"drop_queue written_stream_ended no_message > over", "drop_queue written_stream_ended no_message > over",
        "drop_queue written_stream_ended no_message > over", "", ""}},
      {settled{}, {"", "", "", "> settled", ""}, {"", "", "", "> settled", ""}},
  };
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (std::size_t at = 0; at < 5; ++at) {
      for (bool const busy : {false, true}) {
        INFO("row " << row << ", " << state_names[at] << (busy ? ", busy" : ""));
        fixture stream;
        lead_to(stream, static_cast<stream_state>(at), busy);
        REQUIRE(static_cast<std::size_t>(stream.machine.state()) == at);
        std::string did = stream.step(rows[row].what);
        auto const now_is = static_cast<std::size_t>(stream.machine.state());
        if (now_is != at) did += (did.empty() ? "> " : " > ") + std::string(state_names[now_is]);
        CHECK(did == (busy ? rows[row].busy : rows[row].quiet)[at]);
      }
    }
  }
}

TEST_CASE("stream: what may be asked for, in the table's order; misuse is an errc", "[call][stream]") {
  fixture stream;
  SECTION("at first") { stream.check_refusals({runs, runs, runs, runs}); }
  SECTION("on the wire") { stream.after(opened{}).check_refusals({runs, runs, runs, runs}); }
  SECTION("trap T19: a read is out") {
    stream.after(read{}).check_refusals({errc::operation_in_progress, runs, runs, runs});
  }
  SECTION("trap T19: a write is out") {
    stream.after(write{}).check_refusals({runs, errc::operation_in_progress, runs, runs});
  }
  SECTION("trap T19: a write waits for room") {
    stream.after(write{}, full).check_refusals({runs, errc::operation_in_progress, runs, runs});
  }
  SECTION("a write was accepted") { stream.after(write{}, with_room).check_refusals({runs, runs, runs, runs}); }
  SECTION("after writes_done") {
    stream.after(writes_done{}).check_refusals({runs, errc::half_closed, errc::half_closed, runs});
  }
  SECTION("after finish") {
    stream.after(finish{}).check_refusals({errc::finishing, errc::finishing, errc::finishing, errc::finishing});
  }
  SECTION("after cancel") {
    stream.after(cancel{}).check_refusals({errc::cancelled, errc::cancelled, errc::cancelled, runs});
  }
  SECTION("a write failed") {
    stream.after(opened{}, write{}, with_room, wrote{false, true});
    stream.check_refusals({runs, errc::stream_ended, errc::stream_ended, runs});
  }
  SECTION("over") {
    stream.after(opened{}, ended{}).check_refusals({runs, errc::stream_ended, errc::stream_ended, runs});
  }
  SECTION("settled") {
    stream.after(opened{}, ended{}, settled{}).check_refusals({runs, errc::stream_ended, errc::stream_ended, runs});
  }
  SECTION("a server stream's request is its only message") {
    fixture{call_kind::server_stream}.check_refusals({runs, errc::half_closed, errc::half_closed, runs});
  }
}

TEST_CASE("stream: a refused operation that is fed all the same ends with its errc", "[call][stream]") {
  fixture stream;
  stream.after(cancel{});
  CHECK(stream.step(read{}) == "no_message" + why(errc::cancelled));
  CHECK(stream.step(write{}) == "written" + why(errc::cancelled));
  CHECK(stream.step(writes_done{}).empty());
}

TEST_CASE("stream: reads go to the wire one at a time, and only when somebody asks", "[call][stream]") {
  fixture stream;
  CHECK(stream.step(opened{}).empty());
  CHECK(stream.step(read{}) == "read");
  CHECK(stream.step(got{true}) == "pass_in");
  CHECK(stream.step(passed_in{}) == "deliver");
  CHECK(stream.step(read{}) == "read");
  CHECK(stream.step(got{false}).empty());  // its outcome follows
  CHECK(stream.step(ended{}) == "drop_queue no_message");
  CHECK(stream.step(read{}) == "no_message");
}

TEST_CASE("stream: a read that is asked for early goes out with the attempt, and again with the next one",
          "[call][stream]") {
  fixture stream;
  CHECK(stream.step(read{}).empty());
  CHECK(stream.step(opened{}) == "read");
  CHECK(stream.step(got{false}).empty());
  CHECK(stream.step(lost{}).empty());
  CHECK(stream.step(opened{}) == "read");
}

TEST_CASE("stream: a reader that goes loses no message", "[call][stream]") {
  fixture stream;
  stream.after(opened{}, read{});
  CHECK(stream.step(unread{}) == "no_message" + why(errc::cancelled));
  CHECK(stream.step(got{true}) == "pass_in");
  CHECK(stream.step(passed_in{}).empty());
  SECTION("the next one gets it") { CHECK(stream.step(read{}) == "deliver"); }
  SECTION("even after the end") {
    stream.after(ended{}, settled{});
    CHECK(stream.step(read{}) == "deliver");
    CHECK(stream.step(read{}) == "no_message");
  }
  SECTION("a finish drops it") { CHECK(stream.step(finish{}) == "drop close read"); }
}

TEST_CASE("trap T19: writes go to the wire one at a time, in order", "[call][stream][T19]") {
  fixture stream;
  stream.after(opened{});
  CHECK(stream.step(write{}) == "pass_out");
  CHECK(stream.step(with_room) == "written write");
  stream.after(write{});
  CHECK(stream.step(with_room) == "written");
  stream.after(write{});
  CHECK(stream.step(full).empty());
  CHECK(stream.step(wrote{true, false}) == "write_more");
  CHECK(stream.step(wrote{true, true}) == "written write");
  CHECK(stream.step(wrote{true, true}).empty());
}

TEST_CASE("stream: messages wait for the attempt", "[call][stream]") {
  fixture stream;
  stream.after(write{}, with_room, write{}, with_room);
  CHECK_FALSE(stream.machine.handed_over());
  CHECK(stream.step(opened{}) == "write_more");
  CHECK(stream.machine.handed_over());
}

TEST_CASE("stream: the half-close goes after the queue, and with its last message", "[call][stream]") {
  fixture stream;
  SECTION("nothing is queued") {
    stream.after(opened{});
    CHECK(stream.step(writes_done{}) == "close");
    CHECK(stream.machine.handed_over());
    CHECK(stream.step(wrote{true, true}).empty());
  }
  SECTION("a message is on the wire") {
    stream.after(opened{}, write{}, with_room);
    CHECK(stream.step(writes_done{}).empty());
    CHECK(stream.step(wrote{true, true}) == "close");
  }
  SECTION("a message waits") {
    stream.after(opened{}, write{}, with_room, write{}, with_room);
    CHECK(stream.step(writes_done{}).empty());
    CHECK(stream.step(wrote{true, true}) == "write_last");
    CHECK(stream.step(wrote{true, true}).empty());
  }
  SECTION("an interceptor holds the last message") {
    stream.after(opened{}, write{});
    CHECK(stream.step(writes_done{}).empty());
    CHECK(stream.step(with_room) == "written write_last");
  }
  SECTION("before the attempt") {
    stream.after(write{}, with_room, writes_done{});
    CHECK(stream.step(opened{}) == "write_last");
  }
}

TEST_CASE("trap T19: a finish half-closes after the queue, reads the rest and comes last", "[call][stream][T19]") {
  fixture stream;
  stream.after(opened{}, write{}, with_room, write{}, with_room);
  CHECK(stream.step(finish{}) == "read");
  CHECK(stream.step(wrote{true, true}) == "write_last");
  CHECK(stream.step(got{true}) == "read");
  CHECK(stream.step(wrote{true, true}).empty());
  CHECK(stream.step(got{false}).empty());
  CHECK(stream.step(ended{}) == "drop_queue");
  CHECK(stream.step(settled{}) == "finished");
}

TEST_CASE("stream: a finish beside a reader waits for it", "[call][stream]") {
  fixture stream;
  stream.after(opened{}, read{});
  CHECK(stream.step(finish{}) == "close");
  stream.after(got{true});
  CHECK(stream.step(passed_in{}) == "deliver read");
}

TEST_CASE("stream: a finish after the end is answered at once", "[call][stream]") {
  fixture stream;
  stream.after(opened{}, ended{});
  CHECK(stream.step(finish{}).empty());
  CHECK(stream.step(settled{}) == "finished");
  fixture other;
  other.after(opened{}, ended{}, settled{});
  CHECK(other.step(finish{}) == "finished");
}

TEST_CASE("trap T16: a write that fails ends the writes, and only the finish knows why", "[call][stream][T16]") {
  fixture stream;
  stream.after(opened{}, write{}, with_room, write{}, full);
  CHECK(stream.step(wrote{false, false}) == "drop_queue written" + why(errc::stream_ended));
  CHECK(stream.step(writes_done{}).empty());
  CHECK(stream.step(read{}) == "read");  // what the server said before is still there
  CHECK(stream.step(finish{}).empty());
}

TEST_CASE("trap T16: a read that fails is the end of the messages, not an error", "[call][stream][T16]") {
  fixture stream;
  stream.after(opened{}, read{}, got{false});
  CHECK(stream.step(ended{}) == "drop_queue no_message");
}

TEST_CASE("stream: what is out when it ends, ends", "[call][stream]") {
  fixture stream;
  stream.after(opened{}, read{}, write{}, full);
  SECTION("by itself") {
    CHECK(stream.step(ended{}) == "drop_queue written" + why(errc::stream_ended) + " no_message");
  }
  SECTION("cancelled") {
    stream.after(cancel{});
    CHECK(stream.step(ended{}) == "drop_queue written" + why(errc::cancelled) + " no_message" + why(errc::cancelled));
  }
  CHECK(stream.step(ended{}).empty());
}

TEST_CASE("stream: a message that interceptors hold at the end goes nowhere", "[call][stream]") {
  fixture stream;
  stream.after(opened{}, write{}, ended{});
  CHECK(stream.step(with_room) == "drop_queue");
}

TEST_CASE("stream: a client stream's answer is asked for at once and kept for the finish", "[call][stream]") {
  fixture stream{call_kind::client_stream};
  CHECK(stream.step(opened{}) == "read");
  CHECK(stream.step(got{true}) == "pass_in");
  CHECK(stream.step(passed_in{}) == "read");
  SECTION("a second one is nobody's") { CHECK(stream.step(got{true}) == "read"); }
  CHECK(stream.step(got{false}).empty());
  CHECK(stream.step(finish{}) == "close");
  stream.after(ended{});
  CHECK(stream.step(settled{}) == "finished");
}

TEST_CASE("stream: nothing goes to the wire of an attempt that is over, though interceptors hold what it brought",
          "[call][stream]") {
  fixture stream{call_kind::client_stream};
  stream.after(opened{}, got{true}, closed{});
  CHECK(stream.step(passed_in{}).empty());
  stream.after(write{});
  CHECK(stream.step(with_room) == "written");
  CHECK(stream.step(ended{}) == "drop_queue");
}

TEST_CASE("stream: a writer that goes leaves its message", "[call][stream]") {
  fixture stream;
  stream.after(opened{}, write{}, with_room, write{}, full);
  CHECK(stream.step(unwrite{}) == "written" + why(errc::cancelled));
  CHECK(stream.step(wrote{true, true}) == "write");
}

TEST_CASE(
    "stream: whatever comes in whatever order, one read and one write are on the wire, nothing follows the half-close, "
    "and what is asked for is answered once",
    "[call][stream]") {
  auto const kind = GENERATE(call_kind::bidi_stream, call_kind::client_stream, call_kind::server_stream);
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    CAPTURE(seed);
    rng random(seed);
    stream_machine machine(kind);
    int readers = 0, writers = 0, finishers = 0, reads = 0, writes = 0, closes = 0, queued = 0;
    bool passing_out = false, passing_in = false;
    struct count {
      int &readers, &writers, &finishers, &reads, &writes, &closes, &queued;
      bool &passing_out, &passing_in;
      void operator()(stream_action::pass_out) { passing_out = true; }
      void operator()(stream_action::start_write one) {
        ++writes;
        --queued;
        closes += one.last ? 1 : 0;
        CHECK((closes == 0 || one.last));
        CHECK(one.more == (queued > 0));
      }
      void operator()(stream_action::start_close) {
        ++writes;
        ++closes;
        CHECK(queued == 0);
      }
      void operator()(stream_action::drop_queue) { queued = 0; }
      void operator()(stream_action::start_read) { ++reads; }
      void operator()(stream_action::pass_in) { passing_in = true; }
      void operator()(stream_action::drop_message) {}
      void operator()(stream_action::end_write) { --writers; }
      void operator()(stream_action::deliver) { --readers; }
      void operator()(stream_action::end_read) { --readers; }
      void operator()(stream_action::end_finish) { --finishers; }
    } performed{readers, writers, finishers, reads, writes, closes, queued, passing_out, passing_in};
    auto const feed = [&](stream_event_any const& what) {
      for (auto const& one : machine.step(what)) std::visit(performed, one);
    };
    auto const draw = [&] { return random.uniform() < 0.5; };
    auto const one_step = [&](std::uint32_t which) {
      switch (which) {
        case 0:
          if (!machine.refusal(op::read)) {
            ++readers;
            feed(read{});
          }
          return;
        case 1:
          if (!machine.refusal(op::write)) {
            ++writers;
            feed(write{});
          }
          return;
        case 2: return draw() && draw() ? feed(writes_done{}) : void();
        case 3:
          if (draw() && draw() && !machine.refusal(op::finish)) {
            ++finishers;
            feed(finish{});
          }
          return;
        case 4: return feed(unread{});
        case 5: return feed(unwrite{});
        case 6:
          if (std::exchange(passing_out, false)) {
            ++queued;
            feed(passed_out{draw()});
          }
          return;
        case 7: return std::exchange(passing_in, false) ? feed(passed_in{}) : void();
        case 8: return feed(opened{});
        case 9:
          if (writes > 0) {
            --writes;
            feed(wrote{draw() || draw(), draw()});
          }
          return;
        case 10:
          if (reads > 0) {
            --reads;
            feed(got{draw() || draw()});
          }
          return;
        case 11: return draw() && draw() && draw() ? feed(cancel{}) : void();
        case 12:
          if (!machine.handed_over() && !machine.passing_in() && draw() && draw()) {
            reads = writes = 0;
            feed(lost{});
          }
          return;
        case 13:
          if (reads == 0 && writes == 0 && draw() && draw() && draw()) feed(closed{});
          return;
      }
    };
    auto const check = [&] {
      CHECK(reads <= 1);
      CHECK(writes <= 1);
      CHECK(closes <= 1);
      if (machine.state() == stream_state::closed) CHECK(reads + writes == 0);
      CHECK(readers >= 0);
      CHECK(writers >= 0);
      CHECK(finishers >= 0);
    };
    for (int n = 0; n < 60; ++n) {
      one_step(random.below(14));
      check();
    }
    feed(ended{});
    feed(settled{});
    check();
    CHECK(readers + writers + finishers == 0);
    CHECK(machine.state() == stream_state::settled);
  }
}

}  // namespace millrace
