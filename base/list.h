#pragma once
/*
 * Doubly linked list; the links live in the objects. A zeroed link is in no
 * list. A comment at each link names its head.
 */
#include <stdbool.h>
#include <stddef.h>
#include "base/util.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(head)                                                                            \
	{                                                                                          \
		&(head), &(head)                                                                   \
	}

static inline void list_init(struct list *head)
{
	head->next = head->prev = head;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

static inline bool list_is_linked(const struct list *link)
{
	return link->next != NULL;
}

/* At the end. */
static inline void list_add(struct list *head, struct list *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

/* Does nothing to a link that is in no list. */
static inline void list_remove(struct list *link)
{
	if (!link->next)
		return;
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link->next = link->prev = NULL;
}

/* The first link, taken out; NULL when there is none. */
static inline struct list *list_pop(struct list *head)
{
	struct list *first = head->next;

	if (first == head)
		return NULL;
	list_remove(first);
	return first;
}

/* Moves all of @from to the end of @to. */
static inline void list_take_all(struct list *to, struct list *from)
{
	struct list *link;

	while ((link = list_pop(from)))
		list_add(to, link);
}

static inline size_t list_count(const struct list *head)
{
	const struct list *link;
	size_t n = 0;

	for (link = head->next; link != head; link = link->next)
		n++;
	return n;
}

#define list_for_each(i, head) for (struct list *i = (head)->next; i != (head); i = i->next)

/* The body may remove @i itself, and nothing else. */
#define list_for_each_safe(i, head)                                                                \
	for (struct list *i = (head)->next, *i##_next = i->next; i != (head);                      \
		i = i##_next, i##_next = i->next)
