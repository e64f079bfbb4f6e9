// SPDX-License-Identifier: Apache-2.0
#include <millrace/config/impl/text.hpp>

#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>
#include <vector>

namespace millrace::config::impl {
namespace {

constexpr std::size_t most_shown = 100;

std::string_view named(std::string_view path) noexcept { return path.empty() ? "the document" : path; }

// letters to insert, to leave out or to change (Levenshtein)
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      std::size_t const changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// follows the parser, to tell a key that is given twice, which it would take for an overwritten one
class duplicate_check {
 public:
  bool operator()(int, json::parse_event_t event, json const& parsed) {
    switch (event) {
      case json::parse_event_t::object_start: open_.push_back({.is_array = false}); break;
      case json::parse_event_t::array_start: open_.push_back({.is_array = true}); break;
      case json::parse_event_t::key: enter(parsed.get_ref<std::string const&>()); break;
      case json::parse_event_t::object_end:
      case json::parse_event_t::array_end:
        open_.pop_back();
        leave();
        break;
      case json::parse_event_t::value: leave(); break;
    }
    return true;
  }

 private:
  struct level {
    bool is_array;
    std::size_t index = 0;
    std::string key{};
    std::set<std::string> keys{};
  };

  void enter(std::string const& key) {
    level& in = open_.back();
    in.key = key;
    if (!in.keys.insert(key).second) throw std::invalid_argument(path() + ": is given twice; allowed: once");
  }

  void leave() {
    if (!open_.empty()) ++open_.back().index;
  }

  std::string path() const {
    std::string text;
    for (level const& one : open_) {
      if (one.is_array) {
        text.append(1, '[').append(std::to_string(one.index)).append(1, ']');
      } else {
        text = joined(text, one.key);
      }
    }
    return text;
  }

  std::vector<level> open_;
};

}  // namespace

std::string joined(std::string_view path, std::string_view name) {
  std::string text(path);
  if (!path.empty()) text += '.';
  return text.append(name);
}

void refuse(std::string_view path, std::string_view text, std::string_view allowed) {
  std::string what(named(path));
  what.append(": ").append(text.substr(0, most_shown)).append(text.size() > most_shown ? "…" : "");
  throw std::invalid_argument(what.append(" is not allowed; allowed: ").append(allowed));
}

void refuse_value(std::string_view path, json const& value, std::string_view allowed) {
  // escaped: a value is shown on one line whatever is in it, and may be cut anywhere
  refuse(path, value.dump(-1, ' ', true), allowed);
}

void refuse_key(std::string_view path, std::string_view key, std::span<std::string_view const> known) {
  std::string what = joined(path, json(key.substr(0, most_shown)).dump(-1, ' ', true, json::error_handler_t::replace));
  what += ": there is no such parameter";
  if (auto const meant = nearest(key, known); !meant.empty()) what.append("; did you mean ").append(meant).append("?");
  what += "; allowed:";
  for (std::string_view const one : known) what.append(one == known.front() ? " " : ", ").append(one);
  throw std::invalid_argument(what);
}

std::string_view nearest(std::string_view text, std::span<std::string_view const> names) {
  if (text.size() > most_shown) return {};
  std::string_view best;
  std::size_t least = text.size() / 2 + 2;
  for (std::string_view const one : names) {
    if (std::size_t const changes = distance(text, one); changes < least) {
      least = changes;
      best = one;
    }
  }
  return best;
}

json parse(std::string_view text) {
  try {
    return json::parse(text, duplicate_check{});
  } catch (json::exception const& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …"
    std::string_view const what = error.what();
    std::size_t const from = what.find("] ");
    throw std::invalid_argument("the document is no JSON: " +
                                std::string(what.substr(from == what.npos ? 0 : from + 2)));
  }
}

}  // namespace millrace::config::impl
