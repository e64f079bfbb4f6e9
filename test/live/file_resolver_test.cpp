// SPDX-License-Identifier: Apache-2.0
#include <millrace/loop/cq_port.hpp>
#include <millrace/resolve/file_resolver.hpp>

#include <support/catch.hpp>
#include <support/endpoint_log.hpp>
#include <support/wait.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

using namespace millrace;
using namespace millrace::test;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr file_params quick{.settle_interval = 1ms, .poll_interval = 5ms};

class temporary_directory {
 public:
  temporary_directory() {
    std::string name = (fs::temp_directory_path() / "millrace-XXXXXX").string();
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~temporary_directory() { fs::remove_all(path_); }

  fs::path operator/(char const* name) const { return path_ / name; }

 private:
  fs::path path_;
};

void write(fs::path const& path, std::string const& text) { std::ofstream(path) << text; }

std::string listing(std::string const& address) { return R"([{"targets": [")" + address + R"("]}])"; }

// another file under that name, at once
void replace(fs::path const& path, std::string const& text) {
  fs::path const next = path.string() + ".next";
  write(next, text);
  fs::rename(next, path);
}

struct watched {
  explicit watched(fs::path path, file_params const& params = quick)
      : resolver(std::make_unique<resolve::file_resolver>(loop, path.string(), params)) {
    resolver->start(log);
  }

  void wait_for(std::string const& addresses) {
    run_until(loop, "endpoints " + addresses, [&] { return log.last() == addresses; });
  }
  void wait_for_failure(std::string const& part) {
    run_until(loop, "the failure " + part,
              [&] { return !log.failures.empty() && log.failures.back().find(part) != std::string::npos; });
  }

  millrace::loop loop;
  endpoint_log log;
  std::unique_ptr<resolve::file_resolver> resolver;
};

}  // namespace

TEST_CASE("file resolver: the list is told at the start, and again when the file is replaced or written",
          "[live][resolve]") {
  temporary_directory const in;
  write(in / "x.json", listing("a:1"));
  watched one(in / "x.json");
  CHECK(one.log.last() == "a:1");
  for (std::string const address : {"b:1", "c:1", "d:1"}) {
    replace(in / "x.json", listing(address));
    one.wait_for(address);
  }
  write(in / "x.json", listing("e:1"));
  one.wait_for("e:1");
  CHECK(one.log.failures.empty());
}

TEST_CASE("file resolver: a broken file keeps the last list and says where it is broken", "[live][resolve]") {
  temporary_directory const in;
  write(in / "x.json", listing("a:1"));
  watched one(in / "x.json");
  replace(in / "x.json", listing("a"));
  one.wait_for_failure((in / "x.json").string() + ": $[0].targets[0]: endpoint \"a\" is not host:port");
  replace(in / "x.json", "[{");
  one.wait_for_failure("parse error at line 1");
  CHECK(one.log.sets.size() == 1);
  // the same list again: whoever was told of the failure learns that it is over
  replace(in / "x.json", listing("a:1"));
  run_until(one.loop, "the list", [&] { return one.log.sets.size() == 2; });
  CHECK(one.log.last() == "a:1");
}

TEST_CASE("file resolver: a file that goes keeps the last list; one that comes is read", "[live][resolve]") {
  temporary_directory const in;
  watched one(in / "x.json");
  CHECK(one.log.sets.empty());
  CHECK(one.log.failures == std::vector<std::string>{(in / "x.json").string() + ": No such file or directory"});
  // still not there: that is known
  one.resolver->refresh();
  run_until(one.loop, "a look", [&] { return one.loop.armed_timers() == 0; });
  CHECK(one.log.failures.size() == 1);
  write(in / "x.json", listing("a:1"));
  one.wait_for("a:1");
  fs::remove(in / "x.json");
  run_until(one.loop, "the failure", [&] { return one.log.failures.back().ends_with("No such file or directory"); });
  CHECK(one.log.last() == "a:1");
  replace(in / "x.json", listing("b:1"));
  one.wait_for("b:1");
}

