/*
 * Only as much grammar as tells the kinds apart and says whether a version is pinned;
 * what a version or a marker may be is left to the installer, but for what would make
 * two readers see two things: quotes that do not end, a ';' inside a URL.
 *
 * What a message quotes of a line ends where a URL or a password could begin: the text
 * goes to the log.
 */
#include "proto/requirements-spec.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <strings.h>
#include <sys/types.h>
#include "base/utf8.h"
#include "proto/requirements-url.h"

#define BLANKS " \t"
#define QUOTE_SIZE 64

struct quote {
	char text[QUOTE_SIZE + 4];
};

static struct quote quote(const char *text)
{
	size_t whole = strcspn(text, BLANKS ";@:=<>!([,"), n = utf8_cut(text, whole, QUOTE_SIZE);
	bool is_cut = text[n] && !strchr(BLANKS ";", text[n]);
	struct quote ret;

	snprintf(ret.text, sizeof(ret.text), "%.*s%s", (int)n, text, is_cut ? "…" : "");
	return ret;
}

static const char *skip_blanks(const char *at)
{
	return at + strspn(at, BLANKS);
}

static int refuse_path(const char *text, struct error *err)
{
	return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
		"'%s' names a local path: put the package into a directory of packages",
		quote(text).text);
}

bool requirements_spec_is_archive(const char *name, size_t size)
{
	static const char *const ends[] = { ".whl", ".zip", ".tar.gz", ".tgz", ".tar", ".tar.bz2",
		".tbz", ".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma" };
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		n = strlen(ends[i]);
		if (size > n && strncasecmp(name + size - n, ends[i], n) == 0)
			return true;
	}
	return false;
}

/* ---- the parts; each moves @at behind what it has read */

static bool take_name(const char **at)
{
	size_t n = 0, end = 0;

	for (; isalnum((unsigned char)(*at)[n]) || ((*at)[n] && strchr("._-", (*at)[n])); n++)
		if (isalnum((unsigned char)(*at)[n]))
			end = n + 1;
	*at += n;
	/* It begins and ends with a letter or digit. */
	return n && end == n && isalnum((unsigned char)(*at)[-(ssize_t)n]);
}

static bool take_extras(const char **at)
{
	if (**at != '[')
		return true;
	do {
		*at = skip_blanks(*at + 1);
		if (!take_name(at))
			return false;
		*at = skip_blanks(*at);
	} while (**at == ',');
	if (**at != ']')
		return false;
	*at = skip_blanks(*at + 1);
	return true;
}

/* One operator and version. */
static bool take_version(const char **at, bool *is_pinned)
{
	static const char *const operators[] = { "===", "==", "~=", "!=", "<=", ">=", "<", ">" };
	const char *version;
	size_t i = 0;

	while (i < ARRAY_SIZE(operators) && !text_starts_with(*at, operators[i]))
		i++;
	if (i == ARRAY_SIZE(operators))
		return false;
	version = *at = skip_blanks(*at + strlen(operators[i]));
	while (isalnum((unsigned char)**at) || (**at && strchr("._-+!*", **at)))
		(*at)++;
	if (*at == version)
		return false;
	if (i == 0 || (i == 1 && !memchr(version, '*', (size_t)(*at - version))))
		*is_pinned = true;
	*at = skip_blanks(*at);
	return true;
}

static bool take_versions(const char **at, bool *is_pinned)
{
	bool in_brackets = **at == '(';

	if (in_brackets)
		*at = skip_blanks(*at + 1);
	else if (!**at || **at == ';')
		return true;
	while (take_version(at, is_pinned)) {
		if (**at == ',') {
			*at = skip_blanks(*at + 1);
			continue;
		}
		if (in_brackets && **at != ')')
			return false;
		*at = skip_blanks(*at + in_brackets);
		return true;
	}
	return false;
}

static int check_marker(const char *text, const char *at, struct error *err)
{
	char within = 0;

	at = skip_blanks(at);
	if (!*at)
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID", "'%s' has nothing behind its ';'",
			quote(text).text);
	if (!requirements_url_are_plain(at))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' has a marker with a URL whose host cannot be told", quote(text).text);
	for (; *at; at++)
		if (within ? *at == within : *at == '"' || *at == '\'')
			within = within ? 0 : *at;
	return within
		? fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			  "'%s' has a marker with a quote that does not end", quote(text).text)
		: 0;
}

/* ---- URLs */

