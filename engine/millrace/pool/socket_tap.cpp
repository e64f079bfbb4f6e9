// SPDX-License-Identifier: Apache-2.0
#include <millrace/pool/socket_tap.hpp>

#include <grpc/support/sync.h>
#include <grpcpp/version_info.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <utility>

// The layout of gRPC's src/core/lib/iomgr/socket_mutator.h, unchanged from 1.38 to 1.51; grpc_socket_mutator_init is exported.
// gRPC declares these at global scope.
enum grpc_fd_usage { GRPC_FD_CLIENT_CONNECTION_USAGE, GRPC_FD_SERVER_LISTENER_USAGE, GRPC_FD_SERVER_CONNECTION_USAGE };

struct grpc_mutate_socket_info {
  int fd;
  grpc_fd_usage usage;
};

struct grpc_socket_mutator_vtable {
  bool (*mutate_fd)(int fd, grpc_socket_mutator* mutator);
  int (*compare)(grpc_socket_mutator* a, grpc_socket_mutator* b);
  void (*destroy)(grpc_socket_mutator* mutator);
  bool (*mutate_fd_2)(grpc_mutate_socket_info const* info, grpc_socket_mutator* mutator);
};

struct grpc_socket_mutator {
  grpc_socket_mutator_vtable const* vtable;
  gpr_refcount refcount;
};

void grpc_socket_mutator_init(grpc_socket_mutator* mutator, grpc_socket_mutator_vtable const* vtable);

namespace millrace {
namespace {

constexpr bool layout_known =
    GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR >= 38 && GRPC_CPP_VERSION_MINOR <= 51;

bool is_tcp(int descriptor) noexcept {
  int domain = 0;
  int type = 0;
  socklen_t size = sizeof domain;
  if (getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return false;
  size = sizeof type;
  if (getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return false;
  return (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM;
}

bool is_connected(int descriptor) noexcept {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  return getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0;
}

/// Receives the descriptors, on whichever thread dials. gRPC and the tap share it.
class catcher final : public grpc_socket_mutator {
 public:
  explicit catcher(std::shared_ptr<std::atomic<int>> caught) : caught_(std::move(caught)) {
    static constexpr grpc_socket_mutator_vtable functions = {
        .mutate_fd =
            [](int fd, grpc_socket_mutator* self) {
              static_cast<catcher*>(self)->take(fd);
              return true;
            },
        .compare = [](grpc_socket_mutator* a, grpc_socket_mutator* b) { return a == b ? 0 : (a < b ? -1 : 1); },
        .destroy = [](grpc_socket_mutator* self) { delete static_cast<catcher*>(self); },
        .mutate_fd_2 = nullptr,
    };
    grpc_socket_mutator_init(this, &functions);
  }

 private:
  void take(int fd) noexcept {
    int const mine = is_tcp(fd) ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    int const before = caught_->exchange(mine, std::memory_order_acq_rel);
    if (before >= 0) close(before);
  }

  std::shared_ptr<std::atomic<int>> caught_;  // the tap, or gRPC's copy of the arguments, lets go last
};

class tap final : public socket_tap {
 public:
  ~tap() override {
    drop(current_);
    drop(caught_->exchange(-1, std::memory_order_acq_rel));
  }

  void install(grpc::ChannelArguments& args) override {
    if (layout_known) args.SetSocketMutator(new catcher(caught_));
  }

  int descriptor() override {
    if (int const fresh = caught_->exchange(-1, std::memory_order_acq_rel); fresh >= 0) {
      drop(std::exchange(current_, fresh));
      if (!is_connected(current_)) drop(std::exchange(current_, -1));
    }
    return current_;
  }

 private:
  static void drop(int descriptor) noexcept {
    if (descriptor >= 0) close(descriptor);
  }

  std::shared_ptr<std::atomic<int>> caught_ = std::make_shared<std::atomic<int>>(-1);
  int current_ = -1;
};

}  // namespace

bool can_tap_sockets() noexcept { return layout_known; }

std::shared_ptr<socket_tap> socket_tap::create() { return std::make_shared<tap>(); }

}  // namespace millrace
