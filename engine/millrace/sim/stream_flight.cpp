// SPDX-License-Identifier: Apache-2.0
#include <millrace/sim/stream_flight.hpp>

#include <millrace/loop/loop.hpp>
#include <millrace/pool/method.hpp>
#include <millrace/sim/text_message.hpp>

namespace millrace::sim {

stream_flight::stream_flight(net& in, attempt_request const& request, stream_listener& listener) noexcept
    : net_(in), request_(request), channel_(static_cast<channel&>(request.channel)), listener_(listener) {
  ++net_.live_attempts_;
}

// false when the loop refused it
template <class Tag>
bool stream_flight::begin(Tag& tag) {
  ++outstanding_;
  bool begun = false;
  net_.context().start(tag, op_kind::call, request_.method.path(), [&](void* out) {
    net_.events().expect(out);
    begun = true;
  });
  return begun;
}

void stream_flight::start() {
  if (!begin(over_back_)) return;
  begin(headers_back_);
  under_way_ = true;
  half_closed_ = request_.kind == call_kind::server_stream;
  if (request_.deadline != never) net_.events().arm(deadline_, request_.deadline);
  channel_.board(*this);
}

// ---- the client

void stream_flight::read() {
  if (!begin(got_back_)) return;
  if (!under_way_) return net_.events().complete(got_back_.as_tag(), completion::not_ok);
  reading_ = true;
  give_message();
}

void stream_flight::write(message&& one, write_mode how) {
  if (!begin(wrote_back_)) return;
  if (!under_way_ || ended_) return net_.events().complete(wrote_back_.as_tag(), completion::not_ok);
  writing_ = write_is_message_ = true;
  writing_message_ = std::move(one);
  mode_ = how;
  if (received_ && !cut_) take_message();
}

void stream_flight::half_close() {
  if (!begin(wrote_back_)) return;
  if (!under_way_ || ended_) return net_.events().complete(wrote_back_.as_tag(), completion::not_ok);
  writing_ = true;
  write_is_message_ = false;
  mode_ = {.last = true};
  if (received_ && !cut_) take_message();
}

void stream_flight::cancel() noexcept {
  if (!under_way_) return;
  if (!sticks()) return on_cut();
  net_.last_stuck_ = net_.events().now();
  if (std::exchange(cut_, true)) return;
  stand_still();
  net_.events().arm(cut_at_, saturating_add(net_.events().now(), answer_.stuck));
}

// nothing moves any longer, either way
void stream_flight::stand_still() noexcept {
  for (timer* const one : {&deadline_, &begins_at_, &taken_at_, &sent_at_}) net_.events().disarm(*one);
}

// ---- the connection

void stream_flight::on_connected() {
  answer_ = channel_.to().receive_stream();
  received_ = true;
  if (answer_.never_left) {
    never_left = true;
    return fail(answer_.code, answer_.message);
  }
  if (answer_.trailers_only) return finish({answer_.code, answer_.message, {}});
  if (writing_) take_message();
  if (answer_.silent) return;
  if (answer_.begins_after == duration::zero()) return begin_answer();
  net_.events().arm(begins_at_, saturating_add(net_.events().now(), answer_.begins_after));
}

void stream_flight::on_lost(std::string_view why) { fail(status_code::unavailable, std::string(why)); }

void stream_flight::on_dial_failed(std::string_view why) {
  never_left = true;
  fail(status_code::unavailable, std::string(why));
}

// ---- the server

void stream_flight::begin_answer() {
  if (channel_.silent()) return;
  send_headers();
  if (request_.kind != call_kind::server_stream) return;
  to_send_ = answer_.messages;
  if (to_send_ == 0) return end();
  net_.events().arm(sent_at_, saturating_add(net_.events().now(), answer_.takes));
}

void stream_flight::send_headers() {
  if (std::exchange(headers_sent_, true)) return;
  net_.events().complete(headers_back_.as_tag(), completion::ok);
}

void stream_flight::take_message() {
  bool const stalls = answer_.silent || (answer_.takes_messages && taken_ >= *answer_.takes_messages);
  if (stalls && write_is_message_) return;
  net_.events().arm(taken_at_, saturating_add(net_.events().now(), write_is_message_ ? answer_.takes : duration{}));
}

void stream_flight::on_taken() {
  if (channel_.silent()) return;
  writing_ = false;
  net_.events().complete(wrote_back_.as_tag(), completion::ok);
  if (write_is_message_) {
    ++taken_;
    if (request_.kind == call_kind::bidi_stream) unread_.push_back(writing_message_.share());
    joined_ += writing_message_.to_string();
    writing_message_ = {};
  }
  half_closed_ = half_closed_ || mode_.last;
  if (!answer_.silent && (half_closed_ || (answer_.ends_after && taken_ >= *answer_.ends_after))) return end();
  give_message();
}

void stream_flight::on_sent() {
  if (channel_.silent()) return;
  unread_.push_back(to_message(channel_.to().name() + ": " + std::to_string(sent_++)));
  if (sent_ == to_send_) return end();
  net_.events().arm(sent_at_, saturating_add(net_.events().now(), answer_.takes));
  give_message();
}

void stream_flight::end() {
  if (request_.kind == call_kind::client_stream && answer_.code == status_code::ok) {
    unread_.push_back(to_message(joined_));
  }
  ended_ = true;
  send_headers();
  if (std::exchange(writing_, false)) net_.events().complete(wrote_back_.as_tag(), completion::not_ok);
  give_message();
}

void stream_flight::give_message() {
  if (reading_ && !unread_.empty()) {
    reading_ = false;
    got_message_ = std::move(unread_.front());
    unread_.pop_front();
    net_.events().complete(got_back_.as_tag(), completion::ok);
  }
  end_when_read();
}

void stream_flight::end_when_read() {
  if (ended_ && unread_.empty()) finish({answer_.code, answer_.message, {}});
}

void stream_flight::fail(status_code code, std::string message) { finish({code, std::move(message), {}}); }

void stream_flight::finish(status how) {
  if (!std::exchange(under_way_, false)) return;
  result = std::move(how);
  static_cast<list_base<rider_tag>*>(this)->unlink();
  stand_still();
  net_.events().disarm(cut_at_);
  if (received_) channel_.to().done();
  if (!headers_sent_) net_.events().complete(headers_back_.as_tag(), completion::not_ok);
  if (std::exchange(reading_, false)) net_.events().complete(got_back_.as_tag(), completion::not_ok);
  if (std::exchange(writing_, false)) net_.events().complete(wrote_back_.as_tag(), completion::not_ok);
  net_.events().complete(over_back_.as_tag(), completion::ok);
}

// ---- back on the loop

void stream_flight::on_headers(completion how) {
  if (how == completion::ok) {
    headers = view(answer_.headers);
    committed = true;
    listener_.on_headers();
  }
  one_back();
}

void stream_flight::on_got(completion how) {
  if (how != completion::abandoned || !net_.context().ending()) listener_.on_got(std::move(got_message_));
  one_back();
}

void stream_flight::on_wrote(completion how) {
  if (how != completion::abandoned || !net_.context().ending()) listener_.on_wrote(how == completion::ok);
  one_back();
}

void stream_flight::on_over(completion how) {
  how_ = how;
  one_back();
}

void stream_flight::one_back() {
  if (--outstanding_ > 0) return;
  if (received_ && !answer_.never_left) trailers = view(answer_.trailers);
  listener_.on_over(how_);  // its call frees it
}

}  // namespace millrace::sim
