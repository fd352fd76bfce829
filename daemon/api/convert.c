#include "daemon/api/convert.h"

#include <errno.h>

enum grpc_code convert_status(const struct error *err)
{
	static const struct {
		int r;
		enum grpc_code code;
	} codes[] = {
		{ -EINVAL, GRPC_INVALID_ARGUMENT },
		{ -EBADMSG, GRPC_INVALID_ARGUMENT },
		{ -EISDIR, GRPC_INVALID_ARGUMENT },
		{ -ELOOP, GRPC_INVALID_ARGUMENT },
		{ -EOPNOTSUPP, GRPC_INVALID_ARGUMENT },
		{ -ENAMETOOLONG, GRPC_INVALID_ARGUMENT },
		{ -ENOENT, GRPC_NOT_FOUND },
		{ -ENOTDIR, GRPC_NOT_FOUND },
		{ -EACCES, GRPC_PERMISSION_DENIED },
		{ -EPERM, GRPC_PERMISSION_DENIED },
		{ -EEXIST, GRPC_ALREADY_EXISTS },
		{ -ESRCH, GRPC_FAILED_PRECONDITION },
		{ -EBUSY, GRPC_FAILED_PRECONDITION },
		{ -ESTALE, GRPC_ABORTED },
		{ -EAGAIN, GRPC_ABORTED },
		{ -ENOSPC, GRPC_RESOURCE_EXHAUSTED },
		{ -EDQUOT, GRPC_RESOURCE_EXHAUSTED },
		{ -EFBIG, GRPC_RESOURCE_EXHAUSTED },
		{ -E2BIG, GRPC_RESOURCE_EXHAUSTED },
		{ -EMFILE, GRPC_RESOURCE_EXHAUSTED },
		{ -ENFILE, GRPC_RESOURCE_EXHAUSTED },
		{ -ENOMEM, GRPC_RESOURCE_EXHAUSTED },
		{ -ESHUTDOWN, GRPC_UNAVAILABLE },
		{ -ETIMEDOUT, GRPC_UNAVAILABLE },
		{ -ETIME, GRPC_DEADLINE_EXCEEDED },
		{ -ECANCELED, GRPC_CANCELLED },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(codes); i++)
		if (codes[i].r == err->r)
			return codes[i].code;
	return GRPC_INTERNAL;
}

/* ---- in */

int convert_id(const char *id, const char *field, struct error *err)
{
	if (!*id)
		return fail(err, -EINVAL, "REQUEST_INVALID", "%s is empty", field);
	return spec_check_length(id, 128, field, err);
}

int convert_page(const Pyenvd__V1__ListRequest *wire, size_t *limit, struct error *err)
{
	*limit = wire->page_size ? wire->page_size : 100;
	if (*limit > 1000)
		return fail(err, -EINVAL, "REQUEST_INVALID", "page_size is more than 1000");
	return spec_check_length(wire->page_token, 128, "page_token", err);
}
