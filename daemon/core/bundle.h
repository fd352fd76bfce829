#pragma once
/*
 * Requirements that were uploaded: which artifacts they are, each with its name. None of
 * these is collected while there is a bundle with it. Shared by all who need them: the
 * create, those who read them and those who install them, for a create may be gone by then.
 * Loop thread only.
 */
#include "daemon/core/artifacts.h"
#include "proto/spec.h"

struct bundle;

/* All of @requirements, which are uploads, are this user's: else ARTIFACT_NOT_FOUND. */
int bundle_new(struct artifacts *artifacts, uid_t uid, const struct spec_requirements *requirements,
	struct bundle **ret, struct error *err);
/* NULL is fine; the second returns NULL. */
struct bundle *bundle_ref(struct bundle *bundle);
struct bundle *bundle_unref(struct bundle *bundle);

/* NULL for NULL; borrowed. */
const struct job_uploads *bundle_get_uploads(const struct bundle *bundle);
/* The same for the same names and content. */
const char *bundle_get_key(const struct bundle *bundle);
