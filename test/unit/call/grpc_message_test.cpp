// SPDX-License-Identifier: Apache-2.0
#include <millrace/call/grpc_message.hpp>

#include <millrace/loop/loop.hpp>

#include <support/catch.hpp>

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>

#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace millrace;

namespace {

/// The slices that a batch would send for a message.
class sent {
 public:
  explicit sent(message const& of) {
    grpc_slice_buffer_init(&slices_);
    append_slices(slices_, of);
  }
  sent(sent const&) = delete;
  sent& operator=(sent const&) = delete;
  ~sent() { grpc_slice_buffer_destroy(&slices_); }

  std::size_t count() const { return slices_.count; }
  unsigned char const* bytes(std::size_t at = 0) const { return GRPC_SLICE_START_PTR(slices_.slices[at]); }
  std::string text(std::size_t at = 0) const {
    return {reinterpret_cast<char const*>(bytes(at)), GRPC_SLICE_LENGTH(slices_.slices[at])};
  }

 private:
  grpc_slice_buffer slices_;
};

message filled(millrace::loop& on, std::size_t size, char with, unsigned char const** where = nullptr) {
  unsigned char* into = nullptr;
  message made = make_message(on, size, into);
  std::memset(into, with, size);
  if (where != nullptr) *where = into;
  return made;
}

}  // namespace

TEST_CASE("grpc message: what is serialised is what gRPC is given, without a copy", "[call]") {
  millrace::loop loop;
  auto const size = GENERATE(as<std::size_t>{}, 24, 100, 8192, 8193, 1'000'000);
  unsigned char const* where = nullptr;
  message const one = filled(loop, size, 'x', &where);
  sent const first(one), second(one.share());
  CHECK(first.bytes() == where);
  CHECK(second.bytes() == where);
  CHECK(first.text() == std::string(size, 'x'));
}

TEST_CASE("grpc message: small ones lie side by side, and none overlaps another", "[call]") {
  millrace::loop loop;
  std::vector<message> all;
  for (std::size_t n = 0; n < 3000; ++n) all.push_back(filled(loop, 1 + n % 97 * 50, static_cast<char>('a' + n % 26)));
  for (std::size_t n = 0; n < all.size(); ++n) {
    CHECK(all[n].to_string() == std::string(1 + n % 97 * 50, static_cast<char>('a' + n % 26)));
  }
}

TEST_CASE("grpc message: outlives the thread that made it, and may go on any", "[call]") {
  millrace::loop loop;
  message one;
  std::thread([&] { one = filled(loop, 100, 'x'); }).join();
  CHECK(one.to_string() == std::string(100, 'x'));
  std::thread([gone = std::move(one)] {}).join();
}

TEST_CASE("grpc message: a response in one piece is read where gRPC received it", "[call]") {
  grpc_slice slice = grpc_slice_malloc(100);
  std::memset(GRPC_SLICE_START_PTR(slice), 'x', 100);
  message const one = adopt(grpc_raw_byte_buffer_create(&slice, 1));
  auto const piece = one_piece(one);
  REQUIRE(piece);
  CHECK(static_cast<void const*>(piece->data()) == GRPC_SLICE_START_PTR(slice));
  CHECK(*piece == std::string(100, 'x'));
  grpc_slice_unref(slice);
}

TEST_CASE("grpc message: a generic call's buffer is passed on as it is, both ways", "[call]") {
  grpc::Slice const parts[] = {grpc::Slice(std::string(100, 'x')), grpc::Slice(std::string(200, 'y'))};
  grpc::ByteBuffer const mine(parts, 2);
  message one = to_message(grpc::ByteBuffer(mine));
  CHECK_FALSE(one_piece(one));
  {
    sent const out(one);
    REQUIRE(out.count() == 2);
    CHECK(out.bytes(0) == parts[0].begin());
    CHECK(out.bytes(1) == parts[1].begin());
  }
  std::vector<grpc::Slice> back;
  REQUIRE(to_byte_buffer(std::move(one)).Dump(&back).ok());
  REQUIRE(back.size() == 2);
  CHECK(back[0].begin() == parts[0].begin());
  CHECK(back[1].begin() == parts[1].begin());
}
