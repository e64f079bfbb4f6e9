// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/stream_attempt.hpp>
#include <millrace/loop/tag.hpp>
#include <millrace/sim/channel.hpp>
#include <millrace/sim/net.hpp>
#include <millrace/sim/stream_answer.hpp>

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

namespace millrace::sim {

/// An attempt of a stream on a sim::channel, answered as the endpoint says. As in gRPC it waits for the dial, ends with its
/// deadline and with its connection, and ends well only when every message was read.
class stream_flight final : public stream_attempt, public rider {
 public:
  stream_flight(net& in, attempt_request const& request, stream_listener& listener) noexcept;

  void start();

  void read() override;
  void write(message&& one, write_mode how) override;
  void half_close() override;
  void cancel() noexcept override;
  void release() noexcept override { delete this; }
  std::string peer() const override { return received_ ? channel_.to().name() : ""; }

 private:
  ~stream_flight() { --net_.live_attempts_; }

  void on_connected() override;
  void on_lost(std::string_view why) override;
  void on_dial_failed(std::string_view why) override;
  void on_deadline() {
    if (!sticks()) fail(status_code::deadline_exceeded, "Deadline Exceeded");  // else the client's own cuts it off
  }
  void on_cut() { fail(status_code::cancelled, "Cancelled on client"); }
  bool sticks() const noexcept { return received_ && !ended_ && answer_.stuck > duration::zero(); }

  template <class Tag>
  bool begin(Tag& tag);
  void give_message();
  void take_message();
  void begin_answer();
  void send_headers();
  void on_taken();
  void on_sent();
  void end();
  void end_when_read();
  void fail(status_code code, std::string message);
  void stand_still() noexcept;
  void finish(status how);

  void on_headers(completion how);
  void on_got(completion how);
  void on_wrote(completion how);
  void on_over(completion how);
  void one_back();

  net& net_;
  attempt_request const request_;
  channel& channel_;
  stream_listener& listener_;
  stream_answer answer_;
  bool under_way_ = false;
  bool received_ = false;
  bool headers_sent_ = false;
  bool half_closed_ = false;
  bool ended_ = false;  // by the server; the client may have messages to read
  bool cut_ = false;    // and stuck
  bool reading_ = false;
  bool writing_ = false;
  write_mode mode_;
  bool write_is_message_ = false;
  message writing_message_;
  std::uint32_t taken_ = 0;
  std::uint32_t to_send_ = 0;
  std::uint32_t sent_ = 0;
  std::string joined_;
  std::deque<message> unread_;
  message got_message_;
  std::uint32_t outstanding_ = 0;
  completion how_ = completion::ok;
  timer begins_at_{bound<void()>::to<&stream_flight::begin_answer>(*this)};
  timer taken_at_{bound<void()>::to<&stream_flight::on_taken>(*this)};
  timer sent_at_{bound<void()>::to<&stream_flight::on_sent>(*this)};
  timer deadline_{bound<void()>::to<&stream_flight::on_deadline>(*this)};
  timer cut_at_{bound<void()>::to<&stream_flight::on_cut>(*this)};
  tag<&stream_flight::on_headers> headers_back_{*this};
  tag<&stream_flight::on_got> got_back_{*this};
  tag<&stream_flight::on_wrote> wrote_back_{*this};
  tag<&stream_flight::on_over> over_back_{*this};
};

}  // namespace millrace::sim
