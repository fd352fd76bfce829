/*
 * An option's value may be a map; or, if there is no such option, options whose names
 * begin with OPTION. are the map. Those have no order: they are taken in that of their
 * keys.
 *
 * Flink writes a map in one of two ways, and reads both.
 *
 * The old one (StructuredOptionsSplitter, written up to 1.20): pairs divided by ','
 * whose halves are divided by ':'. Either may be in single or double quotes, in which
 * a quote is written twice; what is not quoted loses the white space around it, and
 * nothing may follow a quoted text but the next divider. Taking apart is done twice,
 * so a pair in quotes may hold halves in quotes: 'k:''a:b''' is k and a:b.
 * Nothing at all between two dividers is an empty text; a divider at either end
 * divides nothing.
 *
 * The new one (since 1.19 with config.yaml): YAML's flow mapping in one line, which
 * covers JSON's objects of texts. Of YAML's scalars these are read: plain, in single
 * quotes, in double quotes with escapes. All are text as it is written, also what YAML
 * would take for a number or a truth value: Flink puts such text in quotes itself. What would
 * not be one text (nested, with an anchor or a tag, over several lines, nothing) is
 * refused, where Flink would go on and read it in the old way, as other pairs than
 * anyone meant. YAML's other mappings (`k: v` without braces) are not told from the old
 * way, in which a single simple pair means the same.
 */
#include "proto/flink-map.h"

#include <errno.h>
#include "base/utf8.h"

#define MAX_PAIRS 1024

const char *flink_entry_find(const struct flink_entry *entries, size_t count, const char *key)
{
	while (count--)
		if (text_equal(entries[count].key, key))
			return entries[count].value;
	return NULL;
}

void flink_map_deinit(struct flink_map *map)
{
	size_t i;

	for (i = 0; i < map->count; i++) {
		free(map->rows[i].name);
		free(map->rows[i].value);
	}
	free(map->rows);
	*map = (struct flink_map){ 0 };
}

const char *flink_map_find(const struct flink_map *map, const char *name)
{
	size_t i;

	for (i = 0; i < map->count; i++)
		if (text_equal(map->rows[i].name, name))
			return map->rows[i].value;
	return NULL;
}

static int add(struct flink_map *map, const char *option, const char *name, const char *value,
	struct error *err)
{
	if (map->count == MAX_PAIRS)
		return fail(err, -EINVAL, "REQUEST_INVALID", "%s: more than %d pairs", option,
			MAX_PAIRS);
	if (flink_map_find(map, name))
		return fail(
			err, -EINVAL, "REQUEST_INVALID", "%s: '%s' is given twice", option, name);
	if (map->count == map->allocated) {
		struct spec_variable *rows = new0_array(
			struct spec_variable, map->allocated * 2 + 8);

		if (map->count)
			memcpy(rows, map->rows, map->count * sizeof(*rows));
		free(map->rows);
		map->rows = rows;
		map->allocated = map->allocated * 2 + 8;
	}
	map->rows[map->count++] = (struct spec_variable){ text_copy(name), text_copy(value) };
	return 0;
}

/* Which pair is at fault, from 1, and how. */
static int bad_pair(
	const char *option, const struct flink_map *map, const char *how, struct error *err)
{
	return fail(
		err, -EINVAL, "REQUEST_INVALID", "%s: pair %zu: %s", option, map->count + 1, how);
}

static bool is_space(char c)
{
	return c && (unsigned char)c <= ' ';
}

static void skip_space(const char **at)
{
	while (is_space(**at))
		(*at)++;
}

static void trim(struct buffer *text)
{
	while (text->size && is_space((char)text->data[text->size - 1]))
		text->size--;
}

/* A text in single or, without escapes, double quotes. NULL, or what is wrong. */
static const char *read_doubled(const char **at, struct buffer *ret)
{
	const char quote = *(*at)++;

	for (; **at; (*at)++) {
		if (**at == quote && *++(*at) != quote)
			return NULL;
		buffer_append(ret, *at, 1);
	}
	return "a quote is not closed";
}

/* ---- k:v,k:v */

