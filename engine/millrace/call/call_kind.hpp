// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace millrace {

/// Which sides of a call send more than one message.
enum class call_kind : std::uint8_t {
  unary,          ///< Neither.
  client_stream,  ///< The client; the server answers with one.
  server_stream,  ///< The server, to one request.
  bidi_stream,    ///< Both, independently.
};

}  // namespace millrace
