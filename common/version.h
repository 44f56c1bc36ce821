#ifndef LARDER_COMMON_VERSION_H
#define LARDER_COMMON_VERSION_H

/* What --version, the Server header and /admin/health say. The formats on the disk and in the index
 * carry versions of their own (PROTOCOL.md). */
#define LARDER_VERSION "0.1.0"

#endif
