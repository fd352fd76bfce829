#pragma once
/*
 * Requirements that were uploaded: which artifacts they are, each with its name. None of
 * these is collected while one of them is kept here. Shared by all who need them: the
 * create, those who read them and those who install them, for a create may be gone by then.
 * Loop thread only.
 */
#include "daemon/core/artifacts.h"
#include "proto/spec.h"

struct uploaded;

/* All of @requirements, which are uploads, are this user's: else ARTIFACT_NOT_FOUND. */
int uploaded_new(struct artifacts *artifacts, uid_t uid,
	const struct spec_requirements *requirements, struct uploaded **ret, struct error *err);
/* NULL is fine; the second returns NULL. */
struct uploaded *uploaded_ref(struct uploaded *uploaded);
struct uploaded *uploaded_unref(struct uploaded *uploaded);

/* NULL for NULL; borrowed. */
const struct job_uploads *uploaded_get_files(const struct uploaded *uploaded);
/* The same for the same names and content. */
const char *uploaded_get_key(const struct uploaded *uploaded);
