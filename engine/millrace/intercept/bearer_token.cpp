// SPDX-License-Identifier: Apache-2.0
#include <millrace/intercept/bearer_token.hpp>

#include <millrace/base/metadata.hpp>

#include <exception>
#include <stdexcept>
#include <utility>
#include <vector>

namespace millrace {
namespace {

constexpr char const* header = "authorization";

void validate(bearer_token_params const& params) {
  if (!params.fetch) throw std::invalid_argument("bearer_token_params.fetch is empty; a function is required");
  if (params.refresh_margin < duration::zero()) {
    throw std::invalid_argument("bearer_token_params.refresh_margin is negative; at least 0 is allowed");
  }
  if (params.min_retry_interval < duration::zero()) {
    throw std::invalid_argument("bearer_token_params.min_retry_interval is negative; at least 0 is allowed");
  }
}

std::string reason(token_failure failure) {
  return failure.why.empty() ? std::string("no reason was given") : std::move(failure.why);
}

}  // namespace

class bearer_token_interceptor::token_source : public std::enable_shared_from_this<token_source> {
 public:
  explicit token_source(bearer_token_params params) : params_(std::move(params)) {}

  hook_result on_start(call_context& context);

 private:
  class fetch_in_flight;
  struct waiter {
    held_call call;
    call_context* context;  // alive as long as the handle is out
  };

  bool valid() const noexcept { return !authorization_.empty() && now_ < expires_at_; }
  bool fetch_due() const noexcept;
  void start_fetch();
  void complete(token_result result);
  std::string accept(bearer_token token);
  void resume_waiting();
  status failed() const { return {status_code::unauthenticated, "token refresh failed: " + failure_, {}}; }

  bearer_token_params params_;
  std::string authorization_;  // the header's value; empty before the first token
  std::string failure_;        // of the last fetch; empty when it succeeded
  std::vector<waiter> waiting_;
  time_point now_{};  // as the latest call said
  time_point expires_at_{};
  time_point no_retry_before_ = time_point::min();
  bool fetching_ = false;
};

// what a fetch's completion shares: it completes once, at the latest when the last copy of the completion is gone
class bearer_token_interceptor::token_source::fetch_in_flight {
 public:
  explicit fetch_in_flight(std::weak_ptr<token_source> source) noexcept : source_(std::move(source)) {}
  fetch_in_flight(fetch_in_flight const&) = delete;
  fetch_in_flight& operator=(fetch_in_flight const&) = delete;
  ~fetch_in_flight() { complete(token_failure{"the fetch was dropped without an outcome"}); }

  void complete(token_result result) {
    if (auto const source = std::exchange(source_, {}).lock()) source->complete(std::move(result));
  }

 private:
  std::weak_ptr<token_source> source_;
};

hook_result bearer_token_interceptor::token_source::on_start(call_context& context) {
  if (context.request_metadata().find(header)) return proceed;
  now_ = context.now();
  if (fetch_due()) start_fetch();
  if (valid()) {
    context.request_metadata().add(header, authorization_);
    return proceed;
  }
  if (!fetching_) return finish(failed());
  waiting_.push_back({context.hold_call(), &context});
  return hold;
}

bool bearer_token_interceptor::token_source::fetch_due() const noexcept {
  if (fetching_) return false;
  bool const may_retry = now_ >= no_retry_before_;
  if (valid()) return may_retry && expires_at_ - now_ <= params_.refresh_margin;
  return may_retry || failure_.empty();
}

void bearer_token_interceptor::token_source::start_fetch() {
  fetching_ = true;
  no_retry_before_ = saturating_add(now_, params_.min_retry_interval);
  auto const flight = std::make_shared<fetch_in_flight>(weak_from_this());
  try {
    params_.fetch([flight](token_result result) { flight->complete(std::move(result)); });
  } catch (std::exception const& error) {
    flight->complete(token_failure{error.what()});
  } catch (...) {
    flight->complete(token_failure{});
  }
}

void bearer_token_interceptor::token_source::complete(token_result result) {
  fetching_ = false;
  auto* const failure = std::get_if<token_failure>(&result);
  failure_ = failure != nullptr ? reason(std::move(*failure)) : accept(std::get<bearer_token>(std::move(result)));
  if (!failure_.empty()) no_retry_before_ = saturating_add(now_, params_.min_retry_interval);
  resume_waiting();
}

// takes a token in, or says why not
std::string bearer_token_interceptor::token_source::accept(bearer_token token) {
  if (token.value.empty()) return "the token is empty";
  if (!legal_metadata_value(header, token.value)) return "the token has characters that no header may carry";
  if (token.expires_at <= now_) return "the token had expired when it came";
  authorization_ = "Bearer " + token.value;
  expires_at_ = token.expires_at;
  return {};
}

void bearer_token_interceptor::token_source::resume_waiting() {
  for (waiter& one : std::exchange(waiting_, {})) {
    if (failure_.empty() && one.context->request_metadata().try_add(header, authorization_)) {
      one.call.proceed();
    } else {
      one.call.finish(failed());
    }
  }
}

bearer_token_interceptor::bearer_token_interceptor(bearer_token_params params) {
  validate(params);
  source_ = std::make_shared<token_source>(std::move(params));
}

bearer_token_interceptor::~bearer_token_interceptor() = default;

hook_result bearer_token_interceptor::on_start(call_context& context) { return source_->on_start(context); }

}  // namespace millrace
