// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "frame.hpp"
#include "reply.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::canned {

/// The server's half of one HTTP/2 connection, bytes in and bytes out: no socket. Answers each request that has ended, within
/// both flow-control windows. Request headers are skipped, not decoded, which is legal as long as none of them matters.
class connection {
 public:
  /// `reply_bytes`: the length of each answer's message; none: that of its request.
  explicit connection(std::optional<std::uint32_t> reply_bytes);

  /// Takes the whole frames at the front of `bytes` and appends what is to be sent to `out`. Returns how many bytes it took; the
  /// rest is the beginning of a frame, to be given again with more behind it. Not to be called once `closing`.
  std::size_t receive(std::string_view bytes, std::string& out);

  /// The peer broke the protocol: send what is in `out`, then close.
  bool closing() const noexcept { return closing_; }

  std::uint64_t answered() const noexcept { return answered_; }

 private:
  // a request under way, or an answer that waits for window
  struct stream {
    std::uint32_t id = 0;
    std::uint32_t received = 0;        // bytes of its message, prefix included
    std::uint32_t unacknowledged = 0;  // of what we let it send
    std::int64_t window = 0;           // what we may send
    std::uint32_t reply_bytes = 0;
    std::size_t sent = 0;
  };

  bool take(frame_header const& head, std::string_view payload, std::string& out);
  bool on_data(frame_header const& head, std::string_view payload, std::string& out);
  bool on_headers(frame_header const& head, std::string& out);
  bool on_continuation(frame_header const& head, std::string& out);
  bool on_settings(frame_header const& head, std::string_view payload, std::string& out);
  bool on_window_update(frame_header const& head, std::string_view payload, std::string& out);
  void on_reset(std::uint32_t id) noexcept;

  void end_request(std::uint32_t id, std::string& out);
  bool write_body(stream& one, std::string& out);
  void write_waiting(std::string& out);
  void move_windows(std::int64_t by) noexcept;
  stream* find(std::uint32_t id) noexcept;
  stream take_request(std::uint32_t id) noexcept;
  bool fail(h2_error error, std::string& out);

  std::optional<std::uint32_t> const reply_bytes_;
  reply reply_;
  bool greeted_ = false;
  bool closing_ = false;
  std::uint32_t last_stream_ = 0;
  std::uint32_t headers_of_ = 0;  // the stream whose headers go on in CONTINUATION frames
  bool headers_end_stream_ = false;
  std::uint32_t unacknowledged_ = 0;
  std::int64_t window_ = default_window;
  std::int64_t stream_window_ = default_window;  // of new streams
  std::uint64_t answered_ = 0;
  std::vector<stream> requests_;  // the newest last: it is nearly always the one that is asked for
  std::deque<stream> waiting_;
};

}  // namespace millrace::canned
