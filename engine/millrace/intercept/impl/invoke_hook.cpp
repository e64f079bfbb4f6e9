// SPDX-License-Identifier: Apache-2.0
#include <millrace/intercept/impl/invoke_hook.hpp>

#include <exception>
#include <string>
#include <utility>

namespace millrace::impl {

hook_result result_of_exception() noexcept {
  std::string message = "interceptor threw: ";
  try {
    throw;
  } catch (std::exception const& error) {
    message += error.what();
  } catch (...) {
    message += "something that is no std::exception";
  }
  return finish(status_code::internal, std::move(message));
}

}  // namespace millrace::impl
