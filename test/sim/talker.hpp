// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support.hpp"

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::sim {

inline constexpr std::array kinds = {call_kind::server_stream, call_kind::client_stream, call_kind::bidi_stream};

/// A user of one stream: writes its messages, `0`, `1` …, half-closes, reads all there is, and finishes. Remembers what it was
/// told.
class talker {
 public:
  talker(world& in, call_kind kind, std::uint32_t messages) : in_(in), kind_(kind), messages_(messages) {}
  talker(talker const&) = delete;
  talker& operator=(talker const&) = delete;

  void start(call_options const& options = {}, stream_options const& how = {}) {
    started = true;
    switch (kind_) {
      case call_kind::unary: return;
      case call_kind::server_stream:
        stream_.emplace<server_stream>(in_.client().async_server_stream(world::called(), "please", options, how));
        return read();
      case call_kind::client_stream:
        stream_.emplace<client_stream>(in_.client().async_client_stream(world::called(), options, how));
        return write();
      case call_kind::bidi_stream:
        stream_.emplace<bidi_stream>(in_.client().async_bidi_stream(world::called(), options, how));
        write();
        return read();
    }
  }

  void cancel() {
    std::visit(
        [](auto& one) {
          if constexpr (!same<decltype(one), std::monostate>) one.cancel();
        },
        stream_);
  }
  /// The handle goes.
  void drop() {
    dropped = true;
    stream_ = {};
  }

  template <class Stream>
  Stream& as() {
    return std::get<Stream>(stream_);
  }

  /// Called at each thing it is told, with how many there were.
  std::function<void(std::uint32_t)> on_told{};
  /// Reads so many messages and then no more.
  std::optional<std::uint32_t> most_reads{};

  bool started = false;
  bool dropped = false;
  std::vector<std::string> got;
  std::uint32_t accepted = 0;  ///< Writes that were.
  std::optional<error_code> write_error;
  std::optional<error_code> read_error;
  std::optional<status> end;
  std::string answer;  ///< To a client stream.
  std::uint32_t ends = 0;

  /// Each operation that was begun has ended, and no message was lost, doubled or reordered.
  bool sound() const {
    bool right = reads_out_ == 0 && writes_out_ == 0 && (!started || dropped || most_reads || ends == 1);
    if (kind_ == call_kind::bidi_stream) {
      for (std::size_t at = 0; at < got.size(); ++at) right = right && got[at] == std::to_string(at);
    } else {
      for (std::size_t at = 0; at < got.size(); ++at) right = right && got[at].ends_with(": " + std::to_string(at));
    }
    return right;
  }

 private:
  template <class T, class U>
  static constexpr bool same = std::is_same_v<std::remove_cvref_t<T>, U>;

  void told() {
    if (on_told) on_told(++told_);
  }

  template <class Do>
  void on_writer(Do what) {
    if (auto* const one = std::get_if<client_stream>(&stream_)) what(*one);
    if (auto* const one = std::get_if<bidi_stream>(&stream_)) what(*one);
  }
  template <class Do>
  void on_reader(Do what) {
    if (auto* const one = std::get_if<server_stream>(&stream_)) what(*one);
    if (auto* const one = std::get_if<bidi_stream>(&stream_)) what(*one);
  }

  void write() {
    if (accepted == messages_) {
      on_writer([](auto& one) { static_cast<void>(one.writes_done()); });
      if (kind_ == call_kind::client_stream) finish();
      return;
    }
    on_writer([this](auto& one) {
      ++writes_out_;
      one.async_write(std::to_string(accepted), [this](error_code error) {
        --writes_out_;
        told();
        if (error) {
          write_error = error;
          if (kind_ == call_kind::client_stream) finish();
          return;
        }
        ++accepted;
        write();
      });
    });
  }

  void read() {
    if (most_reads && got.size() == *most_reads) return;
    on_reader([this](auto& one) {
      ++reads_out_;
      one.async_read([this](error_code error, std::optional<std::string> text) {
        --reads_out_;
        told();
        if (error) read_error = error;
        if (!text) return finish();
        got.push_back(std::move(*text));
        read();
      });
    });
  }

  void finish() {
    if (auto* const one = std::get_if<client_stream>(&stream_)) {
      one->async_finish([this](call_result result) {
        if (result) answer = *result;
        finished(result ? status{} : result.error());
      });
    }
    on_reader([this](auto& one) { one.async_finish([this](status how) { finished(std::move(how)); }); });
  }

  void finished(status how) {
    ++ends;
    end = std::move(how);
    told();
  }

  world& in_;
  call_kind kind_;
  std::uint32_t messages_;
  std::variant<std::monostate, server_stream, client_stream, bidi_stream> stream_;
  std::uint32_t told_ = 0;
  int reads_out_ = 0;
  int writes_out_ = 0;
};

inline void check_left_over(world& in, talker& one) {
  CHECK(one.sound());
  one.drop();
  if (in.has_pool()) CHECK(in.pool().snapshot().in_flight == 0);
  in.finish();
}

}  // namespace millrace::sim
