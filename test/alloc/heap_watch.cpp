// SPDX-License-Identifier: Apache-2.0
#include "heap_watch.hpp"

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <execinfo.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

constexpr int depth = 24;

struct stack {
  std::array<void*, depth> frames;
  int size;
};

// filled without allocating, and sorted out once the counting is over
constexpr std::size_t most = 2'000'000;
stack* stacks = nullptr;
std::size_t recorded = 0;
thread_local constinit bool watching = false;

[[gnu::noinline]] void record() noexcept {
  watching = false;  // backtrace may allocate
  if (recorded < most) {
    stack& one = stacks[recorded++];
    one.size = backtrace(one.frames.data(), depth);
  }
  watching = true;
}

}  // namespace

extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) {
  if (watching) record();
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) {
  if (watching) record();
  return __libc_calloc(count, size);
}

void* realloc(void* block, std::size_t size) {
  if (watching) record();
  return __libc_realloc(block, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
  if (watching) record();
  return __libc_memalign(alignment, size);
}

void* memalign(std::size_t alignment, std::size_t size) {
  if (watching) record();
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
  if (watching) record();
  *block = __libc_memalign(alignment, size);
  return *block == nullptr ? ENOMEM : 0;
}
}

namespace millrace::test {
namespace {

/// The functions of this program by address, its local ones included, which dladdr does not know.
class symbol_table {
 public:
  symbol_table() {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    auto const read = [&file](auto& into, std::size_t at, std::size_t size) {
      file.seekg(static_cast<std::streamoff>(at));
      file.read(reinterpret_cast<char*>(into), static_cast<std::streamsize>(size));
    };
    Elf64_Ehdr head{};
    auto* head_at = &head;
    read(head_at, 0, sizeof head);
    std::vector<Elf64_Shdr> sections(head.e_shnum);
    auto* sections_at = sections.data();
    read(sections_at, head.e_shoff, sections.size() * sizeof(Elf64_Shdr));
    for (Elf64_Shdr const& one : sections) {
      if (one.sh_type != SHT_SYMTAB) continue;
      std::vector<Elf64_Sym> symbols(one.sh_size / sizeof(Elf64_Sym));
      auto* symbols_at = symbols.data();
      read(symbols_at, one.sh_offset, one.sh_size);
      std::string names(sections[one.sh_link].sh_size, '\0');
      auto* names_at = names.data();
      read(names_at, sections[one.sh_link].sh_offset, names.size());
      for (Elf64_Sym const& symbol : symbols) {
        if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC) {
          functions_[symbol.st_value] = {symbol.st_size, names.c_str() + symbol.st_name};
        }
      }
    }
    dl_iterate_phdr(
        [](dl_phdr_info* program, std::size_t, void* self) {
          static_cast<symbol_table*>(self)->base_ = program->dlpi_addr;
          return 1;  // the first is the program itself
        },
        this);
  }

  /// The mangled name; empty for what is not this program's.
  std::string_view name_of(void const* address) const {
    auto const offset = reinterpret_cast<std::uintptr_t>(address) - base_;
    auto at = functions_.upper_bound(offset);
    if (at == functions_.begin()) return {};
    --at;
    return offset < at->first + at->second.first ? std::string_view(at->second.second) : std::string_view{};
  }

