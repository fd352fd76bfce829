#pragma once
/* A private copy of a layer's tree, for a lease that writes in it. Paths in its files stay
 * the layer's: its scripts start the layer's interpreter. */
#include "base/identity.h"

/* From the tree @from into the empty directory @to, which is @owner's, and so is what
 * is made. Files are cloned where the file system can. */
int copy_tree(int from, int to, const struct identity *owner, struct error *err);
