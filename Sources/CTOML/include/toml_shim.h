// TOML for Swift: toml++ behind a flat C interface. A text is parsed once into a list of items that
// name their parents; nothing here throws, and nothing points into the parser's own tree.
#ifndef MIDREG_TOML_SHIM_H
#define MIDREG_TOML_SHIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Bounds of a text, so that no file can nest deeper than the stack: with a line this short and values
/// nested this little, a tree is at most some thousands of levels deep.
enum {
    MIDREG_TOML_TEXT_BYTES_MAX = 256 * 1024,
    MIDREG_TOML_LINE_BYTES_MAX = 1024,
    MIDREG_TOML_LEVELS_MAX = 8,
};

enum {
    MIDREG_TOML_TABLE = 0,
    MIDREG_TOML_ARRAY = 1,
    MIDREG_TOML_STRING = 2,
    MIDREG_TOML_INTEGER = 3,
    MIDREG_TOML_FLOAT = 4,
    MIDREG_TOML_BOOLEAN = 5,
    MIDREG_TOML_DATE_TIME = 6,
};

/// One value, table or array. Lines and columns count from 1, columns in characters.
typedef struct {
    /// The index of the table or array that holds it, which always comes earlier; -1 at the top.
    int32_t parent;
    int32_t kind;
    /// Where its key stands in the pool of texts; no bytes for an element of an array.
    uint32_t key_offset, key_bytes;
    /// A string's value in the pool of texts.
    uint32_t text_offset, text_bytes;
    /// An integer's value; 0 or 1 for a boolean.
    int64_t integer;
    double number;
    uint32_t line, column;
    /// Where the key begins; the value's own place for an element of an array.
    uint32_t key_line, key_column;
} midreg_toml_item;

typedef struct midreg_toml midreg_toml;

/// Parses `count` bytes of UTF-8. Returns NULL when there is no memory, else a document to be freed;
/// a document with an error has no items.
midreg_toml *midreg_toml_parse(const char *bytes, size_t count);
void midreg_toml_free(midreg_toml *document);

size_t midreg_toml_item_count(const midreg_toml *document);
/// The item at `index`; all zero with a parent of -1 beyond the end.
midreg_toml_item midreg_toml_item_at(const midreg_toml *document, size_t index);

/// The pool that keys and strings are ranges of. It lives as long as the document.
const char *midreg_toml_pool(const midreg_toml *document);
size_t midreg_toml_pool_bytes(const midreg_toml *document);

/// Where the text is wrong; line 0 if it is not. The description is a C string.
uint32_t midreg_toml_error_line(const midreg_toml *document);
uint32_t midreg_toml_error_column(const midreg_toml *document);
const char *midreg_toml_error_text(const midreg_toml *document);

#ifdef __cplusplus
}
#endif

#endif