/* The next piece up to @divider. *ret is NULL at the end; else owned by the caller. */
static const char *next_piece(const char **at, char divider, char **ret)
{
	_cleanup_buffer_ struct buffer piece = { 0 };
	const char *wrong = NULL;

	*ret = NULL;
	skip_space(at);
	if (**at == divider) {
		(*at)++;
		skip_space(at);
		if (**at == divider) {
			*ret = text_copy("");
			return NULL;
		}
	}
	if (!**at)
		return NULL;
	if (**at == '\'' || **at == '"') {
		wrong = read_doubled(at, &piece);
		skip_space(at);
		if (!wrong && **at && **at != divider)
			wrong = "something follows a closing quote";
	} else {
		for (; **at && **at != divider; (*at)++)
			buffer_append(&piece, *at, 1);
		trim(&piece);
	}
	if (!wrong)
		*ret = buffer_steal_text(&piece);
	return wrong;
}

static int add_pair(struct flink_map *map, const char *option, const char *pair, struct error *err)
{
	_cleanup_free_ char *name = NULL, *value = NULL, *more = NULL;
	const char *wrong = next_piece(&pair, ':', &name);

	if (!wrong && name)
		wrong = next_piece(&pair, ':', &value);
	if (!wrong && value)
		wrong = next_piece(&pair, ':', &more);
	if (!wrong && (!value || more))
		wrong = "not 'key:value'; what holds a ',' or ':' must be quoted";
	return wrong ? bad_pair(option, map, wrong, err) : add(map, option, name, value, err);
}

static int parse_pairs(
	const char *option, const char *text, struct flink_map *map, struct error *err)
{
	while (true) {
		_cleanup_free_ char *pair = NULL;
		const char *wrong = next_piece(&text, ',', &pair);
		int r;

		if (wrong)
			return bad_pair(option, map, wrong, err);
		if (!pair)
			return 0;
		r = add_pair(map, option, pair, err);
		if (r)
			return r;
	}
}

/* ---- {k: v, k: v} */

