/*
 * Texts that come again and again, each kept once and called by a number: the places of copies, of
 * which a store has as many as it has disks. Nothing is forgotten before the end, so a text may be
 * pointed to without a lock; hence the bound.
 */
#ifndef LARDER_MASTER_INTERN_H
#define LARDER_MASTER_INTERN_H

#include <stdint.h>

#include "common/attr.h"

enum { INTERN_MAX = UINT16_MAX };

struct intern;

/* NULL: no memory. */
struct intern *intern_new(void) MUST_CHECK;
/* With all its texts. NULL is fine. */
void intern_free(struct intern *intern);

/* The number of a text, which is copied where it is new; 0: there is no room for another, or no
 * memory. Any thread. */
uint16_t intern_number(struct intern *intern, const char *text) MUST_CHECK;

/* The text of a number that intern_number() has given, on this thread or before a lock that both
 * threads have held; valid as long as `intern`. */
const char *intern_text(const struct intern *intern, uint16_t number) MUST_CHECK;

#endif
