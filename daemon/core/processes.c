#include "daemon/core/processes.h"

#include <stdio.h>

struct processes_entry {
	struct map_node node; /* processes.map */
	char key[48];
	struct processes *processes;
	struct list members; /* of processes_member.link */
	struct watch_process watched;
};

static void entry_free(struct processes_entry *entry)
{
	watch_process_stop(&entry->watched);
	map_remove(&entry->processes->map, &entry->node);
	free(entry);
}

/* Whoever is told may let others leave. */
static void on_gone(struct watch_process *watched)
{
	struct processes_entry *entry = container_of(watched, struct processes_entry, watched);
	struct processes *processes = entry->processes;
	struct list members, *link;

	list_init(&members);
	list_for_each (each, &entry->members)
		container_of(each, struct processes_member, link)->entry = NULL;
	list_take_all(&members, &entry->members);
	entry_free(entry);
	while ((link = list_pop(&members)))
		processes->gone(container_of(link, struct processes_member, link));
}

static int entry_new(struct processes *processes, const char *key, const struct process *process,
	struct processes_entry **ret, struct error *err)
{
	struct processes_entry *entry = new0(struct processes_entry);
	int r;

	entry->processes = processes;
	entry->watched.process = *process;
	entry->watched.gone = on_gone;
	list_init(&entry->members);
	r = watch_process_start(processes->watch, &entry->watched, err);
	if (r) {
		free(entry);
		return r == WATCH_E_GONE ? PROCESSES_E_GONE : r;
	}
	snprintf(entry->key, sizeof(entry->key), "%s", key);
	map_add(&processes->map, &entry->node, entry->key);
	*ret = entry;
	return 0;
}

int processes_join(struct processes *processes, const struct process *process,
	struct processes_member *member, struct error *err)
{
	struct processes_entry *entry = NULL;
	struct map_node *node;
	char key[48];
	int r = 0;

	snprintf(
		key, sizeof(key), "%d/%llu", (int)process->pid, (unsigned long long)process->start);
	node = map_find(&processes->map, key);
	if (node)
		entry = container_of(node, struct processes_entry, node);
	else
		r = entry_new(processes, key, process, &entry, err);
	if (r)
		return r;
	member->entry = entry;
	list_add(&entry->members, &member->link);
	return 0;
}

void processes_leave(struct processes_member *member)
{
	struct processes_entry *entry = STEAL(member->entry);

	/* Also from the list of those who are about to be told. */
	list_remove(&member->link);
	if (entry && list_is_empty(&entry->members))
		entry_free(entry);
}

void processes_deinit(struct processes *processes)
{
	map_deinit(&processes->map);
}
