// SPDX-License-Identifier: Apache-2.0
#include <millrace/health/health_message.hpp>

#include <support/catch.hpp>

using namespace millrace::health;
using namespace std::string_view_literals;

TEST_CASE("health_message: a request is its service, as protobuf writes it", "[health][message]") {
  CHECK(encode_health_request("") == "");
  CHECK(encode_health_request("echo.Echo") ==
        "\x0a\x09"
        "echo.Echo");
  CHECK(encode_health_request(std::string(127, 'x')) == "\x0a\x7f" + std::string(127, 'x'));
  CHECK(encode_health_request(std::string(128, 'x')) == "\x0a\x80\x01" + std::string(128, 'x'));
  std::string const longest(300, 'x');
  CHECK(encode_health_request(longest) == "\x0a\xac\x02" + longest);
}

TEST_CASE("health_message: a response is read as protobuf reads it", "[health][message]") {
  // a default is not on the wire; the last of several counts; values and fields of later versions are passed over
  CHECK(decode_health_response("") == serving_status::unknown);
  CHECK(decode_health_response("\x08\x00"sv) == serving_status::unknown);
  CHECK(decode_health_response("\x08\x01"sv) == serving_status::serving);
  CHECK(decode_health_response("\x08\x02"sv) == serving_status::not_serving);
  CHECK(decode_health_response("\x08\x03"sv) == serving_status::service_unknown);
  CHECK(decode_health_response("\x08\x04"sv) == serving_status::unknown);
  CHECK(decode_health_response("\x08\x81\x80\x00"sv) == serving_status::serving);
  CHECK(decode_health_response("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv) == serving_status::unknown);
  CHECK(decode_health_response("\x08\x02\x08\x01"sv) == serving_status::serving);
  CHECK(decode_health_response("\x10\xac\x02\x08\x01"sv) == serving_status::serving);
  CHECK(decode_health_response("\x12\x03xyz\x08\x01"sv) == serving_status::serving);
  CHECK(decode_health_response("\x08\x01\x19\x01\x02\x03\x04\x05\x06\x07\x08"sv) == serving_status::serving);
  CHECK(decode_health_response("\x1d\x01\x02\x03\x04\x08\x01"sv) == serving_status::serving);
}

TEST_CASE("health_message: what is no message is none", "[health][message]") {
  for (auto const bytes : {"\x08"sv, "\x08\x80"sv, "\x80"sv, "\x12\x04xyz"sv, "\x19\x01"sv, "\x1d\x01\x02\x03"sv,
                           "\x0b\x01"sv, "\x0f"sv, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv}) {
    CHECK_FALSE(decode_health_response(bytes).has_value());
  }
}

TEST_CASE("health_message: any three bytes are read to their end and no further", "[health][message]") {
  int messages = 0;
  for (unsigned bits = 0; bits < 1u << 24u; bits += 7) {
    char const bytes[] = {static_cast<char>(bits), static_cast<char>(bits >> 8u), static_cast<char>(bits >> 16u)};
    if (decode_health_response({bytes, sizeof bytes})) ++messages;
  }
  CHECK(messages > 0);
}
