#include "toml_shim.h"

#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace {
/// The parser broke a promise to itself.
struct broken_promise {};
} // namespace

// toml++ 3.3 asserts what some texts disprove ("[" at the end of a line is one), and without assertions
// it lets the compiler assume it. A file must neither abort the process nor be undefined behaviour: an
// assertion that fails is thrown here and caught below, before it reaches Swift, as is the lack of
// memory. All other errors come as values.
#undef NDEBUG
#define TOML_ASSERT(expr)                                                                          \
    do {                                                                                           \
        if (!(expr)) throw broken_promise{};                                                       \
    } while (false)
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#define TOML_MAX_NESTED_VALUES 8

// Where a function that asserts may not throw, a broken promise ends the process, as an assertion
// would. They are accessors of paths and nodes; no text that was tried reaches a failing one.
#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Wexceptions"
#else
#pragma GCC diagnostic ignored "-Wterminate"
#endif
#include <toml++/toml.h>
#pragma GCC diagnostic pop

struct midreg_toml {
    std::vector<midreg_toml_item> items;
    std::string pool;
    std::string error_text;
    uint32_t error_line = 0;
    uint32_t error_column = 0;
};

namespace {

/// Moves a string into the pool and returns where it begins.
uint32_t pooled(midreg_toml &document, std::string_view text) {
    const auto offset = static_cast<uint32_t>(document.pool.size());
    document.pool.append(text);
    return offset;
}

void add(midreg_toml &document, int32_t parent, const toml::key *key, const toml::node &node,
         int level);

void add_children(midreg_toml &document, int32_t parent, const toml::node &node, int level) {
    if (level >= MIDREG_TOML_LEVELS_MAX) return;
    if (const auto *table = node.as_table()) {
        for (auto &&[key, value] : *table) add(document, parent, &key, value, level + 1);
    } else if (const auto *array = node.as_array()) {
        for (const auto &value : *array) add(document, parent, nullptr, value, level + 1);
    }
}

void add(midreg_toml &document, int32_t parent, const toml::key *key, const toml::node &node,
         int level) {
    midreg_toml_item item{};
    item.parent = parent;
    const auto begin = node.source().begin;
    item.line = item.key_line = begin.line;
    item.column = item.key_column = begin.column;
    if (key != nullptr) {
        item.key_offset = pooled(document, key->str());
        item.key_bytes = static_cast<uint32_t>(key->str().size());
        const auto place = key->source().begin;
        if (place.line != 0) {
            item.key_line = place.line;
            item.key_column = place.column;
        }
    }
    switch (node.type()) {
    case toml::node_type::table:
        item.kind = MIDREG_TOML_TABLE;
        break;
    case toml::node_type::array:
        item.kind = MIDREG_TOML_ARRAY;
        break;
    case toml::node_type::string: {
        const std::string &text = node.as_string()->get();
        item.kind = MIDREG_TOML_STRING;
        item.text_offset = pooled(document, text);
        item.text_bytes = static_cast<uint32_t>(text.size());
        break;
    }
    case toml::node_type::integer:
        item.kind = MIDREG_TOML_INTEGER;
        item.integer = node.as_integer()->get();
        break;
    case toml::node_type::floating_point:
        item.kind = MIDREG_TOML_FLOAT;
        item.number = node.as_floating_point()->get();
        break;
    case toml::node_type::boolean:
        item.kind = MIDREG_TOML_BOOLEAN;
        item.integer = node.as_boolean()->get() ? 1 : 0;
        break;
    default:
        item.kind = MIDREG_TOML_DATE_TIME;
        break;
    }
    const auto index = static_cast<int32_t>(document.items.size());
    document.items.push_back(item);
    add_children(document, index, node, level);
}

void fail(midreg_toml &document, uint32_t line, uint32_t column, std::string_view text) {
    document.items.clear();
    document.error_line = line == 0 ? 1 : line;
    document.error_column = column == 0 ? 1 : column;
    document.error_text = text;
}

/// Whether the text keeps the bounds of the header.
bool bounded(midreg_toml &document, std::string_view text) {
    if (text.size() > MIDREG_TOML_TEXT_BYTES_MAX) {
        fail(document, 1, 1, "the text is longer than 256 KiB");
        return false;
    }
    uint32_t line = 1;
    size_t begin = 0;
    while (begin <= text.size()) {
        size_t end = text.find('\n', begin);
        if (end == std::string_view::npos) end = text.size();
        if (end - begin > MIDREG_TOML_LINE_BYTES_MAX) {
            fail(document, line, 1, "the line is longer than 1,024 bytes");
            return false;
        }
        begin = end + 1;
        line += 1;
    }
    return true;
}

/// Parses into the document; `false` if the parser broke a promise to itself.
bool parse(midreg_toml &document, std::string_view text) {
    try {
        const toml::parse_result result = toml::parse(text);
        if (result) {
            add_children(document, -1, result.table(), 0);
        } else {
            const toml::parse_error &error = result.error();
            const auto begin = error.source().begin;
            fail(document, begin.line, begin.column, error.description());
        }
        return true;
    } catch (const broken_promise &) {
        return false;
    }
}

/// The line on which the parser gives up: the shortest run of whole lines on which it does, since it
/// reads from front to back.
uint32_t line_of_broken_promise(std::string_view text) {
    std::vector<size_t> ends;
    for (size_t at = 0; at < text.size(); at++) {
        if (text[at] == '\n') ends.push_back(at + 1);
    }
    ends.push_back(text.size());
    size_t good = 0, bad = ends.size();
    while (bad - good > 1) {
        const size_t middle = good + (bad - good) / 2;
        midreg_toml ignored;
        if (parse(ignored, text.substr(0, ends[middle - 1]))) {
            good = middle;
        } else {
            bad = middle;
        }
    }
    return static_cast<uint32_t>(bad);
}

} // namespace

extern "C" {

midreg_toml *midreg_toml_parse(const char *bytes, size_t count) {
    midreg_toml *document = new (std::nothrow) midreg_toml;
    if (document == nullptr) return nullptr;
    try {
        const std::string_view text = bytes == nullptr ? std::string_view() : std::string_view(bytes, count);
        if (!bounded(*document, text)) return document;
        if (!parse(*document, text)) {
            fail(*document, line_of_broken_promise(text), 1, "the line cannot be read");
        }
        return document;
    } catch (...) {
        delete document;
        return nullptr;
    }
}

void midreg_toml_free(midreg_toml *document) { delete document; }

size_t midreg_toml_item_count(const midreg_toml *document) { return document->items.size(); }

midreg_toml_item midreg_toml_item_at(const midreg_toml *document, size_t index) {
    if (index < document->items.size()) return document->items[index];
    midreg_toml_item none{};
    none.parent = -1;
    return none;
}

const char *midreg_toml_pool(const midreg_toml *document) { return document->pool.data(); }
size_t midreg_toml_pool_bytes(const midreg_toml *document) { return document->pool.size(); }

uint32_t midreg_toml_error_line(const midreg_toml *document) { return document->error_line; }
uint32_t midreg_toml_error_column(const midreg_toml *document) { return document->error_column; }
const char *midreg_toml_error_text(const midreg_toml *document) {
    return document->error_text.c_str();
}

} // extern "C"
