// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/loop/handler.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/system/error_code.hpp>

#include <utility>

namespace millrace {

struct wait_tag;

/// A handler that waits in somebody's list for an error code. Whoever ends the wait sets `result`, unlinks it, and schedules
/// it.
class wait : public operation, public list_base<wait_tag> {
 public:
  using operation::operation;

  boost::system::error_code result;

 protected:
  ~wait() = default;
};

using wait_list = intrusive_list<wait, wait_tag>;

/// A `Base` (wait, or derived from it) that ends by calling a handler of signature `void(error_code)`.
template <class Handler, class Base = wait>
class wait_operation final : public Base {
 public:
  wait_operation(loop& on, Handler&& handler) : Base(&wait_operation::run), handler_(on, std::move(handler)) {}

 private:
  static void run(operation& self, completion how) {
    auto& op = static_cast<wait_operation&>(self);
    if (auto slot = op.handler_.cancellation_slot(); slot.is_connected()) slot.clear();
    auto handler = std::move(op.handler_);
    boost::system::error_code const result = op.result;
    handler.destroy(&op);
    if (how != completion::abandoned) std::move(handler)(result);
  }

  completion_handler<Handler> handler_;
};

/// Starts a wait: `enlist(Base&)` puts it where it belongs, `end(Base&)` ends it when its cancellation slot fires.
template <class Base, class Token, class Enlist, class End>
auto async_wait_in(loop& on, Token&& token, Enlist enlist, End end) {
  return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
      [&on, enlist, end](auto handler) {
        using handler_type = decltype(handler);
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        Base* const op = new_operation<wait_operation<handler_type, Base>>(on, handler, on, std::move(handler));
        if (slot.is_connected()) slot.assign([end, op](boost::asio::cancellation_type) { end(*op); });
        enlist(*op);
      },
      token);
}

}  // namespace millrace
