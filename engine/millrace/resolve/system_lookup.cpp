// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/system_lookup.hpp>

#include <millrace/resolve/addresses.hpp>
#include <millrace/resolve/impl/address.hpp>

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <thread>
#include <utility>

namespace millrace::resolve {
namespace {

// the embedding program's signal handlers do not run on threads it does not know
class signals_blocked {
 public:
  signals_blocked() noexcept {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  signals_blocked(signals_blocked const&) = delete;
  signals_blocked& operator=(signals_blocked const&) = delete;
  ~signals_blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

std::string text_of(addrinfo const& one) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  int const error =
      getnameinfo(one.ai_addr, one.ai_addrlen, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  return error == 0 ? impl::join_host_port(host, port) : std::string();
}

lookup_result look_up(std::string const& host, std::string const& port) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int const error = getaddrinfo(host.c_str(), port.c_str(), &wanted, &found);
  if (error != 0) return {.error = error == EAI_SYSTEM ? std::system_category().message(errno) : gai_strerror(error)};
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> const list(found, freeaddrinfo);
  lookup_result result;
  for (addrinfo const* one = found; one != nullptr; one = one->ai_next) {
    std::string address = text_of(*one);
    auto const end = result.addresses.end();
    // a host that /etc/hosts lists twice is one
    if (!address.empty() && std::find(result.addresses.begin(), end, address) == end) {
      result.addresses.push_back(std::move(address));
    }
  }
  result.addresses = interleaved(std::move(result.addresses));
  return result;
}

}  // namespace

struct system_lookup::question {
  std::string host;
  std::string port;
  impl::doorbell::button answered;
  lookup_result result{};  // the thread's until it presses the button
};

system_lookup::~system_lookup() = default;

void system_lookup::start(std::string const& host, std::string const& port, callback done) {
  done_ = done;
  answered_ = std::make_unique<impl::doorbell>(loop_, bound<void()>::to<&system_lookup::on_answered>(*this));
  asked_ = std::make_shared<question>(question{host, port, answered_->make_button()});
  try {
    signals_blocked const here;
    std::thread([asked = asked_] {
      asked->result = look_up(asked->host, asked->port);
      asked->answered.press();
    }).detach();
  } catch (std::system_error const& error) {
    asked_->result.error = error.what();
    asked_->answered.press();
  }
}

void system_lookup::on_answered() { done_(std::move(asked_->result)); }

}  // namespace millrace::resolve