static bool is_digest(const char *hex, size_t digits)
{
	size_t i;

	for (i = 0; i < digits; i++)
		if (!isxdigit((unsigned char)hex[i]))
			return false;
	return !isalnum((unsigned char)hex[digits]);
}

/* By #sha256=…, or by a commit: …@<40 or 64 digits>. */
static bool is_url_pinned(const char *url, enum requirements_url kind)
{
	static const struct {
		const char *name;
		size_t digits;
	} algorithms[] = { { "sha256=", 64 }, { "sha384=", 96 }, { "sha512=", 128 } };
	const char *fragment = strchr(url, '#'), *revision = NULL, *at;
	size_t i;

	for (at = fragment; kind == REQUIREMENTS_URL_WEB && at; at = strchr(at + 1, '&'))
		for (i = 0; i < ARRAY_SIZE(algorithms); i++)
			if (text_starts_with(at + 1, algorithms[i].name) &&
				is_digest(
					at + 1 + strlen(algorithms[i].name), algorithms[i].digits))
				return true;
	for (at = strstr(url, "://") + 3; *at && *at != '#'; at++)
		if (*at == '@')
			revision = at + 1;
	return kind == REQUIREMENTS_URL_GIT && revision &&
		(is_digest(revision, 40) || is_digest(revision, 64));
}

static int check_url_kind(
	const char *text, const char *url, enum requirements_url kind, struct error *err)
{
	switch (kind) {
	case REQUIREMENTS_URL_WEB:
	case REQUIREMENTS_URL_GIT:
	case REQUIREMENTS_URL_OTHER_VCS:
		return 0;
	case REQUIREMENTS_URL_LOCAL:
		return refuse_path(text, err);
	default:
		if (*url && strchr("./~", *url))
			return refuse_path(text, err);
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' has a URL of a kind that is not known", quote(text).text);
	}
}

/* @text: all of the requirement; @at: its URL. */
static int parse_url(
	const char *text, const char *at, struct requirements_spec *ret, struct error *err)
{
	enum requirements_url kind = requirements_url_kind(at);
	_cleanup_free_ char *url = text_format("%.*s", (int)strcspn(at, BLANKS), at);
	int r;

	r = check_url_kind(text, url, kind, err);
	if (r)
		return r;
	if (strpbrk(url, ";\"'<>`"))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' has a URL with a quote, a bracket or a ';' in it (a marker needs a "
			"space before its ';')",
			quote(text).text);
	if (!requirements_url_are_plain(url))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' has a URL whose host cannot be told", quote(text).text);
	ret->is_url = true;
	ret->is_pinned = is_url_pinned(url, kind);
	ret->needs_pip = kind == REQUIREMENTS_URL_OTHER_VCS;
	at = skip_blanks(at + strlen(url));
	if (*at == ';')
		return check_marker(text, at + 1, err);
	return *at ? fail(err, -EINVAL, "REQUIREMENTS_INVALID", "'%s' has a URL with a space in it",
			     quote(text).text)
		   : 0;
}

/* ---- names */

static int parse_versions(
	const char *text, const char *at, struct requirements_spec *ret, struct error *err)
{
	if (*at == '=' && at[1] != '=')
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' has '=' before its version, where '==' is meant", quote(text).text);
	if (!take_versions(&at, &ret->is_pinned) || (*at && *at != ';'))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' is followed by something that is no version", quote(text).text);
	return *at ? check_marker(text, at + 1, err) : 0;
}

static size_t size_without_extras(const char *text)
{
	size_t size = strcspn(text, ";");

	while (size && strchr(BLANKS, text[size - 1]))
		size--;
	if (size && text[size - 1] == ']')
		size = strcspn(text, "[");
	return size;
}

int requirements_spec_parse(const char *text, struct requirements_spec *ret, struct error *err)
{
	const char *at = text;

	*ret = (struct requirements_spec){ 0 };
	if (requirements_url_kind(text) != REQUIREMENTS_URL_NONE)
		return parse_url(text, text, ret, err);
	if (strchr("./~", *text))
		return refuse_path(text, err);
	if (!take_name(&at))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' does not begin with a package's name", quote(text).text);
	if (*at == '/')
		return refuse_path(text, err);
	at = skip_blanks(at);
	if (!take_extras(&at))
		return fail(err, -EINVAL, "REQUIREMENTS_INVALID",
			"'%s' has extras that are not names", quote(text).text);
	if (*at == '@')
		return parse_url(text, skip_blanks(at + 1), ret, err);
	if (requirements_spec_is_archive(text, size_without_extras(text)))
		return refuse_path(text, err);
	return parse_versions(text, at, ret, err);
}
