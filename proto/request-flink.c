#include <errno.h>
#include <fcntl.h>
#include "base/fs.h"
#include "base/utf8.h"
#include "proto/flink-conf.h"
#include "proto/request-internal.h"

#define MAX_FILE (1 << 20)

typedef Pyenvd__V1__FlinkConfiguration__ConfigurationEntry configuration_entry;
typedef Pyenvd__V1__FlinkConfiguration__CachedFilesEntry cached_files_entry;

static Pyenvd__V1__FlinkConfiguration *begin(struct request *request)
{
	request_begin(request);
	if (!request->message.flink) {
		pyenvd__v1__flink_configuration__init(&request->flink);
		request->message.flink = &request->flink;
	}
	return &request->flink;
}

static void on_option(void *data, const char *key, const char *value)
{
	Pyenvd__V1__FlinkConfiguration *flink = data;
	configuration_entry *entry = new0(configuration_entry);

	pyenvd__v1__flink_configuration__configuration_entry__init(entry);
	entry->key = text_copy(key);
	entry->value = text_copy(value);
	flink->configuration = request_append(flink->configuration, &flink->n_configuration, entry);
}

static int read_text(const char *path, char **ret, struct error *err)
{
	_cleanup_buffer_ struct buffer content = { 0 };
	int r;

	r = fs_read_file(AT_FDCWD, path, MAX_FILE, &content);
	if (r)
		return fail_errno(err, r, NULL, "cannot be read");
	if (!utf8_is_valid((const char *)content.data, content.size) ||
		(content.size && memchr(content.data, 0, content.size)))
		return fail(err, -EINVAL, NULL, "not a text in UTF-8");
	*ret = buffer_steal_text(&content);
	return 0;
}

int request_take_flink_conf(void *data, const char *value, struct error *err)
{
	_cleanup_free_ char *text = NULL;
	int r;

	r = read_text(value, &text, err);
	if (r == 0)
		r = flink_conf_parse(text, on_option, begin(data), err);
	if (r)
		error_prefix(err, "configuration of Flink '%s'", value);
	return r;
}

int request_take_cached_file(void *data, const char *value, struct error *err)
{
	Pyenvd__V1__FlinkConfiguration *flink = begin(data);
	const char *equals = strchr(value, '=');
	cached_files_entry *entry;
	char *path;
	int r;

	if (!equals || equals == value)
		return fail(err, -EINVAL, NULL, "'--cached-file %s': not KEY=FILE", value);
	r = request_make_absolute(equals + 1, strlen(equals + 1), &path, err);
	if (r) {
		error_prefix(err, "cached file '%s'", value);
		return r;
	}
	entry = new0(cached_files_entry);
	pyenvd__v1__flink_configuration__cached_files_entry__init(entry);
	entry->key = text_format("%.*s", (int)(equals - value), value);
	entry->value = path;
	flink->cached_files = request_append(flink->cached_files, &flink->n_cached_files, entry);
	return 0;
}

void request_deinit_flink(struct request *request)
{
	Pyenvd__V1__FlinkConfiguration *flink = &request->flink;
	size_t i;

	for (i = 0; i < flink->n_configuration; i++) {
		free(flink->configuration[i]->key);
		free(flink->configuration[i]->value);
		free(flink->configuration[i]);
	}
	for (i = 0; i < flink->n_cached_files; i++) {
		free(flink->cached_files[i]->key);
		free(flink->cached_files[i]->value);
		free(flink->cached_files[i]);
	}
	free(flink->configuration);
	free(flink->cached_files);
}
