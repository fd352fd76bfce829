#pragma once
/*
 * URLs in requirements files, and the users and passwords in them. Pure.
 */
#include <stdbool.h>
#include "base/buffer.h"

enum requirements_url {
	REQUIREMENTS_URL_NONE, /* no URL: nothing like a scheme in front */
	REQUIREMENTS_URL_WEB, /* http:// or https:// */
	REQUIREMENTS_URL_GIT,
	REQUIREMENTS_URL_OTHER_VCS, /* hg, svn or bzr */
	REQUIREMENTS_URL_LOCAL, /* file: */
	REQUIREMENTS_URL_UNKNOWN,
};

/* Of what begins at @text. */
enum requirements_url requirements_url_kind(const char *text);

/* Whether in all URLs within @text it is beyond doubt where the host begins, and so what
 * is user and password. */
bool requirements_url_are_plain(const char *text);

/* @text, whose URLs are plain, without their users and passwords. */
void requirements_url_append_public(struct buffer *buffer, const char *text);
