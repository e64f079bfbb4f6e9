// SPDX-License-Identifier: Apache-2.0
#include "connection.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

namespace millrace::canned {
namespace {

constexpr std::string_view preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// what peers may send before we say that we took it: more than any batch of requests, so that they never wait for us
constexpr std::uint32_t receive_window = 1u << 24u;
constexpr std::uint32_t stream_receive_window = 1u << 20u;

constexpr std::int64_t largest_window = std::numeric_limits<std::int32_t>::max();
constexpr std::uint16_t setting_initial_window_size = 4;

void append_window_update(std::string& out, std::uint32_t stream, std::uint32_t by) {
  char bytes[4];
  write_u32(bytes, by);
  append_frame(out, frame_type::window_update, 0, stream, {bytes, sizeof bytes});
}

}  // namespace

connection::connection(std::optional<std::uint32_t> reply_bytes) : reply_bytes_(reply_bytes) {}

std::size_t connection::receive(std::string_view bytes, std::string& out) {
  std::size_t taken = 0;
  if (!greeted_) {
    std::string_view const start = bytes.substr(0, preface.size());
    if (start != preface.substr(0, start.size())) return fail(h2_error::protocol, out), bytes.size();
    if (start.size() < preface.size()) return 0;
    taken = preface.size();
    greeted_ = true;
    char setting[6] = {0, setting_initial_window_size};
    write_u32(setting + 2, stream_receive_window);
    append_frame(out, frame_type::settings, 0, 0, {setting, sizeof setting});
    append_window_update(out, 0, receive_window - static_cast<std::uint32_t>(default_window));
  }
  while (bytes.size() - taken >= frame_header_size) {
    frame_header const head = frame_header::read(bytes.data() + taken);
    if (head.length > max_frame_size) return fail(h2_error::frame_size, out), bytes.size();
    if (bytes.size() - taken - frame_header_size < head.length) break;
    if (!take(head, bytes.substr(taken + frame_header_size, head.length), out)) return bytes.size();
    taken += frame_header_size + head.length;
  }
  return taken;
}

bool connection::take(frame_header const& head, std::string_view payload, std::string& out) {
  if ((headers_of_ != 0) != (head.type == frame_type::continuation)) return fail(h2_error::protocol, out);
  switch (head.type) {
    case frame_type::data: return on_data(head, payload, out);
    case frame_type::headers: return on_headers(head, out);
    case frame_type::continuation: return on_continuation(head, out);
    case frame_type::settings: return on_settings(head, payload, out);
    case frame_type::window_update: return on_window_update(head, payload, out);
    case frame_type::rst_stream: on_reset(head.stream); return true;
    case frame_type::ping:
      if (payload.size() != 8) return fail(h2_error::frame_size, out);
      if (!head.has(flag::ack)) append_frame(out, frame_type::ping, flag::ack, 0, payload);
      return true;
    case frame_type::push_promise: return fail(h2_error::protocol, out);
    case frame_type::priority:
    case frame_type::goaway: return true;
  }
  return true;  // frames of other types are ignored (RFC 9113 section 4.1)
}

bool connection::on_data(frame_header const& head, std::string_view payload, std::string& out) {
  std::uint32_t padding = 0;
  if (head.has(flag::padded)) {
    if (payload.empty()) return fail(h2_error::frame_size, out);
    padding = 1 + static_cast<unsigned char>(payload.front());
    if (padding > head.length) return fail(h2_error::protocol, out);
  }
  unacknowledged_ += head.length;
  if (unacknowledged_ > receive_window / 2) append_window_update(out, 0, std::exchange(unacknowledged_, 0));
  auto const one =
      std::find_if(requests_.rbegin(), requests_.rend(), [&](auto const& s) { return s.id == head.stream; });
  if (one == requests_.rend()) return head.stream != 0 || fail(h2_error::protocol, out);  // it was reset
  one->received += head.length - padding;
  one->unacknowledged += head.length;
  if (head.has(flag::end_stream)) {
    end_request(head.stream, out);
  } else if (one->unacknowledged > stream_receive_window / 2) {
    append_window_update(out, head.stream, std::exchange(one->unacknowledged, 0));
  }
  return true;
}

bool connection::on_headers(frame_header const& head, std::string& out) {
  if (head.stream % 2 == 0) return fail(h2_error::protocol, out);
  // those of a stream we know are its trailers
  if (head.stream > last_stream_) {
    last_stream_ = head.stream;
    requests_.push_back({.id = head.stream, .window = stream_window_});
  }
  headers_end_stream_ = head.has(flag::end_stream);
  if (!head.has(flag::end_headers)) {
    headers_of_ = head.stream;
  } else if (headers_end_stream_) {
    end_request(head.stream, out);
  }
  return true;
}

bool connection::on_continuation(frame_header const& head, std::string& out) {
  if (head.stream != headers_of_) return fail(h2_error::protocol, out);
  if (!head.has(flag::end_headers)) return true;
  headers_of_ = 0;
  if (headers_end_stream_) end_request(head.stream, out);
  return true;
}

bool connection::on_settings(frame_header const& head, std::string_view payload, std::string& out) {
  if (head.has(flag::ack)) return true;
  if (payload.size() % 6 != 0) return fail(h2_error::frame_size, out);
  for (; !payload.empty(); payload.remove_prefix(6)) {
    if (payload[0] != 0 || payload[1] != setting_initial_window_size) continue;
    std::int64_t const size = read_u32(payload.data() + 2);
    if (size > largest_window) return fail(h2_error::flow_control, out);
    move_windows(size - std::exchange(stream_window_, size));
  }
  append_frame(out, frame_type::settings, flag::ack, 0, {});
  write_waiting(out);
  return true;
}

bool connection::on_window_update(frame_header const& head, std::string_view payload, std::string& out) {
  if (payload.size() != 4) return fail(h2_error::frame_size, out);
  std::int64_t const by = read_u32(payload.data()) & 0x7fffffffu;
  std::int64_t* window = &window_;
  if (head.stream != 0) {
    stream* const one = find(head.stream);
    if (one == nullptr) return true;  // it was answered
    window = &one->window;
  }
  if (by == 0 || *window + by > largest_window) return fail(h2_error::flow_control, out);
  *window += by;
  write_waiting(out);
  return true;
}

void connection::on_reset(std::uint32_t id) noexcept {
  std::erase_if(requests_, [id](stream const& one) { return one.id == id; });
  std::erase_if(waiting_, [id](stream const& one) { return one.id == id; });
}

// ---- answers

void connection::end_request(std::uint32_t id, std::string& out) {
  stream one = take_request(id);
  if (one.id == 0) return;  // it was reset
  one.reply_bytes = reply_bytes_.value_or(one.received > 5 ? one.received - 5 : 0);
  append_frame(out, frame_type::headers, flag::end_headers, id, reply::headers());
  // those that wait go first, lest they wait for ever
  if (!waiting_.empty() || !write_body(one, out)) waiting_.push_back(one);
}

// false when the windows do not let all of it out
bool connection::write_body(stream& one, std::string& out) {
  std::string_view const body = reply_.body(one.reply_bytes);
  while (one.sent < body.size()) {
    auto const room = std::min({window_, one.window, std::int64_t{max_frame_size}});
    if (room <= 0) return false;
    std::string_view const part = body.substr(one.sent, static_cast<std::size_t>(room));
    append_frame(out, frame_type::data, 0, one.id, part);
    one.sent += part.size();
    one.window -= static_cast<std::int64_t>(part.size());
    window_ -= static_cast<std::int64_t>(part.size());
  }
  append_frame(out, frame_type::headers, flag::end_headers | flag::end_stream, one.id, reply::trailers());
  ++answered_;
  return true;
}

void connection::write_waiting(std::string& out) {
  // an answer whose own window is shut does not hold up those behind it
  for (auto at = waiting_.begin(); at != waiting_.end() && window_ > 0;) {
    at = write_body(*at, out) ? waiting_.erase(at) : at + 1;
  }
}

void connection::move_windows(std::int64_t by) noexcept {
  for (stream& one : requests_) one.window += by;
  for (stream& one : waiting_) one.window += by;
}

connection::stream* connection::find(std::uint32_t id) noexcept {
  auto const is_it = [id](stream const& one) { return one.id == id; };
  if (auto const at = std::find_if(requests_.rbegin(), requests_.rend(), is_it); at != requests_.rend()) return &*at;
  auto const at = std::find_if(waiting_.begin(), waiting_.end(), is_it);
  return at == waiting_.end() ? nullptr : &*at;
}

connection::stream connection::take_request(std::uint32_t id) noexcept {
  for (auto at = requests_.rbegin(); at != requests_.rend(); ++at) {
    if (at->id != id) continue;
    stream const one = *at;
    requests_.erase(std::next(at).base());
    return one;
  }
  return {};
}

bool connection::fail(h2_error error, std::string& out) {
  char payload[8];
  write_u32(payload, last_stream_);
  write_u32(payload + 4, static_cast<std::uint32_t>(error));
  append_frame(out, frame_type::goaway, 0, 0, {payload, sizeof payload});
  closing_ = true;
  return false;
}

}  // namespace millrace::canned
