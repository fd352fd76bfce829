/*
 * Requirements that are asked for anew, though a layer of them is there:
 *
 *	making without a key -> the same packages as before -> removed again; the layer
 *	                    |                                  that is there was right
 *	                    v
 *	                takes the key over -> the one before goes when its leases have
 *
 * Until then, and whenever it fails, all others find the layer that is there.
 */
#include "base/clock.h"
#include "base/log.h"
#include "daemon/core/layers-internal.h"

static int find_before(struct making *making, struct db_layer *ret, struct error *err)
{
	return db_find_layer_by_key(
		making->layers->core->db, making->layer.key, making->layer.owner, ret, err);
}

static void keep(struct making *making, const struct db_layer *before)
{
	making->is_kept = true;
	making->kept = *before;
	pins_add(&making->layers->pins, making->kept.id);
	log_info("layer-confirmed", "id=%s by=%s", making->kept.id, making->layer.id);
}

int making_refresh_end(struct making *making, struct error *err)
{
	_cleanup_(db_install_deinit) struct db_install install = { 0 };
	struct db *db = making->layers->core->db;
	struct db_layer before;
	int r;

	r = making->is_refresh ? find_before(making, &before, err) : DB_E_NOT_FOUND;
	if (r)
		return r < 0 ? r : 0;
	r = fold(db_find_install(db, before.id, &install, err));
	if (r || !text_equal(install.resolved, making->install->result.resolved))
		return r;
	install.resolved_at = clock_unix_ms();
	r = db_put_install(db, before.id, &install, err);
	if (r == 0)
		keep(making, &before);
	return r;
}

int making_refresh_publish(struct making *making, struct error *err)
{
	if (!making->is_refresh)
		return 0;
	log_info("layer-superseding", "id=%s key=%s", making->layer.id, making->layer.key);
	return db_supersede_layer(making->layers->core->db, making->layer.key, making->layer.owner,
		making->layer.id, err);
}

void making_refresh_forget(struct making *making)
{
	if (making->is_kept)
		pins_remove(&making->layers->pins, making->kept.id);
	making->is_kept = false;
}

bool making_confirmed(const struct making *making)
{
	return making->is_kept;
}
