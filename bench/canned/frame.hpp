// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace millrace::canned {

/// The frame types of HTTP/2 (RFC 9113 section 6).
enum class frame_type : std::uint8_t {
  data = 0,
  headers = 1,
  priority = 2,
  rst_stream = 3,
  settings = 4,
  push_promise = 5,
  ping = 6,
  goaway = 7,
  window_update = 8,
  continuation = 9,
};

namespace flag {
constexpr std::uint8_t ack = 0x1;
constexpr std::uint8_t end_stream = 0x1;
constexpr std::uint8_t end_headers = 0x4;
constexpr std::uint8_t padded = 0x8;
}  // namespace flag

/// RFC 9113 section 7.
enum class h2_error : std::uint32_t { protocol = 1, flow_control = 3, frame_size = 6 };

constexpr std::size_t frame_header_size = 9;
constexpr std::uint32_t max_frame_size =
    16384;  // nobody may send longer ones unless told otherwise, and we tell nobody
constexpr std::int64_t default_window = 65535;

inline std::uint32_t read_u32(char const* at) noexcept {
  auto const byte = [at](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(at[i])); };
  return byte(0) << 24u | byte(1) << 16u | byte(2) << 8u | byte(3);
}

inline void write_u32(char* to, std::uint32_t value) noexcept {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<char>(value >> (24u - 8u * static_cast<unsigned>(i)));
}

/// The nine bytes before a frame's payload.
struct frame_header {
  std::uint32_t length = 0;
  frame_type type = frame_type::data;
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;

  bool has(std::uint8_t one) const noexcept { return (flags & one) != 0; }

  static frame_header read(char const* at) noexcept {
    return {read_u32(at) >> 8u, static_cast<frame_type>(at[3]), static_cast<std::uint8_t>(at[4]),
            read_u32(at + 5) & 0x7fffffffu};
  }

  void append_to(std::string& out) const {
    char bytes[frame_header_size];
    write_u32(bytes, length << 8u);
    bytes[3] = static_cast<char>(type);
    bytes[4] = static_cast<char>(flags);
    write_u32(bytes + 5, stream);
    out.append(bytes, sizeof bytes);
  }
};

inline void append_frame(std::string& out, frame_type type, std::uint8_t flags, std::uint32_t stream,
                         std::string_view payload) {
  frame_header{static_cast<std::uint32_t>(payload.size()), type, flags, stream}.append_to(out);
  out += payload;
}

}  // namespace millrace::canned
