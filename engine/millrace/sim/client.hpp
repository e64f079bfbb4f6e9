// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/base/status.hpp>
#include <millrace/call/stream.hpp>
#include <millrace/call/unary_operation.hpp>
#include <millrace/sim/text_message.hpp>
#include <millrace/sim/transport.hpp>

#include <boost/asio/deferred.hpp>
#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace millrace {

/// What `sim::call_result::value()` throws when the call failed.
class call_failed : public std::runtime_error {
 public:
  explicit call_failed(millrace::status status)
      : std::runtime_error(std::string(to_string(status.code)) + ": " + status.message), status_(std::move(status)) {}

  millrace::status const& status() const noexcept { return status_; }

 private:
  millrace::status status_;
};

// found by argument-dependent lookup from boost::system::result::value()
[[noreturn]] inline void throw_exception_from_error(status const& error, boost::source_location const&) {
  throw call_failed(error);
}

}  // namespace millrace

namespace millrace::sim {

/// A simulated call's outcome, as rpc_result is a real one's.
using call_result = boost::system::result<std::string, status>;

/// Turns a text message into a call_result.
struct decode_text {
  using value_type = std::string;
  using result_type = call_result;

  static bool decode(message&& bytes, std::string& into, status&) {
    into = bytes.to_string();
    return true;
  }

  static result_type finish(status&& how, std::string&& value) {
    if (!how.ok()) return std::move(how);
    return std::move(value);
  }
};

/// The messages of a simulated stream.
struct text_codec : decode_text {
  using request_type = std::string;
  using response_type = std::string;
  using status_type = status;

  static message encode(loop&, std::string const& text) { return to_message(text); }
  static status to_status(status&& how) { return std::move(how); }
};

using server_stream = basic_server_stream<text_codec>;
using client_stream = basic_client_stream<text_codec>;
using bidi_stream = basic_bidi_stream<text_codec>;

/// A client whose messages are strings and whose servers are simulated. Everything above the transport is the real thing.
class client {
 public:
  /// `in` outlives the client's calls. Throws std::invalid_argument naming the field of `params` that is wrong.
  client(pool& from, net& in, client_params params = {})
      : core_(std::make_shared<client_core>(from, std::make_unique<transport>(in), std::move(params))) {}

  /// One unary call of `called`, which outlives it. Signature `void(call_result)`. Else as millrace::client::async_call.
  template <class Token = boost::asio::deferred_t>
  [[nodiscard]] auto async_call(method const& called, std::string request, call_options options = {},
                                Token&& token = {}) {
    return async_unary<decode_text>(core_, called, to_message(std::move(request)), std::move(options),
                                    std::forward<Token>(token));
  }

  // streams; as millrace::client's

  [[nodiscard]] server_stream async_server_stream(method const& called, std::string request,
                                                  call_options const& options = {}, stream_options const& how = {}) {
    return {core_, called, to_message(std::move(request)), options, how};
  }
  [[nodiscard]] client_stream async_client_stream(method const& called, call_options const& options = {},
                                                  stream_options const& how = {}) {
    return {core_, called, options, how};
  }
  [[nodiscard]] bidi_stream async_bidi_stream(method const& called, call_options const& options = {},
                                              stream_options const& how = {}) {
    return {core_, called, options, how};
  }

 private:
  std::shared_ptr<client_core> core_;
};

}  // namespace millrace::sim
