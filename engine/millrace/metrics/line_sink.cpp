// SPDX-License-Identifier: Apache-2.0
#include <millrace/metrics/line_sink.hpp>

#include <cstdio>

namespace millrace {

void write_to_stderr(std::string_view line) {
  std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

std::string one_line(std::string_view text) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  for (char c : text) {
    auto const byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      out += c;
    } else {
      out.append("\\x").append({digits[byte >> 4u], digits[byte & 15u]});
    }
  }
  return out;
}

}  // namespace millrace
