// SPDX-License-Identifier: Apache-2.0
// Catch's main, compiled once and linked into every test program.
#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
int main(int argc, char** argv) { return Catch::Session().run(argc, argv); }
#else
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
#endif

// c-ares, under gRPC's resolver, may be in the midst of a query when a program ends
extern "C" char const* __lsan_default_suppressions();
extern "C" char const* __lsan_default_suppressions() { return "leak:libcares.so"; }