TEST_CASE("file resolver: a directory may come later, go, and be another one", "[live][resolve]") {
  temporary_directory const in;
  watched one(in / "d" / "x.json");
  one.wait_for_failure("No such file");
  fs::create_directory(in / "d");
  write(in / "d" / "x.json", listing("a:1"));
  one.wait_for("a:1");
  fs::create_directory(in / "e");
  write(in / "e" / "x.json", listing("b:1"));
  fs::rename(in / "d", in / "f");
  fs::rename(in / "e", in / "d");
  one.wait_for("b:1");
  // the directory that was watched first is of no interest any more
  fs::remove_all(in / "d");
  run_until(one.loop, "the failure", [&] { return one.log.failures.size() == 2 || !one.log.failures.back().empty(); });
  fs::create_directory(in / "d");
  replace(in / "d" / "x.json", listing("c:1"));
  one.wait_for("c:1");
}

TEST_CASE("file resolver: a link that is turned elsewhere is followed, as in a Kubernetes volume", "[live][resolve]") {
  temporary_directory const in;
  for (auto const& [name, address] : {std::pair{"1", "a:1"}, {"2", "b:1"}}) {
    fs::create_directory(in / name);
    write(in / name / "x.json", listing(address));
  }
  fs::create_directory_symlink("1", in / "..data");
  fs::create_symlink("..data/x.json", in / "x.json");
  watched one(in / "x.json");
  CHECK(one.log.last() == "a:1");
  fs::create_directory_symlink("2", in / "..next");
  fs::rename(in / "..next", in / "..data");
  one.wait_for("b:1");
}

TEST_CASE("file resolver: what is no file is not read", "[live][resolve]") {
  temporary_directory const in;
  REQUIRE(mkfifo((in / "pipe").c_str(), 0600) == 0);
  fs::create_directory(in / "directory");
  for (char const* const name : {"pipe", "directory"}) {
    watched const one(in / name);
    CHECK(one.log.failures == std::vector<std::string>{(in / name).string() + ": it is no regular file"});
  }
  write(in / "large", std::string(resolve::file_resolver::max_size + 1, ' '));
  watched const one(in / "large");
  CHECK(one.log.failures == std::vector<std::string>{(in / "large").string() + ": it is larger than 16 MiB"});
}

TEST_CASE("file resolver: a busy directory costs a look each interval, and no list is told twice", "[live][resolve]") {
  temporary_directory const in;
  write(in / "x.json", listing("a:1"));
  watched one(in / "x.json", {.settle_interval = 20ms});
  auto const begin = clock::now();
  std::size_t completed = 0;
  one.loop.work_started();
  while (clock::now() < begin + 300ms) {
    write(in / "other", "x");
    completed += one.loop.poll();
  }
  one.loop.work_finished();
  // a wait and a timer for each
  auto const looks = static_cast<std::size_t>((clock::now() - begin) / 20ms) + 1;
  CHECK(completed <= 2 * looks + 2);
  CHECK(one.log.sets.size() == 1);
  // and one in which nothing happens costs nothing
  one.loop.work_started();
  run_until(one.loop, "silence", [&] { return one.loop.run_until(clock::now() + 60ms) == 0; });
  one.loop.work_finished();
}

TEST_CASE("file resolver: evidence has the file read again", "[live][resolve]") {
  temporary_directory const in;
  fs::create_directory(in / "elsewhere");
  write(in / "elsewhere" / "x.json", listing("a:1"));
  fs::create_symlink("elsewhere/x.json", in / "x.json");
  watched one(in / "x.json");
  // nothing changes in the directory that is watched
  write(in / "elsewhere" / "x.json", listing("b:1"));
  one.resolver->refresh();
  one.wait_for("b:1");
}

TEST_CASE("file resolver: it keeps no program running, and ends with changes under way", "[live][resolve]") {
  temporary_directory const in;
  write(in / "x.json", listing("a:1"));
  {
    watched one(in / "x.json");
    one.loop.run();
    CHECK(one.loop.stop().finished);
  }
  for (int n = 0; n < 50; ++n) {
    watched one(in / "x.json");
    replace(in / "x.json", listing("b:" + std::to_string(n + 1)));
    if (n % 2 == 0) one.loop.poll();
    if (n % 3 == 0) one.resolver.reset();
    if (n % 5 == 0) one.loop.poll();
  }
}
