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

/*
 * Begins: posts the base URL to every master's /admin/add-volume, 1 s to 30 s apart until it is
 * answered 200, then every minute, in case that master has lost it. `port` is the one that the
 * server has; `config` must outlive it. All of it runs on `loop`.
 */
enum status registrar_new(struct registrar **registrar, struct loop *loop,
                          const struct config *config, uint16_t port) MUST_CHECK;

/* Stops, on the loop's thread or when that has ended. NULL is fine. */
void registrar_free(struct registrar *registrar);

#endif
