/*
 * Tells the masters that this volume is here, and goes on telling them.
 */
#ifndef LARDER_VOLUME_REGISTER_H
#define LARDER_VOLUME_REGISTER_H

#include <stdint.h>

#include "common/attr.h"
#include "common/status.h"

struct config;
struct loop;
struct registrar;

struct registrar_options {
    const struct config *config; /* must outlive it */
    const char *id;              /* this volume's identity; must outlive it */
    struct loop *loop;           /* on which all of it runs */
    uint16_t port;               /* that the server has */
};

/*
 * Begins: posts base URL and identity to every master's /admin/add-volume, 1 s to 30 s apart until
 * it is answered 200, then every minute, in case that master has lost it. So a volume that is
 * started under another address is soon found there.
 */
enum status registrar_new(struct registrar **registrar,
                          const struct registrar_options *options) MUST_CHECK;

/* Stops, on the loop's thread or when that has ended. NULL is fine. */
void registrar_free(struct registrar *registrar);

#endif
