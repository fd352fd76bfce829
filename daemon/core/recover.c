/*
 * What may be found, and what becomes of it:
 *
 *	another boot id                 all leases end; layers and artifacts that are not
 *	                                durable go
 *	a row PREPARING or DELETING     goes, with its directory
 *	a row READY without a manifest  goes: its deletion had begun, and the index lost it
 *	a directory without a row       goes
 *	an artifact without file or row goes: artifacts.c
 *	a lease's row without directory goes, and the other way round
 *
 * A worker of the last daemon may still be writing in a directory that goes: removing
 * takes the layer's lock first, which that worker holds until it ends.
 */
#include "daemon/core/recover.h"

#include "base/clock.h"
#include "base/log.h"

static int condemn_all(struct layers *layers, const struct db_layers *rows,
	bool (*goes)(const struct db_layer *, void *), void *data, struct error *err)
{
	size_t i;
	int r;

	for (i = 0; i < rows->count; i++) {
		const struct db_layer *row = &rows->rows[i];

		if (!goes(row, data))
			continue;
		log_info("layer-recovered", "id=%s state=%d durable=%d", row->id, (int)row->state,
			(int)row->durable);
		r = layers_condemn(layers, row->id, NULL, err);
		if (r)
			return r;
	}
	return 0;
}

static bool always(const struct db_layer *layer, void *data)
{
	return true;
}

struct doubt {
	struct tree *tree;
	bool is_new_boot;
};

static bool is_broken(const struct db_layer *layer, void *data)
{
	const struct doubt *doubt = data;

	return (doubt->is_new_boot && !layer->durable) ||
		!tree_has_manifest(doubt->tree, layer->id);
}

static int check_rows(struct core *core, struct layers *layers, bool is_new_boot, struct error *err)
{
	static const enum layer_state unfinished[] = { LAYER_PREPARING, LAYER_DELETING };
	struct doubt doubt = { core->tree, is_new_boot };
	struct db_layers rows = { 0 };
	size_t i;
	int r;

	for (i = 0; i < ARRAY_SIZE(unfinished); i++) {
		r = db_list_layers_in_state(core->db, unfinished[i], &rows, err);
		if (r)
			return r;
		r = condemn_all(layers, &rows, always, NULL, err);
		free(rows.rows);
		rows = (struct db_layers){ 0 };
		if (r)
			return r;
	}
	r = db_list_layers_in_state(core->db, LAYER_READY, &rows, err);
	if (r)
		return r;
	r = condemn_all(layers, &rows, is_broken, &doubt, err);
	free(rows.rows);
	return r;
}

static int check_layer_directories(struct core *core, struct janitor *janitor, struct error *err)
{
	struct tree_names names = { 0 };
	struct db_layer layer;
	size_t i;
	int r;

	r = tree_list_layers(core->tree, &names, err);
	for (i = 0; i < names.count && r == 0; i++) {
		r = db_find_layer(core->db, names.names[i], &layer, err);
		if (r == DB_E_NOT_FOUND) {
			log_info("layer-without-row", "name='%s'", LOG_TEXT(names.names[i]));
			janitor_remove_layer(janitor, names.names[i], NULL);
			r = 0;
		}
	}
	tree_names_deinit(&names);
	return r;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* @names is sorted. */
static bool contains(const struct tree_names *names, const char *name)
{
	return names->count &&
		bsearch(&name, names->names, names->count, sizeof(*names->names), compare_names);
}

static int end_leases(struct core *core, const struct tree_names *keep, struct error *err)
{
	struct db_leases rows = { 0 };
	char after[LEASE_ID_LENGTH + 1] = "";
	size_t i, count;
	int r;

	do {
		r = db_list_leases(core->db, after, 1000, -1, &rows, err);
		count = rows.count;
		for (i = 0; i < count && r == 0; i++) {
			memcpy(after, rows.rows[i].id, sizeof(after));
			if (!keep || !contains(keep, after))
				r = fold(db_delete_lease(core->db, after, clock_unix_ms(), err));
		}
		free(rows.rows);
		rows = (struct db_leases){ 0 };
	} while (count && r == 0);
	return r;
}

static int check_leases(
	struct core *core, struct janitor *janitor, bool is_new_boot, struct error *err)
{
	struct tree_names names = { 0 }, sorted;
	struct db_lease lease;
	size_t i;
	int r;

	r = tree_list_leases(core->tree, &names, err);
	if (r == 0) {
		sorted = (struct tree_names){ .names = new0_array(char *, names.count),
			.count = names.count };
		if (names.count)
			memcpy(sorted.names, names.names, names.count * sizeof(char *));
		qsort(sorted.names, sorted.count, sizeof(char *), compare_names);
		r = end_leases(core, is_new_boot ? NULL : &sorted, err);
		free(sorted.names);
	}
	for (i = 0; i < names.count && r == 0; i++) {
		r = db_find_lease(core->db, names.names[i], &lease, err);
		if (r == DB_E_NOT_FOUND) {
			janitor_remove_lease(janitor, names.names[i], names.uids[i], names.gids[i]);
			r = 0;
		}
	}
	tree_names_deinit(&names);
	return r;
}

int recover(struct core *core, struct layers *layers, struct artifacts *artifacts,
	struct janitor *janitor, struct error *err)
{
	char before[64] = "";
	bool is_new_boot;
	int r;

	r = db_get_setting(core->db, "boot_id", before, sizeof(before), err);
	if (r < 0)
		return r;
	is_new_boot = !text_equal(before, core->boot_id);
	r = check_leases(core, janitor, is_new_boot, err);
	janitor_recover(janitor, true);
	if (r == 0)
		r = check_rows(core, layers, is_new_boot, err);
	if (r == 0)
		r = check_layer_directories(core, janitor, err);
	janitor_recover(janitor, false);
	if (r == 0)
		r = artifacts_recover(artifacts, is_new_boot, err);
	if (r == 0 && is_new_boot)
		r = db_put_setting(core->db, "boot_id", core->boot_id, err);
	return r;
}