/* U+0000 and surrogates are no text. */
static bool append_character(struct buffer *text, uint32_t c)
{
	static const uint8_t lead[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
	size_t size = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, i;
	char bytes[4];

	if (!c || c > 0x10ffff)
		return false;
	for (i = size - 1; i; i--, c >>= 6)
		bytes[i] = (char)(0x80 | (c & 0x3f));
	bytes[0] = (char)(lead[size] | c);
	buffer_append(text, bytes, size);
	return utf8_is_valid(bytes, size);
}

/* What stands behind a backslash. */
static bool read_escape(const char **at, struct buffer *text)
{
	static const char letters[] = "abtnvfre \"/\\N_LP";
	static const uint16_t characters[] = { '\a', '\b', '\t', '\n', '\v', '\f', '\r', 033, ' ',
		'"', '/', '\\', 0x85, 0xa0, 0x2028, 0x2029 };
	static const char hex[] = "0123456789abcdef0123456789ABCDEF";
	const char letter = *(*at)++, *known = letter ? strchr(letters, letter) : NULL;
	size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
	uint32_t c = known ? characters[known - letters] : 0;

	if (!known && !digits)
		return false;
	while (digits--) {
		const char *digit = **at ? strchr(hex, *(*at)++) : NULL;

		if (!digit)
			return false;
		c = c << 4 | ((uint32_t)(digit - hex) & 0xf);
	}
	return append_character(text, c);
}

static const char *read_escaped(const char **at, struct buffer *ret)
{
	(*at)++;
	while (**at && **at != '"') {
		if (**at != '\\') {
			buffer_append(ret, (*at)++, 1);
			continue;
		}
		(*at)++;
		if (!read_escape(at, ret))
			return "an escape is not known, or stands for no character";
	}
	if (!*(*at)++)
		return "a quote is not closed";
	return NULL;
}

static bool ends_plain(const char *at)
{
	return !*at || strchr(",[]{}", *at) ||
		(*at == ':' && (!at[1] || is_space(at[1]) || strchr(",[]{}", at[1])));
}

static const char *read_plain(const char **at, struct buffer *ret)
{
	if (**at == '[' || **at == '{')
		return "a list or a map is no text";
	if (**at && strchr("&*!|>%@`#:", **at))
		return "a text that begins so must be quoted";
	if ((**at == '-' || **at == '?') && (is_space((*at)[1]) || ends_plain(*at + 1)))
		return "a text that begins so must be quoted";
	for (; !ends_plain(*at); (*at)++) {
		if (**at == '#' && is_space((*at)[-1]))
			return "a text with ' #' must be quoted";
		buffer_append(ret, *at, 1);
	}
	trim(ret);
	return ret->size ? NULL : "a text is missing";
}

static const char *read_scalar(const char **at, char **ret)
{
	_cleanup_buffer_ struct buffer text = { 0 };
	const char *begin = *at, *wrong;

	wrong = *begin == '\''  ? read_doubled(at, &text)
		: *begin == '"' ? read_escaped(at, &text)
				: read_plain(at, &text);
	if (!wrong && memchr(begin, '\n', (size_t)(*at - begin)))
		wrong = "a text goes over several lines";
	if (!wrong)
		*ret = buffer_steal_text(&text);
	return wrong;
}

/* Leaves *at behind the pair and its ','. */
static const char *read_pair(const char **at, char **name, char **value)
{
	const char *wrong = read_scalar(at, name);

	if (wrong)
		return wrong;
	skip_space(at);
	if (**at != ':')
		return "no ': ' follows the key";
	(*at)++;
	skip_space(at);
	wrong = read_scalar(at, value);
	if (wrong)
		return wrong;
	skip_space(at);
	if (**at != ',' && **at != '}')
		return "no ',' or '}' follows the value";
	if (**at == ',')
		(*at)++;
	return NULL;
}

/* Behind the '{'. */
static int parse_flow(
	const char *option, const char *text, struct flink_map *map, struct error *err)
{
	while (true) {
		_cleanup_free_ char *name = NULL, *value = NULL;
		const char *wrong;
		int r;

		skip_space(&text);
		if (*text == '}')
			break;
		wrong = read_pair(&text, &name, &value);
		r = wrong ? bad_pair(option, map, wrong, err) : add(map, option, name, value, err);
		if (r)
			return r;
	}
	text++;
	skip_space(&text);
	if (*text)
		return fail(
			err, -EINVAL, "REQUEST_INVALID", "%s: something follows the '}'", option);
	return 0;
}

static int parse(const char *option, const char *text, struct flink_map *map, struct error *err)
{
	skip_space(&text);
	return *text == '{' ? parse_flow(option, text + 1, map, err)
			    : parse_pairs(option, text, map, err);
}

/* ---- OPTION.k: v */

/* By their keys; the later of two equal ones first. */
static int compare_entries(const void *a, const void *b)
{
	const struct flink_entry *x = *(const struct flink_entry *const *)a;
	const struct flink_entry *y = *(const struct flink_entry *const *)b;
	int r = strcmp(x->key, y->key);

	return r ? r : x < y ? 1 : -1;
}

static int add_prefixed(const char *option, const struct flink_entry *entries, size_t count,
	struct flink_map *map, struct error *err)
{
	_cleanup_free_ char *prefix = text_format("%s.", option);
	_cleanup_free_ const struct flink_entry **found = new0_array(
		const struct flink_entry *, count);
	size_t found_count = 0, i;
	int r = 0;

	for (i = 0; i < count; i++)
		if (text_starts_with(entries[i].key, prefix))
			found[found_count++] = &entries[i];
	qsort(found, found_count, sizeof(*found), compare_entries);
	for (i = 0; i < found_count && r == 0; i++)
		if (i == 0 || !text_equal(found[i]->key, found[i - 1]->key))
			r = add(map, option, found[i]->key + strlen(prefix), found[i]->value, err);
	return r;
}

int flink_map_read(const char *option, const struct flink_entry *entries, size_t count,
	struct flink_map *map, bool *is_there, struct error *err)
{
	const char *text = flink_entry_find(entries, count, option);
	int r;

	r = text ? parse(option, text, map, err) : add_prefixed(option, entries, count, map, err);
	*is_there = text || map->count;
	return r;
}
