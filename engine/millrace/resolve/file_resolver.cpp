// SPDX-License-Identifier: Apache-2.0
#include <millrace/resolve/file_resolver.hpp>

#include <millrace/loop/loop.hpp>
#include <millrace/resolve/endpoint_file.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace millrace::resolve {
namespace {

constexpr std::size_t chunk = 65536;

class descriptor {
 public:
  // without O_NONBLOCK a pipe of that name would hold up the loop
  explicit descriptor(std::string const& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (fd_ < 0) throw_error();
  }
  descriptor(descriptor const&) = delete;
  descriptor& operator=(descriptor const&) = delete;
  ~descriptor() { ::close(fd_); }

  std::string read_all() const {
    struct stat status {};
    if (::fstat(fd_, &status) != 0) throw_error();
    if (!S_ISREG(status.st_mode)) throw std::runtime_error("it is no regular file");
    std::string text;
    for (std::size_t size = 0;; text.resize(size)) {
      text.resize(size + chunk);
      ssize_t const got = ::read(fd_, text.data() + size, text.size() - size);
      if (got < 0) throw_error();
      size += static_cast<std::size_t>(got);
      if (got == 0) return text.substr(0, size);
      if (size > file_resolver::max_size) throw std::runtime_error("it is larger than 16 MiB");
    }
  }

 private:
  [[noreturn]] static void throw_error() { throw std::runtime_error(std::generic_category().message(errno)); }

  int fd_;
};

std::string directory_of(std::string const& path) { return path.substr(0, std::max(path.rfind('/'), std::size_t{1})); }

}  // namespace

file_resolver::file_resolver(loop& on, std::string path, file_params const& params)
    : loop_(on),
      path_(std::move(path)),
      params_(params),
      watch_(on, directory_of(path_), bound<void()>::to<&file_resolver::on_changed>(*this)) {}

void file_resolver::start(resolver_listener& listener) {
  listener_ = &listener;
  look();
}

void file_resolver::look_within(duration interval) noexcept {
  time_point const at = saturating_add(loop_.now(), interval);
  if (!timer_.armed() || at < timer_.due()) loop_.arm(timer_, at);
}

void file_resolver::look() {
  // the watch first: a change that the reading misses is a change to come
  if (!watch_.renew()) look_within(params_.poll_interval);
  read();
}

void file_resolver::read() {
  endpoint_set set;
  try {
    std::string text = descriptor(path_).read_all();
    if (known_ && failure_.empty() && text == text_) return;
    set = parse_endpoint_file(text);
    text_ = std::move(text);
  } catch (std::exception const& error) {
    return fail(path_ + ": " + error.what());
  }
  known_ = true;
  failure_.clear();
  listener_->on_endpoints(std::move(set));
}

void file_resolver::fail(std::string why) {
  if (why == failure_) return;
  failure_ = std::move(why);
  listener_->on_resolve_failed(failure_);
}

}  // namespace millrace::resolve
