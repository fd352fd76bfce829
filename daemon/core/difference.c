/*
 * Components are matched by kind and name. Of those that stand for something given (an
 * archive, requirements) the value is a key that says only that it is another one; what it was
 * made from has rows of its own, which say why. An index may hold environments that an older
 * pyenvd has made, without these: then what can be said is said.
 */
#include "daemon/core/difference.h"

#include "base/buffer.h"

#define MAX_LINES 20

struct sides {
	const struct db_components *here, *there;
	struct differences *ret;
};

void differences_deinit(struct differences *differences)
{
	size_t i;

	for (i = 0; i < differences->count; i++) {
		free(differences->rows[i].kind);
		free(differences->rows[i].name);
		free(differences->rows[i].here);
		free(differences->rows[i].there);
		free(differences->rows[i].text);
	}
	free(differences->rows);
	*differences = (struct differences){ 0 };
}

/* ---- how much is equal */

int difference_compare(const void *a, const void *b)
{
	const struct db_component *x = a, *y = b;
	int order = strcmp(x->kind, y->kind);

	if (order == 0)
		order = strcmp(x->name, y->name);
	return order ? order : strcmp(x->value, y->value);
}

size_t difference_count_equal(const struct db_components *sorted, const struct db_components *there)
{
	size_t equal = 0, i;

	for (i = 0; sorted->count && i < there->count; i++)
		equal += bsearch(&there->rows[i], sorted->rows, sorted->count,
				 sizeof(*sorted->rows), difference_compare) != NULL;
	return equal;
}

/* ---- what is there */

/* The @ordinal-th of this kind and name; @name NULL: of any name. NULL: there is none. */
static const struct db_component *find(
	const struct db_components *rows, const char *kind, const char *name, size_t ordinal)
{
	size_t i;

	for (i = 0; i < rows->count; i++)
		if (text_equal(rows->rows[i].kind, kind) &&
			(!name || text_equal(rows->rows[i].name, name)) && ordinal-- == 0)
			return &rows->rows[i];
	return NULL;
}

/* NULL when it is not known. */
static const char *find_value(
	const struct db_components *rows, const char *kind, const char *name, size_t ordinal)
{
	const struct db_component *row = find(rows, kind, name, ordinal);

	return row ? row->value : NULL;
}

/* How many of the same kind and name come before. */
static size_t ordinal_of(const struct db_components *rows, const struct db_component *row)
{
	size_t ordinal = 0;
	const struct db_component *at;

	for (at = rows->rows; at < row; at++)
		ordinal += text_equal(at->kind, row->kind) && text_equal(at->name, row->name);
	return ordinal;
}

/* One component on both sides; NULL where there is none. */
struct pair {
	const struct db_component *here, *there;
	size_t ordinal;
};

static const char *name_of(const struct pair *pair)
{
	return pair->here ? pair->here->name : pair->there->name;
}

/* ---- words */

/* Takes @text. */
static void add(const struct sides *sides, const char *kind, const char *name, const char *here,
	const char *there, char *text)
{
	struct differences *ret = sides->ret;

	ret->rows = reallocarray(ret->rows, ret->count + 1, sizeof(*ret->rows));
	if (!ret->rows)
		abort();
	ret->rows[ret->count++] = (struct difference){
		.kind = text_copy(kind),
		.name = text_copy(name),
		.here = text_copy(here ? here : ""),
		.there = text_copy(there ? there : ""),
		.text = text,
	};
}

static const char *side_of(const struct pair *pair)
{
	return pair->here ? "here" : "there";
}

/* "bytecode: always here, never there", if that is so. */
static char *tell_bytecode(const struct sides *sides)
{
	const char *here = find_value(sides->here, "bytecode", "", 0);
	const char *there = find_value(sides->there, "bytecode", "", 0);

	if (!here || !there || text_equal(here, there))
		return NULL;
	return text_format("compiled otherwise (bytecode: %s here, %s there)", here, there);
}

static char *tell_artifact(const struct sides *sides, const struct pair *pair, const char *content)
{
	const char *name = name_of(pair);
	const char *here = find_value(sides->here, content, name, pair->ordinal);
	const char *there = find_value(sides->there, content, name, pair->ordinal);
	char *words;

	if (!pair->here || !pair->there)
		return text_format("only %s", side_of(pair));
	if (!here || !there)
		return text_copy("is another one");
	if (!text_equal(here, there))
		return text_format(
			"has other content (sha256 %.12s… here, %.12s… there)", here, there);
	words = tell_bytecode(sides);
	return words ? words
		     : text_copy("has the same content, prepared by another version of pyenvd");
}

