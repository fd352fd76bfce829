#pragma once
/* Private to install.c, which makes the layer, and install-run.c, which runs the installer
 * and the compiler. */
#include "daemon/worker/install-output.h"
#include "daemon/worker/install.h"

struct install_work {
	struct install *install;
	struct install_output output;
	char *tree, *scratch, *source; /* absolute; owned */
	int tree_fd;
};

/* Empties what a try has written. */
int install_start_again(struct install_work *work, struct error *err);

/* Fills the tree, or the failure that people are to read. */
int install_packages(struct install_work *work, struct error *err);
int install_compile(struct install_work *work, struct error *err);
