#include "daemon/core/bundle.h"

#include "daemon/core/artifacts-internal.h"

struct bundle {
	struct artifacts *artifacts; /* borrowed */
	size_t refs;
	struct job_upload *rows; /* owned, what is in them as well; files, then packages */
	size_t count; /* of rows, which are pinned */
	struct job_uploads uploads; /* borrows the rows */
	char key[SHA256_HEX_SIZE];
};

static int add(struct bundle *bundle, uid_t uid, const struct spec_upload *upload,
	struct sha256 *sha256, struct error *err)
{
	struct job_upload *row = &bundle->rows[bundle->count];
	char name[ARTIFACT_NAME_SIZE];
	struct db_artifact known;
	int r;

	r = artifacts_use(bundle->artifacts, uid, upload->digest, &known, err);
	if (r == ARTIFACTS_E_NOT_FOUND) {
		r = artifact_fail_missing(err, upload->digest);
		error_prefix(err, "'%s'", upload->name);
	}
	if (r)
		return r;
	artifact_format_name(upload->digest, uid, name);
	*row = (struct job_upload){ text_copy(upload->name), text_copy(name) };
	pins_add(artifacts_pins(bundle->artifacts), name);
	bundle->count++;
	sha256_add(sha256, row->name, strlen(row->name) + 1);
	sha256_add(sha256, row->file, strlen(row->file) + 1);
	return 0;
}

static int add_all(struct bundle *bundle, uid_t uid, const struct spec_requirements *requirements,
	struct error *err)
{
	_cleanup_(sha256_freep) struct sha256 *sha256 = sha256_new();
	uint8_t digest[SHA256_SIZE], kind = requirements->packages != NULL;
	size_t i;
	int r = 0;

	sha256_add(sha256, &kind, sizeof(kind));
	for (i = 0; i < requirements->file_count && r == 0; i++)
		r = add(bundle, uid, &requirements->files[i], sha256, err);
	/* No name is empty. */
	sha256_add(sha256, "", 1);
	for (i = 0; i < requirements->package_count && r == 0; i++)
		r = add(bundle, uid, &requirements->package_files[i], sha256, err);
	sha256_end(sha256, digest);
	hex_format(digest, sizeof(digest), bundle->key);
	return r;
}

int bundle_new(struct artifacts *artifacts, uid_t uid, const struct spec_requirements *requirements,
	struct bundle **ret, struct error *err)
{
	struct bundle *bundle = new0(struct bundle);
	int r;

	bundle->artifacts = artifacts;
	bundle->refs = 1;
	bundle->rows = new0_array(
		struct job_upload, requirements->file_count + requirements->package_count);
	bundle->uploads = (struct job_uploads){
		.directory_fd = tree_artifacts_fd(artifacts->core->tree),
		.files = bundle->rows,
		.file_count = requirements->file_count,
		.has_packages = requirements->packages,
		.packages = bundle->rows + requirements->file_count,
		.package_count = requirements->package_count,
	};
	r = add_all(bundle, uid, requirements, err);
	if (r)
		bundle_unref(bundle);
	else
		*ret = bundle;
	return r;
}

struct bundle *bundle_ref(struct bundle *bundle)
{
	if (bundle)
		bundle->refs++;
	return bundle;
}

struct bundle *bundle_unref(struct bundle *bundle)
{
	size_t i;

	if (!bundle || --bundle->refs)
		return NULL;
	for (i = 0; i < bundle->count; i++) {
		pins_remove(artifacts_pins(bundle->artifacts), bundle->rows[i].file);
		free(bundle->rows[i].name);
		free(bundle->rows[i].file);
	}
	free(bundle->rows);
	free(bundle);
	return NULL;
}

const struct job_uploads *bundle_get_uploads(const struct bundle *bundle)
{
	return bundle ? &bundle->uploads : NULL;
}

const char *bundle_get_key(const struct bundle *bundle)
{
	return bundle->key;
}