static void compare_artifact(
	const struct sides *sides, const struct pair *pair, const char *kind, const char *noun)
{
	_cleanup_free_ char *content = text_format("%s-content", kind);
	_cleanup_free_ char *words = tell_artifact(sides, pair, content);
	const char *name = name_of(pair);

	add(sides, kind, name,
		pair->here ? find_value(sides->here, content, name, pair->ordinal) : "",
		pair->there ? find_value(sides->there, content, name, pair->ordinal) : "",
		text_format("%s '%s' %s", noun, name, words));
}

static void compare_text(
	const struct sides *sides, const struct pair *pair, const char *kind, const char *noun)
{
	const char *here = pair->here ? pair->here->value : NULL;
	const char *there = pair->there ? pair->there->value : NULL;

	add(sides, kind, "", here, there,
		here && there ? text_format("%s: '%s' here, '%s' there", noun, here, there)
			      : text_format("%s: '%s' only %s", noun, here ? here : there,
					side_of(pair)));
}

/* "cpython 3.11.2 cpython-311-x86_64-linux-gnu linux-x86_64": as much as tells them apart. */
static void compare_identity(
	const struct sides *sides, const struct pair *pair, const char *kind, const char *noun)
{
	const char *here = pair->here ? pair->here->value : "";
	const char *there = pair->there ? pair->there->value : "";
	size_t n = strcspn(here, " "), m = strcspn(there, " ");

	/* On one side only: then the other's is in an archive, or none, and that was said. */
	if (!pair->here || !pair->there)
		return;
	n += here[n] ? 1 + strcspn(here + n + 1, " ") : 0;
	m += there[m] ? 1 + strcspn(there + m + 1, " ") : 0;
	if (n == m && memcmp(here, there, n) == 0)
		n = strlen(here), m = strlen(there);
	add(sides, kind, "", here, there,
		text_format("%s: %.*s here, %.*s there", noun, (int)n, here, (int)m, there));
}

static void compare_variable(
	const struct sides *sides, const struct pair *pair, const char *kind, const char *noun)
{
	const char *name = name_of(pair);

	add(sides, kind, name, "", "",
		pair->here && pair->there
			? text_format("%s %s has another value", noun, name)
			: text_format("%s %s only %s", noun, name, side_of(pair)));
}

/* ---- those that go by kind and name */

static const struct kind {
	const char *kind, *noun;
	void (*compare)(const struct sides *sides, const struct pair *pair, const char *kind,
		const char *noun);
} kinds[] = {
	{ "archive", "archive", compare_artifact },
	{ "python-file", "python file", compare_artifact },
	{ "python", "python", compare_text },
	{ "python-identity", "interpreter", compare_identity },
	{ "python-path", "python path", compare_text },
	{ "variable", "variable", compare_variable },
};

static void compare_kind(const struct sides *sides, const struct kind *kind)
{
	size_t i;

	for (i = 0; i < sides->here->count; i++) {
		struct pair pair = { .here = &sides->here->rows[i] };

		if (!text_equal(pair.here->kind, kind->kind))
			continue;
		pair.ordinal = ordinal_of(sides->here, pair.here);
		pair.there = find(sides->there, kind->kind, pair.here->name, pair.ordinal);
		if (!pair.there || !text_equal(pair.here->value, pair.there->value))
			kind->compare(sides, &pair, kind->kind, kind->noun);
	}
	for (i = 0; i < sides->there->count; i++) {
		struct pair pair = { .there = &sides->there->rows[i] };

		if (!text_equal(pair.there->kind, kind->kind))
			continue;
		pair.ordinal = ordinal_of(sides->there, pair.there);
		if (!find(sides->here, kind->kind, pair.there->name, pair.ordinal))
			kind->compare(sides, &pair, kind->kind, kind->noun);
	}
}

/* The same files in another order are another environment. */
static void compare_order(const struct sides *sides)
{
	const struct db_component *here, *there;
	size_t i;

	for (i = 0; i < sides->ret->count; i++)
		if (text_equal(sides->ret->rows[i].kind, "python-file"))
			return;
	for (i = 0; (here = find(sides->here, "python-file", NULL, i)); i++) {
		there = find(sides->there, "python-file", NULL, i);
		if (text_equal(here->name, there->name) && text_equal(here->value, there->value))
			continue;
		add(sides, "python-file", "", "", "",
			text_copy("python files are in another order"));
		return;
	}
}

/* ---- requirements */

/* Those that only @from has, each with @sign; returns how many there are, and writes as many
 * as @room. */
