// SPDX-License-Identifier: Apache-2.0
// bench-idle: how often the threads of an idle process wake up, from the kernel's count of voluntary context switches, and
// how long they run.
#include <millrace/pool/pool.hpp>

#include <support/backend.hpp>
#include <support/flags.hpp>
#include <support/machine.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <pthread.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace millrace;
using namespace std::chrono_literals;

constexpr auto settle = 2s;

struct options {
  std::uint32_t slots = 4;
  std::chrono::seconds length = 10s;
};

struct thread_count {
  std::string name;
  std::uint64_t sleeps = 0;  // each of which ends in a wake-up
  std::uint64_t cpu_ns = 0;
};

std::map<std::string, thread_count> count_threads() {
  std::map<std::string, thread_count> threads;
  for (auto const& task : std::filesystem::directory_iterator("/proc/self/task")) {
    // the calling thread does the watching
    if (task.path().filename() == std::to_string(getpid())) continue;
    thread_count& one = threads[task.path().filename()];
    std::ifstream(task.path() / "schedstat") >> one.cpu_ns;
    std::ifstream lines(task.path() / "status");
    for (std::string line; std::getline(lines, line);) {
      std::string const value = line.substr(line.find('\t') + 1);
      if (line.starts_with("Name:")) one.name = value;
      if (line.starts_with("voluntary_ctxt_switches:")) one.sleeps = std::stoull(value);
    }
  }
  return threads;
}

// by name, those of one name together
std::map<std::string, thread_count> difference(std::map<std::string, thread_count> const& before,
                                               std::map<std::string, thread_count> const& after) {
  std::map<std::string, thread_count> all;
  for (auto const& [id, one] : after) {
    auto const was = before.find(id);
    thread_count const base = was == before.end() ? thread_count{} : was->second;
    all[one.name].sleeps += one.sleeps - base.sleeps;
    all[one.name].cpu_ns += one.cpu_ns - base.cpu_ns;
  }
  return all;
}

void watch(std::string const& what, std::chrono::seconds length) {
  std::this_thread::sleep_for(settle);
  auto const before = count_threads();
  std::this_thread::sleep_for(length);
  auto const seconds = static_cast<double>(length.count());
  for (auto const& [name, one] : difference(before, count_threads())) {
    fmt::print("| {} | {} | {:.2f} | {:.3f} |\n", what, name, static_cast<double>(one.sleeps) / seconds,
               static_cast<double>(one.cpu_ns) * 1e-6 / seconds);
  }
  std::fflush(stdout);
}

void run_idle(std::string const& what, options const& asked, std::string const& target, bool let_go) {
  millrace::loop loop;
  std::optional<millrace::pool> pool;
  bool ready = target.empty();
  if (!ready) {
    pool.emplace(loop, pool_params{.target = target, .min_slots = asked.slots, .max_slots = asked.slots});
    pool->async_ready({.min_ready = asked.slots}, [&](error_code error) { ready = !error; });
    loop.run();
    if (!ready) throw std::runtime_error(target + ": " + pool->why_not_ready());
  }
  if (let_go) pool.reset();
  loop.work_started();
  std::thread runner([&] {
    pthread_setname_np(pthread_self(), "loop");
    loop.run();
  });
  watch(what, asked.length);
  loop.interrupt();
  runner.join();
  loop.work_finished();
}

options parse(int argc, char** argv) {
  CLI::App app("Wake-ups and CPU time of the threads of an idle process.", "bench-idle");
  std::string slots = "4", length = "10s";
  app.add_option("--slots", slots, "Connections that are kept ready (default 4)")->type_name("N");
  app.add_option("--duration", length, "How long each is watched, whole seconds (default 10s)")->type_name("D");
  if (auto const help = bench::parse(app, argc, argv)) std::exit(bench::leave(*help));
  return {.slots = static_cast<std::uint32_t>(bench::whole("--slots", slots, {1, 10'000})),
          .length = std::chrono::ceil<std::chrono::seconds>(bench::duration("--duration", length, {1s, 1h}))};
}

void watch_all(options const& asked) {
  // in a process of its own, so that its threads are not counted
  bench::backend const server("echo");
  fmt::print("{}\n\n", bench::to_text(bench::machine::here()));
  fmt::print("| for {} s | thread | wake-ups a second | CPU ms a second |\n|---|---|---:|---:|\n",
             asked.length.count());
  run_idle("a loop with a work guard", asked, "", false);
  run_idle(fmt::format("a pool with {} ready slots", asked.slots), asked, server.address(), false);
  run_idle("the pool gone again", asked, server.address(), true);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    watch_all(parse(argc, argv));
    return 0;
  } catch (bench::bad_flag const& error) {
    return bench::leave(bench::refusal("bench-idle", error));
  } catch (std::exception const& error) {
    fmt::print(stderr, "bench-idle: {}\n", error.what());
    return 1;
  }
}
