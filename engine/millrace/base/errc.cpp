// SPDX-License-Identifier: Apache-2.0
#include <millrace/base/errc.hpp>

#include <string>

namespace millrace {
namespace {

class category final : public boost::system::error_category {
 public:
  char const* name() const noexcept override { return "millrace"; }

  std::string message(int value) const override { return text(value); }

  char const* message(int value, char*, std::size_t) const noexcept override { return text(value); }

 private:
  static char const* text(int value) noexcept {
    switch (static_cast<errc>(value)) {
      case errc::timed_out: return "the deadline passed";
      case errc::cancelled: return "cancelled by the caller";
      case errc::loop_stopping: return "the loop is stopping";
      case errc::pool_closed: return "the pool is draining or closed";
      case errc::queue_full: return "the pool's waiting queue is full";
      case errc::no_endpoint_ready: return "no endpoint is ready";
      case errc::out_of_range: return "more than the pool can give";
      case errc::waited_too_long: return "waited too long for a slot";
      case errc::unknown_endpoint: return "the pool has no such endpoint";
      case errc::operation_in_progress: return "another operation of this kind is under way on the stream";
      case errc::half_closed: return "the stream's sending side is closed";
      case errc::finishing: return "async_finish was called before";
      case errc::stream_ended: return "the stream has ended; async_finish tells how";
    }
    return "unknown millrace error";
  }
};

}  // namespace

boost::system::error_category const& engine_category() noexcept {
  static category const instance;
  return instance;
}

}  // namespace millrace
