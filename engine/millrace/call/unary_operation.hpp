// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <millrace/call/unary_call.hpp>
#include <millrace/loop/handler.hpp>

#include <boost/asio/async_result.hpp>

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace millrace {

/// A unary_call that ends by calling a handler. `Decode` makes the handler's one argument: `static bool decode(message&&,
/// value_type&, status& why_not)` reads a response, `static result_type finish(status&&, value_type&&)` joins it with the
/// outcome. Memory of a handler's own allocator is back before the handler runs, so such a call waits for what is cut off.
template <class Decode, class Handler>
class unary_operation final : public unary_call {
 public:
  unary_operation(std::shared_ptr<client_core>&& client, method const& called, message&& payload,
                  call_options const& options, Handler&& handler)
      : unary_call(std::move(client), called, std::move(payload), options),
        allocator_(boost::asio::get_associated_allocator(handler)),
        handler_(std::in_place, context(), std::move(handler)) {
    if constexpr (!std::is_same_v<allocator_type, std::allocator<void>>) set_memory_first();
  }

 private:
  using allocator_type = boost::asio::associated_allocator_t<Handler>;

  bool parse(message&& response, status& why_not) override {
    return Decode::decode(std::move(response), value_, why_not);
  }

  void deliver(completion how, bool may_free) override {
    if (auto slot = handler_->cancellation_slot(); slot.is_connected()) slot.clear();
    auto handler = std::move(*handler_);
    handler_.reset();
    if (how == completion::abandoned) {
      if (may_free) destroy();
      return;
    }
    auto outcome = Decode::finish(std::move(result()), std::move(value_));
    if (may_free) destroy();
    std::move(handler)(std::move(outcome));
  }

  void destroy() noexcept override { delete_operation(context(), allocator_type(allocator_), this); }

  [[no_unique_address]] allocator_type allocator_;
  typename Decode::value_type value_{};
  std::optional<completion_handler<Handler>> handler_;
};

/// Starts a unary call. What `async_initiate` is given holds everything by value, so tokens that start later (`deferred`,
/// `use_awaitable`) are safe. `called` outlives the call.
template <class Decode, class Token>
auto async_unary(std::shared_ptr<client_core> client, method const& called, message payload, call_options options,
                 Token&& token) {
  return boost::asio::async_initiate<Token, void(typename Decode::result_type)>(
      [client = std::move(client), &called](auto handler, message bytes, call_options how) mutable {
        using operation_type = unary_operation<Decode, decltype(handler)>;
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        loop& on = client->context();
        auto* const call = new_operation<operation_type>(on, handler, std::move(client), called, std::move(bytes), how,
                                                         std::move(handler));
        if (slot.is_connected()) slot.assign([call](boost::asio::cancellation_type type) { call->cancel(type); });
        call->begin();
      },
      token, std::move(payload), std::move(options));
}

}  // namespace millrace