 private:
  std::uintptr_t base_ = 0;
  std::map<std::uintptr_t, std::pair<std::uintptr_t, std::string>> functions_;
};

constexpr std::array<std::string_view, 4> memory_givers{"grpc_slice_", "grpc_byte_buffer_", "grpc_raw_", "gpr_"};

enum class owner { nobody, engine, grpc, grpc_memory, protobuf };

owner owner_of(std::string_view symbol) {
  if (symbol.starts_with("_ZN") || symbol.starts_with("_ZNK")) {
    std::string_view const name = symbol.substr(symbol[3] == 'K' ? 4 : 3);
    if (name.starts_with("St")) return owner::nobody;  // std's templates, instantiated here for somebody
    if (name.starts_with("4grpc")) return owner::grpc;
    if (name.starts_with("6google") || name.starts_with("8millrace4echo")) return owner::protobuf;
  }
  if (symbol.starts_with("_ZSt") || symbol.starts_with("_Zn") || symbol == "malloc" || symbol == "calloc" ||
      symbol == "realloc" || symbol == "aligned_alloc" || symbol == "memalign" || symbol == "posix_memalign" ||
      symbol == "_ZN12_GLOBAL__N_16recordEv") {
    return owner::nobody;
  }
  return owner::engine;
}

// what gRPC exports to make memory for its caller
bool gives_memory(char const* symbol) {
  if (symbol == nullptr) return false;
  std::string_view const name = symbol;
  return std::any_of(memory_givers.begin(), memory_givers.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

owner owner_of_library(void const* address) {
  Dl_info where{};
  if (dladdr(address, &where) == 0 || where.dli_fname == nullptr) return owner::nobody;
  std::string_view const path = where.dli_fname;
  for (auto const* const library : {"/libc.so", "/libstdc++", "/libgcc_s", "/ld-linux"}) {
    if (path.find(library) != path.npos) return owner::nobody;
  }
  if (path.find("/libproto") != path.npos) return owner::protobuf;
  return gives_memory(where.dli_sname) ? owner::grpc_memory : owner::grpc;
}

std::string readable(std::string_view symbol) {
  int status = 0;
  char* const text = abi::__cxa_demangle(std::string(symbol).c_str(), nullptr, nullptr, &status);
  std::string made = status == 0 ? text : std::string(symbol);
  std::free(text);
  if (made.size() > 160) made.resize(160);
  return made;
}

/// Says whose an allocation was. Remembers what it looked up: dladdr takes long.
class attribution {
 public:
  owner of(stack const& one) {
    owner inner = owner::nobody;
    for (int frame = 0; frame < one.size; ++frame) {
      owner const here = known(address_in(one, frame));
      if (here == owner::nobody) continue;
      if (here == owner::engine || here == owner::protobuf) {
        // who calls a giver of memory by its name wants the memory
        return inner == owner::nobody ? here : inner;
      }
      inner = here;
    }
    return inner == owner::nobody ? owner::nobody : owner::grpc;
  }

  /// Its innermost frames of the engine's, for people.
  std::string callers(stack const& one) {
    std::string text;
    int left = 4;
    for (int frame = 0; frame < one.size && left > 0; ++frame) {
      if (left == 4 && known(address_in(one, frame)) == owner::nobody) continue;
      text += "\n    " + readable(symbols_.name_of(address_in(one, frame)));
      --left;
    }
    return text;
  }

 private:
  static void const* address_in(stack const& one, int frame) {
    return static_cast<char const*>(one.frames[static_cast<std::size_t>(frame)]) - 1;
  }

  owner known(void const* address) {
    auto const [at, added] = owners_.try_emplace(address, owner::nobody);
    if (added) {
      std::string_view const symbol = symbols_.name_of(address);
      at->second = symbol.empty() ? owner_of_library(address) : owner_of(symbol);
    }
    return at->second;
  }

  symbol_table symbols_;
  std::unordered_map<void const*, owner> owners_;
};

}  // namespace

heap_watch::heap_watch() {
  if (stacks == nullptr) stacks = static_cast<stack*>(std::calloc(most, sizeof(stack)));
  std::array<void*, 2> prime{};
  backtrace(prime.data(), 2);  // loads the unwinder
  recorded = 0;
  watching = true;
}

heap_watch::~heap_watch() { watching = false; }

heap_counts heap_watch::stop() {
  watching = false;
  static attribution whose;
  heap_counts counts;
  std::map<std::string, std::uint64_t> by_engine;
  for (std::size_t at = 0; at < recorded; ++at) {
    stack const& one = stacks[at];
    switch (whose.of(one)) {
      case owner::nobody: ++counts.nobody; break;
      case owner::grpc: ++counts.grpc; break;
      case owner::grpc_memory: ++counts.slices; break;
      case owner::protobuf: ++counts.protobuf; break;
      case owner::engine:
        ++counts.engine;
        ++by_engine[whose.callers(one)];
        break;
    }
  }
  std::vector<std::pair<std::uint64_t, std::string>> ranked;
  for (auto const& [text, count] : by_engine) ranked.emplace_back(count, text);
  std::sort(ranked.rbegin(), ranked.rend());
  engine_stacks_.clear();
  for (auto const& [count, text] : ranked) engine_stacks_ += "\n  " + std::to_string(count) + " times in" + text;
  return counts;
}

}  // namespace millrace::test