static size_t write_lines(const struct db_components *from, const struct db_components *other,
	const char *sign, size_t room, struct buffer *ret)
{
	size_t count = 0, i;

	for (i = 0; i < from->count; i++) {
		const struct db_component *row = &from->rows[i];

		if (!text_equal(row->kind, "requirement") ||
			find(other, "requirement", row->name, 0))
			continue;
		if (count++ < room)
			buffer_format(ret, "%s%s%s", ret->size ? ", " : "", sign, row->name);
	}
	return count;
}

/* NULL: they name the same. */
static char *tell_lines(const struct sides *sides)
{
	_cleanup_buffer_ struct buffer lines = { 0 };
	size_t added = write_lines(sides->here, sides->there, "+", MAX_LINES, &lines);
	size_t shown = added < MAX_LINES ? added : MAX_LINES;
	size_t all = added + write_lines(sides->there, sides->here, "-", MAX_LINES - shown, &lines);

	if (all > MAX_LINES)
		buffer_format(&lines, ", and %zu more", all - MAX_LINES);
	return all ? buffer_steal_text(&lines) : NULL;
}

static char *tell_installation(const struct sides *sides)
{
	const char *here = find_value(sides->here, "installer", "", 0);
	const char *there = find_value(sides->there, "installer", "", 0);
	_cleanup_free_ char *bytecode = NULL;

	if (here && there && !text_equal(here, there))
		return text_format("requirements are the same, installed by %s here, by %s there",
			here, there);
	bytecode = tell_bytecode(sides);
	if (bytecode)
		return text_format("requirements are the same, %s", bytecode);
	return text_copy("requirements are the same, installed for another interpreter");
}

/* Whether all that they name is known. */
static bool are_lines_known(const struct db_components *rows)
{
	return find(rows, "requirement", NULL, 0);
}

static char *tell_requirements(const struct sides *sides, const char *here, const char *there)
{
	bool are_known = are_lines_known(sides->here) && are_lines_known(sides->there);
	_cleanup_free_ char *lines = are_known ? tell_lines(sides) : NULL;

	if (!here || !there)
		return text_copy("requirements are other ones, or installed otherwise");
	if (text_equal(here, there))
		return tell_installation(sides);
	if (lines)
		return text_format("requirements differ: %s", lines);
	return text_copy(are_known ? "requirements name the same, but their order, options, "
				     "constraints, hashes "
				     "or packages differ"
				   : "requirements differ");
}

static void compare_requirements(const struct sides *sides)
{
	const char *hash_here = find_value(sides->here, "requirements", "", 0);
	const char *hash_there = find_value(sides->there, "requirements", "", 0);
	const char *here = find_value(sides->here, "requirements-content", "", 0);
	const char *there = find_value(sides->there, "requirements-content", "", 0);
	bool are_here = hash_here || here, are_there = hash_there || there;
	char *text;

	if (!are_here && !are_there)
		return;
	/* What they are installed for may not be known: then that is another archive. */
	if (hash_here && hash_there ? text_equal(hash_here, hash_there)
				    : here && text_equal(here, there))
		return;
	if (are_here && are_there)
		text = tell_requirements(sides, here, there);
	else
		text = text_format("requirements only %s", are_here ? "here" : "there");
	add(sides, "requirements", "", here, there, text);
}

/* ---- workers */

static char *describe_worker(const struct db_component *row)
{
	if (!row)
		return text_copy("processes of the default command");
	return text_format(text_equal(row->name, "docker") ? "containers of the image '%s'"
							   : "processes of the command '%s'",
		row->value);
}

static void compare_workers(const struct sides *sides)
{
	const struct db_component *here = find(sides->here, "worker", NULL, 0);
	const struct db_component *there = find(sides->there, "worker", NULL, 0);
	_cleanup_free_ char *words_here = describe_worker(here);
	_cleanup_free_ char *words_there = describe_worker(there);

	if (!text_equal(words_here, words_there))
		add(sides, "worker", "", here ? here->value : "", there ? there->value : "",
			text_format("workers: %s here, %s there", words_here, words_there));
}

void differences_add(struct differences *differences, const char *kind, char *text)
{
	const struct sides sides = { .ret = differences };

	add(&sides, kind, "", "", "", text);
}

void differences_find(const struct db_components *here, const struct db_components *there,
	struct differences *ret)
{
	const struct sides sides = { here, there, ret };
	size_t i;

	*ret = (struct differences){ 0 };
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		compare_kind(&sides, &kinds[i]);
	compare_order(&sides);
	compare_requirements(&sides);
	compare_workers(&sides);
}
