#include "daemon/core/uploaded.h"

#include "daemon/core/artifacts-internal.h"

struct uploaded {
	struct artifacts *artifacts; /* borrowed */
	size_t refs;
	struct job_upload *rows; /* owned, what is in them as well; files, then packages */
	size_t count; /* of rows, which are pinned */
	struct job_uploads uploads; /* borrows the rows */
	char key[SHA256_HEX_SIZE];
};

static int add(struct uploaded *uploaded, uid_t uid, const struct spec_upload *upload,
	struct sha256 *sha256, struct error *err)
{
	struct job_upload *row = &uploaded->rows[uploaded->count];
	char name[ARTIFACT_NAME_SIZE];
	struct db_artifact known;
	int r;

	r = artifacts_use(uploaded->artifacts, uid, upload->digest, &known, err);
	if (r == ARTIFACTS_E_NOT_FOUND) {
		r = artifact_fail_missing(err, upload->digest);
		error_prefix(err, "'%s'", upload->name);
	}
	if (r)
		return r;
	artifact_format_name(upload->digest, uid, name);
	*row = (struct job_upload){ text_copy(upload->name), text_copy(name) };
	pins_add(artifacts_pins(uploaded->artifacts), name);
	uploaded->count++;
	sha256_add(sha256, row->name, strlen(row->name) + 1);
	sha256_add(sha256, row->file, strlen(row->file) + 1);
	return 0;
}

static int add_all(struct uploaded *uploaded, uid_t uid,
	const struct spec_requirements *requirements, struct error *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	uint8_t digest[SHA256_SIZE], kind = requirements->packages != NULL;
	size_t i;
	int r = 0;

	sha256_add(sha256, &kind, sizeof(kind));
	for (i = 0; i < requirements->file_count && r == 0; i++)
		r = add(uploaded, uid, &requirements->files[i], sha256, err);
	/* No name is empty. */
	sha256_add(sha256, "", 1);
	for (i = 0; i < requirements->package_count && r == 0; i++)
		r = add(uploaded, uid, &requirements->package_files[i], sha256, err);
	sha256_end(sha256, digest);
	hex_format(digest, sizeof(digest), uploaded->key);
	return r;
}

int uploaded_new(struct artifacts *artifacts, uid_t uid,
	const struct spec_requirements *requirements, struct uploaded **ret, struct error *err)
{
	struct uploaded *uploaded = new0(struct uploaded);
	int r;

	uploaded->artifacts = artifacts;
	uploaded->refs = 1;
	uploaded->rows = new0_array(
		struct job_upload, requirements->file_count + requirements->package_count);
	uploaded->uploads = (struct job_uploads){
		.directory_fd = tree_artifacts_fd(artifacts->core->tree),
		.files = uploaded->rows,
		.file_count = requirements->file_count,
		.has_packages = requirements->packages,
		.packages = uploaded->rows + requirements->file_count,
		.package_count = requirements->package_count,
	};
	r = add_all(uploaded, uid, requirements, err);
	if (r)
		uploaded_unref(uploaded);
	else
		*ret = uploaded;
	return r;
}

struct uploaded *uploaded_ref(struct uploaded *uploaded)
{
	if (uploaded)
		uploaded->refs++;
	return uploaded;
}

struct uploaded *uploaded_unref(struct uploaded *uploaded)
{
	size_t i;

	if (!uploaded || --uploaded->refs)
		return NULL;
	for (i = 0; i < uploaded->count; i++) {
		pins_remove(artifacts_pins(uploaded->artifacts), uploaded->rows[i].file);
		free(uploaded->rows[i].name);
		free(uploaded->rows[i].file);
	}
	free(uploaded->rows);
	free(uploaded);
	return NULL;
}

const struct job_uploads *uploaded_get_files(const struct uploaded *uploaded)
{
	return uploaded ? &uploaded->uploads : NULL;
}

const char *uploaded_get_key(const struct uploaded *uploaded)
{
	return uploaded->key;
}
