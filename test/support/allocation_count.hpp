// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

/// How often this program has called the global operator new.
std::size_t allocation_count() noexcept;
