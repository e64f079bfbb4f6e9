// SPDX-License-Identifier: Apache-2.0
#include <millrace/server/server_cork.hpp>

#include <millrace/loop/loop.hpp>
#include <millrace/pool/socket_mutator.hpp>
#include <millrace/pool/turn_cork.hpp>

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace millrace {
namespace {

// of the connections held, those looked at when another comes: of those that ended, one in so many is left at most
constexpr std::size_t checks_an_arrival = 8;

std::string text_of(int family, void const* address) {
  char text[INET6_ADDRSTRLEN] = {};
  return inet_ntop(family, address, text, sizeof text) != nullptr ? text : "";
}

/// The other end, spelled as gRPC's ServerContext::peer() does; a name that no call asks for when it cannot be told.
std::string peer_of(int descriptor) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  if (address.ss_family == AF_INET) {
    auto const& v4 = reinterpret_cast<sockaddr_in const&>(address);
    return "ipv4:" + text_of(AF_INET, &v4.sin_addr) + ':' + std::to_string(ntohs(v4.sin_port));
  }
  auto const& v6 = reinterpret_cast<sockaddr_in6 const&>(address);
  std::string const port = std::to_string(ntohs(v6.sin6_port));
  if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return "ipv4:" + text_of(AF_INET, &v6.sin6_addr.s6_addr[12]) + ':' + port;
  return "ipv6:%5B" + text_of(AF_INET6, &v6.sin6_addr) + "%5D:" + port;
}

cork_params validated(cork_params rule) {
  if (rule.flush_every > 0) return rule;
  throw std::invalid_argument("cork_params.flush_every: 0 is not allowed; it must be 1 or more");
}

bool has_ended(int descriptor) noexcept {
  pollfd one{.fd = descriptor, .events = 0, .revents = 0};
  return poll(&one, 1, 0) > 0;  // error or hang-up: gRPC has shut it down, and so has the peer, or it was reset
}

}  // namespace

/// One TCP connection of a client.
class server_cork::connection : public list_base<known_tag> {
 public:
  connection(loop& on, cork_params rule, std::string peer, int descriptor)
      : peer_(std::move(peer)),
        descriptor_{descriptor},
        cork_(on, rule, turn_cork::source::to<&connection::descriptor>(*this)) {}

  std::string const& peer() const noexcept { return peer_; }
  int descriptor() noexcept { return descriptor_.number; }
  turn_cork& cork() noexcept { return cork_; }

 private:
  struct own_descriptor {
    ~own_descriptor() { close(number); }
    int const number;
  };

  std::string const peer_;
  own_descriptor const descriptor_;
  turn_cork cork_;  // goes before the descriptor
};

/// A socket that was accepted, on its way from the thread that did it to the loop's.
class server_cork::arrival final : public operation {
 public:
  arrival(std::shared_ptr<catcher> by, std::string peer, int descriptor)
      : operation(&arrival::run), by_(std::move(by)), peer_(std::move(peer)), descriptor_(descriptor) {}

 private:
  static void run(operation& self, completion how);

  std::shared_ptr<catcher> const by_;
  std::string peer_;
  int const descriptor_;
};

/// What gRPC shows its sockets to. It may outlive the server_cork, for as long as gRPC keeps its arguments.
class server_cork::catcher final : public socket_catcher, public std::enable_shared_from_this<catcher> {
 public:
  explicit catcher(server_cork& owner) : owner_(&owner) {}

  void take(int descriptor) noexcept override {
    int const mine = second_descriptor(descriptor);
    if (mine < 0) return;
    operation& one = *std::make_unique<arrival>(shared_from_this(), peer_of(mine), mine).release();  // frees itself
    std::lock_guard const lock(mutex_);
    if (owner_ != nullptr) return owner_->loop_.inject(one);
    one.complete(completion::abandoned);
  }

  /// Loop's thread.
  void forget_owner() noexcept {
    std::lock_guard const lock(mutex_);
    owner_ = nullptr;
  }
  server_cork* owner() const noexcept { return owner_; }

 private:
  std::mutex mutex_;  // the loop must not go while something is injected
  server_cork* owner_;
};

void server_cork::arrival::run(operation& self, completion how) {
  std::unique_ptr<arrival> const one(static_cast<arrival*>(&self));
  server_cork* const owner = how == completion::abandoned ? nullptr : one->by_->owner();
  if (owner != nullptr) {
    owner->add(std::move(one->peer_), one->descriptor_);
  } else {
    close(one->descriptor_);
  }
}

server_cork::server_cork(loop& on, cork_params rule)
    : loop_(on), rule_(validated(rule)), catcher_(std::make_shared<catcher>(*this)) {}

server_cork::~server_cork() { catcher_->forget_owner(); }

void server_cork::install(grpc::ServerBuilder& builder) {
  class option final : public grpc::ServerBuilderOption {
   public:
    explicit option(std::shared_ptr<socket_catcher> to) : to_(std::move(to)) {}
    void UpdateArguments(grpc::ChannelArguments* args) override {
      show_sockets(*args, socket_use::server_connection, to_);
    }
    void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>*) override {}

   private:
    std::shared_ptr<socket_catcher> to_;
  };
  builder.SetOption(std::make_unique<option>(catcher_));
}

coalescing_stats server_cork::coalescing() const noexcept {
  coalescing_stats all = forgotten_;
  for (auto const& [peer, one] : known_) all += one->cork().stats();
  return all;
}

void server_cork::add(std::string peer, int descriptor) {
  forget_ended();
  // the port was used before, by a connection that has ended
  if (auto const old = known_.find(peer); old != known_.end()) forget(*old->second);
  auto one = std::make_unique<connection>(loop_, rule_, peer, descriptor);
  least_checked_first_.push_back(*one);
  known_.emplace(std::move(peer), std::move(one));
}

// nobody tells of the end of a connection; a few are looked at whenever one more comes
void server_cork::forget_ended() {
  for (std::size_t left = std::min(checks_an_arrival, known_.size()); left > 0; --left) {
    connection& one = *least_checked_first_.try_pop_front();
    least_checked_first_.push_back(one);
    if (has_ended(one.descriptor())) forget(one);
  }
}

void server_cork::forget(connection& one) noexcept {
  one.cork().uncork();  // or it would count as corked from here on
  forgotten_ += one.cork().stats();
  known_.erase(known_.find(one.peer()));
}

void server_cork::before_reply(grpc::ServerContextBase& call) noexcept {
  if (known_.empty()) return;
  char* const peer = grpc_call_get_peer(call.c_call());
  auto const found = known_.find(std::string_view(peer));
  gpr_free(peer);
  if (found == known_.end()) return;
  turn_cork& cork = found->second->cork();
  cork.before_write(cork.writes() + 1);
}

}  // namespace millrace
