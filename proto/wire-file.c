#include "proto/wire-file.h"

void wire_file_from(const struct fs_identity *file, Pyenvd__Worker__FileIdentity *ret)
{
	pyenvd__worker__file_identity__init(ret);
	ret->dev = file->dev;
	ret->ino = file->ino;
	ret->size = file->size;
	ret->mtime_ns = file->mtime_ns;
	ret->ctime_ns = file->ctime_ns;
}

void wire_file_to(const Pyenvd__Worker__FileIdentity *file, struct fs_identity *ret)
{
	if (!file)
		return;
	*ret = (struct fs_identity){
		.dev = file->dev,
		.ino = file->ino,
		.size = file->size,
		.mtime_ns = file->mtime_ns,
		.ctime_ns = file->ctime_ns,
	};
}
