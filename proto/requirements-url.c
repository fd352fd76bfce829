/*
 * The host is between "://" and the next '/', '?' or '#', behind the last '@' in there.
 * A password with one of those in it, unescaped, would not be seen as such; but then what
 * is left in front does not look like a host and a port, and the URL is refused.
 */
#include "proto/requirements-url.h"

#include <ctype.h>
#include <strings.h>

#define HOST_ENDS "/?# \t\"'"

struct host {
	const char *user, *start, *end; /* user: where that would begin */
};

static bool find_host(const char *text, struct host *ret)
{
	const char *found = strstr(text, "://"), *at;

	if (!found)
		return false;
	ret->user = ret->start = found + 3;
	ret->end = ret->user + strcspn(ret->user, HOST_ENDS);
	for (at = ret->user; at < ret->end; at++)
		if (*at == '@')
			ret->start = at + 1;
	return true;
}

static bool is_plain(const struct host *host)
{
	const char *at = host->start, *name = at;

	if (*at == '[') {
		do
			at++;
		while (isxdigit((unsigned char)*at) || *at == ':' || *at == '.');
		if (*at++ != ']')
			return false;
	} else {
		while (isalnum((unsigned char)*at) || *at == '.' || *at == '_' || *at == '-')
			at++;
	}
	if (at == name)
		return false;
	if (*at == ':' && isdigit((unsigned char)at[1]))
		for (at++; isdigit((unsigned char)*at);)
			at++;
	return at == host->end;
}

bool requirements_url_are_plain(const char *text)
{
	struct host host;

	for (; find_host(text, &host); text = host.end)
		if (!is_plain(&host))
			return false;
	return true;
}

void requirements_url_append_public(struct buffer *buffer, const char *text)
{
	struct host host;

	for (; find_host(text, &host); text = host.end) {
		buffer_append(buffer, text, (size_t)(host.user - text));
		buffer_append(buffer, host.start, (size_t)(host.end - host.start));
	}
	buffer_append_text(buffer, text);
}

static bool is_word(const char *text, size_t size, const char *word)
{
	return strlen(word) == size && strncasecmp(text, word, size) == 0;
}

enum requirements_url requirements_url_kind(const char *text)
{
	size_t size = 0, vcs;

	while (isalnum((unsigned char)text[size]) ||
		(size && text[size] && strchr("+.-", text[size])))
		size++;
	if (!size || text[size] != ':')
		return REQUIREMENTS_URL_NONE;
	vcs = strcspn(text, "+:");
	if (is_word(text, size, "file") ||
		(vcs < size && is_word(text + vcs + 1, size - vcs - 1, "file")))
		return REQUIREMENTS_URL_LOCAL;
	if (!text_starts_with(text + size, "://"))
		return REQUIREMENTS_URL_UNKNOWN;
	if (is_word(text, size, "http") || is_word(text, size, "https"))
		return REQUIREMENTS_URL_WEB;
	if (vcs == size)
		return REQUIREMENTS_URL_UNKNOWN;
	if (is_word(text, vcs, "git"))
		return REQUIREMENTS_URL_GIT;
	if (is_word(text, vcs, "hg") || is_word(text, vcs, "svn") || is_word(text, vcs, "bzr"))
		return REQUIREMENTS_URL_OTHER_VCS;
	return REQUIREMENTS_URL_UNKNOWN;
}
